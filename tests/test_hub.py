"""The folder for the Hub: read by huggingface_hub itself, and claiming nothing that is not so."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import huggingface_hub
import pytest
import records
import torch
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.repocard_data import model_index_to_eval_results
from test_transfer import TINY

import effcc
from effcc import cli, exchange
from effcc.catalog import registry, results
from effcc.ground import files
from effcc.ground.errors import UsageError
from effcc.nn.weights import Checkpoint
from effcc.report import hub
from effcc.report.hub import Export, NotPushed


def made(home, variant="cc_b0_4e", **changes):
    """What a folder is of: weights of which one record exists."""
    (entry,) = [e for e in registry.entries(home) if e.spec.name == variant]
    spec = registry.load(variant, home, source="digits").with_classes(10)
    export = Export(
        spec=spec,
        claim=entry.claim,
        classes=tuple("0123456789"),
        sha256="cd" * 32,
        records=[records.record(home, variant)],
        published=False,
        trained=True,
    )
    return replace(export, **changes)


def front_matter(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_the_hubs_own_library_reads_the_results(project):
    card = ModelCard(hub.card(made(project)))
    assert card.data.model_name == "cc_b0_4e"
    top1, top5 = card.data.eval_results
    assert (top1.task_type, top1.dataset_type) == ("image-classification", "digits")
    assert (top1.metric_type, top1.metric_value) == ("accuracy", 350 / 360)
    assert top1.metric_name == "Top 1 Accuracy (measured)"
    assert top1.metric_args["correct"] == 350
    assert (top1.dataset_split, top1.dataset_revision) == ("test", "sha256:" + "ab" * 32)
    assert (top5.metric_type, top5.metric_value) == ("top-5-accuracy", 1.0)
    assert card.data.pipeline_tag == "image-classification"
    # And what the library writes back is the same.
    again = ModelCard(f"---\n{card.data.to_yaml()}\n---\n")
    assert again.data.eval_results == card.data.eval_results


def test_fine_tuned_weights_do_not_inherit_their_ancestors_accuracies(project):
    text = hub.card(made(project))
    assert "claimed" not in text.lower()
    assert "77.32" not in text
    assert "ImageNet" not in json.dumps(front_matter(text))


def test_published_weights_carry_their_publishers_claims_with_the_source(project):
    export = made(project, published=True, trained=False, records=[])
    text = hub.card(export)
    _, found = model_index_to_eval_results(front_matter(text)["model-index"])
    assert {(r.metric_name, r.metric_value) for r in found} == {
        ("Top 1 Accuracy (claimed)", 0.7732),
        ("Top 5 Accuracy (claimed)", 0.9332),
    }
    named = {(r.dataset_type, r.dataset_name) for r in found}
    assert named == {("ILSVRC/imagenet-1k", "ImageNet")}
    assert {r.metric_args["written"] for r in found} == {"77.32%", "93.32%"}
    assert {r.source_url for r in found} == {export.claim.code}
    assert ModelCard(text).data.eval_results == found
    assert "*Claimed* by" in text
    assert "published weights, unchanged" in text


def test_a_claim_without_a_source_is_left_out(project):
    export = made(project, published=True)
    export = replace(export, claim=replace(export.claim, code=None))
    assert [r["dataset"]["type"] for r in hub.results(export)] == ["digits"]


def test_without_results_there_is_no_model_index(project):
    text = hub.card(made(project, records=[]))
    assert "model-index" not in front_matter(text)
    assert "Nothing was measured with these very weights." in text
    assert ModelCard(text).data.eval_results is None


def test_who_made_the_weights_is_said_as_far_as_it_is_known(project):
    assert "training run with effcc; they are its averaged ones." in hub.card(made(project))
    assert "Nothing is on record" in hub.card(made(project, trained=False))


def test_the_configuration_is_timms(project):
    data = json.loads(hub.config(made(project)))
    assert data["architecture"] == "tf_efficientnet_cc_b0_4e"
    assert (data["num_classes"], data["num_features"]) == (10, 1280)
    assert data["label_names"] == list("0123456789")
    look = data["pretrained_cfg"]
    assert (look["input_size"], look["crop_pct"]) == ([3, 32, 32], 1.0)
    assert (look["first_conv"], look["classifier"]) == ("conv_stem", "classifier")
    assert look["mean"] == [127 / 255] * 3
    assert data["effcc"]["network"]["experts"] == 4
    assert "model_args" not in data


def test_the_configuration_follows_channels_crop_and_filter(project):
    settings = {
        "network.in_channels": 1,
        "preprocessing.crop_padding": 32,
        "preprocessing.interpolation": "tf_bicubic",
        "preprocessing.mean": [0.1, 0.2, 0.3],
    }
    spec = registry.load("cc_b0_4e", project, flags=settings)
    data = json.loads(hub.config(made(project, spec=spec)))
    look = data["pretrained_cfg"]
    assert data["model_args"] == {"in_chans": 1}
    assert look["input_size"] == [1, 224, 224]
    assert look["mean"] == [pytest.approx(0.2)]
    text = hub.card(made(project, spec=spec))
    assert "grey levels of 224 by 224 pixels, scaled to 0..1, less 0.2, divided by 0.502" in text
    assert "in_channels=1" in text
    assert (look["crop_pct"], look["interpolation"]) == (0.875, "bicubic")


def test_timm_is_named_only_for_networks_that_it_builds(project):
    assert "import timm" in hub.card(made(project))
    assert front_matter(hub.card(made(project)))["library_name"] == "timm"
    pico = hub.card(made(project, "cc_pico_4e"))
    assert "timm" not in pico
    flags = {"network.experts": 16}
    other = made(project, spec=registry.load("cc_b0_4e", project, flags=flags))
    assert not other.in_timm
    assert front_matter(hub.card(other))["library_name"] == "effcc"


def test_a_summary_cannot_break_the_page_or_its_front_matter(project):
    evil = "# big\n---\n<script>alert(1)</script> {{ 7 * 7 }} `x` [a](javascript:b)"
    export = made(project)
    text = hub.card(replace(export, spec=replace(export.spec, summary=evil)))
    assert "<script>" not in text
    assert "[a](javascript" not in text
    assert text.count("\n---\n") == 1
    assert ModelCard(text).data.model_name == "cc_b0_4e"


@pytest.fixture
def exported(project, tmp_path):
    """A folder as the command writes it, of a checkpoint that one record is of."""
    spec = effcc.load("cc_pico_4e", source="digits", settings=TINY).with_classes(10)
    model = effcc.create("cc_pico_4e", num_classes=10, settings=TINY)
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    ours = {"variant": spec.name, "classes": list("0123456789"), "settings": spec.settings()}
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": state, "effcc": ours}, path)
    sha256 = files.sha256(path)
    record = records.record(project)
    results.save(replace(record, checkpoint=record.checkpoint | {"sha256": sha256}), project)
    other = replace(record, id="20260131T120001Z-fit-digits-1")  # of other weights
    results.save(other, project)
    (project.root / "tiny.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(nested(TINY)))))
    source = ("--config", "registry/cc_pico_4e.yaml", "--config", "tiny.yaml")
    words = ("export", *source, "--ckpt_path", str(path), "--to", "out", "--format", "hub")
    return SimpleNamespace(
        words=words, folder=project.root / "out" / "hub", model=model, id=record.id
    )


def nested(settings):
    data = {}
    for name, value in settings.items():
        section, key = name.split(".")
        data.setdefault(section, {})[key] = value
    return data


def test_the_command_writes_a_folder_with_the_records_of_these_weights(exported):
    assert cli.main(list(exported.words)) == 0
    assert sorted(path.name for path in exported.folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    card = ModelCard.load(exported.folder / "README.md")
    found = {result.metric_args["record"] for result in card.data.eval_results}
    assert found == {exported.id}


def test_the_cards_own_example_loads_the_weights(exported, monkeypatch):
    assert cli.main(list(exported.words)) == 0
    text = (exported.folder / "README.md").read_text()
    example = re.search(r"```python\n(import effcc.*?)```", text, re.DOTALL)[1]
    create, root = effcc.create, exported.folder.parents[1]

    def here(name, **how):  # the project's own variant is larger
        monkeypatch.chdir(root)
        return create(name, settings=TINY, **how)

    monkeypatch.setattr(effcc, "create", here)
    example = example.replace("model.safetensors", str(exported.folder / "model.safetensors"))
    names = {}
    exec(example, names)
    images = torch.randn(2, 3, 32, 32)
    assert names["model"](images).equal(exported.model.eval()(images))


@pytest.fixture
def stand_in(monkeypatch):
    """The Hub's two calls, noted instead of made."""
    calls = []
    for name in ("create_repo", "upload_folder"):
        monkeypatch.setattr(
            huggingface_hub, name, lambda *a, _name=name, **how: calls.append((_name, a, how))
        )
    return calls


def test_pushing_uploads_the_folder(exported, stand_in, capsys):
    words = list(exported.words[:-2])
    assert cli.main([*words, "--push", "somebody/pico"]) == 0
    (create, upload) = stand_in
    assert create == ("create_repo", ("somebody/pico",), {"exist_ok": True})
    assert upload[0] == "upload_folder"
    assert upload[2]["repo_id"] == "somebody/pico"
    assert upload[2]["folder_path"].samefile(exported.folder)
    assert "uploaded to https://huggingface.co/somebody/pico" in capsys.readouterr().out
    assert (exported.folder / "model.safetensors").is_file()


def test_what_the_hub_refuses_is_one_line_and_leaves_the_folder(exported, monkeypatch, capsys):
    def refuse(*_, **__):
        response = SimpleNamespace(headers={}, request=None)
        raise HfHubHTTPError("401 Client Error:\nInvalid username or password", response=response)

    monkeypatch.setattr(huggingface_hub, "create_repo", refuse)
    assert cli.main([*exported.words, "--push", "somebody/pico"]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "Invalid username" in line
    assert "hf auth login" in line
    assert (exported.folder / "model.safetensors").is_file()


def test_a_card_that_does_not_load_is_not_pushed(tmp_path, stand_in):
    (tmp_path / "README.md").write_text("---\nmodel-index: [{name: a}]\n---\n")
    with pytest.raises(NotPushed, match="model_index"):
        hub.push(tmp_path, "somebody/pico")
    assert stand_in == []


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b/c", "https://huggingface.co/a/b"])
def test_a_repository_is_checked_before_any_work(exported, stand_in, name):
    with pytest.raises(UsageError, match="write OWNER/NAME"):
        hub.check_repository(name)
    assert stand_in == []


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"pip install 'effcc\[hub\]'"):
        hub.check_repository("somebody/pico")


def test_a_bare_file_by_nobody_known_says_so(project, exported, tmp_path):
    torch.save(exported.model.state_dict(), tmp_path / "bare.pth")
    words = [
        w if not w.endswith("last.ckpt") else str(tmp_path / "bare.pth") for w in exported.words
    ]
    assert cli.main(words) == 0
    assert "Nothing is on record" in (exported.folder / "README.md").read_text()
    assert exchange.known(project)[-1] == ("cc_pico_4e", "", "none published")


def test_a_record_edited_by_hand_is_not_handed_on(project):
    path = project.root / "last.ckpt"
    path.write_bytes(b"weights")
    weights = {"path": "last.ckpt", "sha256": files.sha256(path), "bytes": 7}
    saved = results.save(records.record(project, checkpoint=weights), project)
    spec, checkpoint = registry.load("cc_pico_4e", project), Checkpoint(path, {})

    def handed_on():
        return [r.id for r in exchange._of_hub(spec, checkpoint, project).records]

    assert handed_on() == [saved.stem]
    saved.write_text(saved.read_text("utf-8").replace('"seed": 0', '"seed": 1'))
    assert handed_on() == []
