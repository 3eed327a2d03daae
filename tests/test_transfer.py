"""A start from weights of another task: what may differ is adapted and said, the rest must fit."""

import dataclasses
import hashlib
import io
import json
import os

import pytest
import torch
from rich.console import Console

import effcc
from effcc import cli
from effcc.catalog import results
from effcc.ground import files
from effcc.nn import published, transfer, weights
from effcc.nn.efficientnet import build, unfilled
from effcc.nn.published import Published
from effcc.nn.weights import BadCheckpoint
from effcc.train import run

# Three stages, two of them conditional, on large and on small maps: enough to be this network,
# small enough to be quick.
STAGES = [
    {"repeats": 1, "kernel": 3, "stride": 2, "expand": 1, "out": 8},
    {"repeats": 1, "kernel": 3, "stride": 2, "expand": 2, "out": 32, "conditional": True},
    {"repeats": 2, "kernel": 5, "stride": 2, "expand": 2, "out": 32, "conditional": True},
]
TINY = {"network.stages": STAGES, "network.head": 64, "preprocessing.image_size": 32}


def network(**changes):
    spec = effcc.load("cc_pico_4e", settings=TINY)
    return dataclasses.replace(spec.network, num_classes=10, **changes)


@pytest.fixture
def donor():
    """A network whose batch norms have seen something."""
    torch.manual_seed(1)
    model = build(network())
    for _ in range(3):
        model(torch.randn(8, 3, 32, 32))
    return model.eval()


@pytest.fixture
def file(tmp_path, donor):
    torch.save(donor.state_dict(), tmp_path / "donor.pth")
    return tmp_path / "donor.pth"


def test_weights_of_the_same_task_arrive_bit_for_bit(file, donor):
    model = build(network())
    said = transfer.start(model, network(), weights.read(file))
    assert said == (f"started from {file}",)
    assert all(tensor.equal(donor.state_dict()[n]) for n, tensor in model.state_dict().items())


def test_a_classifier_of_another_size_stays_fresh_and_that_is_said(file, donor):
    other = dataclasses.replace(network(), num_classes=7)
    model = build(other)
    fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    said = transfer.start(model, other, weights.read(file))
    assert said[1:] == ("the classifier starts afresh: 10 classes there, 7 here",)
    for name, tensor in model.state_dict().items():
        expected = fresh if name.startswith("classifier") else donor.state_dict()
        assert tensor.equal(expected[name]), name


def test_an_unfilled_network_draws_the_classifier_it_needs_and_nothing_else(file, donor, poison):
    other = dataclasses.replace(network(), num_classes=7)
    torch.manual_seed(3)
    model = unfilled(other)
    said = transfer.start(model, other, weights.read(file), classifier_init=0.5)
    assert said[1:] == ("the classifier starts afresh: 10 classes there, 7 here",)
    for name, tensor in model.state_dict().items():
        if not name.startswith("classifier"):
            assert tensor.equal(donor.state_dict()[name]), name
    weight, bound = model.classifier.weight.detach(), 0.5 / 7**0.5
    torch.manual_seed(3)
    assert weight.equal(torch.empty_like(weight).uniform_(-bound, bound))
    assert not model.classifier.bias.any()


def test_an_unfilled_network_of_the_same_classes_draws_nothing(file, donor):
    before, model = torch.get_rng_state(), unfilled(network())
    transfer.start(model, network(), weights.read(file))
    assert all(tensor.equal(donor.state_dict()[n]) for n, tensor in model.state_dict().items())
    assert torch.get_rng_state().equal(before)


def test_a_grey_image_is_answered_as_its_three_equal_colours(file, donor):
    grey = network(in_channels=1)
    model = build(grey)
    said = transfer.start(model, grey, weights.read(file))
    assert said[1:] == ("the stem was adapted from 3 input channels to 1",)
    images = torch.randn(3, 1, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        expected = donor.double()(images.expand(-1, 3, -1, -1))
        torch.testing.assert_close(model.double().eval()(images), expected, atol=1e-5, rtol=1e-5)


def test_grey_shares_follow_the_deviations_of_the_colours(file, donor):
    std = torch.tensor([0.2, 0.5, 0.8])
    grey = network(in_channels=1)
    model = build(grey)
    transfer.start(model, grey, weights.read(file), std.tolist())
    images = torch.rand(3, 1, 32, 32)
    with torch.no_grad():
        expected = donor(images / std.view(1, 3, 1, 1))
        torch.testing.assert_close(model.eval()(images / std.mean()), expected)


@pytest.mark.parametrize("channels", [2, 4, 7])
def test_more_channels_repeat_the_colours_in_turn(file, donor, channels):
    model = build(network(in_channels=channels))
    transfer.start(model, network(in_channels=channels), weights.read(file))
    stem, original = model.conv_stem.weight, donor.conv_stem.weight
    for channel in range(channels):
        expected = original[:, channel % 3] * 3 / channels
        torch.testing.assert_close(stem[:, channel], expected)


def test_classes_and_channels_may_differ_in_our_own_checkpoints_too(tmp_path, donor):
    plain = effcc.load("cc_pico_4e", settings=TINY).settings()
    ours = {"variant": "cc_pico_4e", "classes": list("0123456789"), "settings": plain}
    state = {f"model.{name}": tensor for name, tensor in donor.state_dict().items()}
    torch.save({"state_dict": state, "effcc": ours}, tmp_path / "last.ckpt")
    other = dataclasses.replace(network(), num_classes=7, in_channels=1)
    said = transfer.start(build(other), other, weights.read(tmp_path / "last.ckpt"))
    assert len(said) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"experts": 8}, r"blocks\.1\.0\.routing_fn\.weight has shape \(4"),
        ({"head": 32}, r"conv_head\.weight has shape"),
        ({"stages": network().stages[:2]}, r"blocks\.2\.0\..*which this variant has not|has shape"),
    ],
    ids=str,
)
def test_anything_else_must_fit(file, change, said):
    other = dataclasses.replace(network(), **change)
    with pytest.raises(BadCheckpoint, match=said) as caught:
        transfer.start(build(other), other, weights.read(file))
    assert "\n" not in str(caught.value)


def test_a_missing_tensor_is_named_whatever_else_differs(file, donor):
    state = donor.state_dict()
    del state["blocks.1.0.bn1.bias"]
    torch.save(state, file)
    other = dataclasses.replace(network(), num_classes=7)
    with pytest.raises(BadCheckpoint, match=r"has no blocks\.1\.0\.bn1\.bias"):
        transfer.start(build(other), other, weights.read(file))


def test_only_three_colours_can_be_adapted(tmp_path):
    torch.save(build(network(in_channels=4)).state_dict(), tmp_path / "four.pth")
    with pytest.raises(BadCheckpoint, match=r"has 4 input channels, this variant 3; only"):
        transfer.start(build(network()), network(), weights.read(tmp_path / "four.pth"))


def test_the_package_creates_networks_from_a_file(file, donor, poison):
    model = effcc.create("cc_pico_4e", pretrained=file, num_classes=7, in_channels=1, settings=TINY)
    assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 7)
    assert model.conv_head.weight.equal(donor.conv_head.weight)
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    fresh = effcc.create("cc_pico_4e", num_classes=7, in_channels=5, settings=TINY)
    assert fresh.conv_stem.weight.shape[1] == 5
    assert all(tensor.isfinite().all() for tensor in fresh.state_dict().values())
    assert not fresh.conv_head.weight.equal(donor.conv_head.weight)


@pytest.fixture
def publish(project, monkeypatch, tmp_path):
    """Makes a file the published weights of cc_pico_4e, in a cache of its own."""
    monkeypatch.setenv("EFFCC_CACHE", str(tmp_path / "cache"))
    text = (project.registry / "cc_pico_4e.yaml").read_text()

    def make(path, cached=True):
        digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        url = f"https://localhost:1/pico-{digits}.pth"
        (project.registry / "cc_pico_4e.yaml").write_text(f"{text}weights: {{url: '{url}'}}\n")
        if cached:
            published.pull(Published.of(effcc.load("cc_pico_4e")), file=path)

    return make


def test_the_package_creates_networks_from_published_weights(publish, file, donor):
    publish(file)
    model = effcc.create("cc_pico_4e", pretrained=True, num_classes=10, settings=TINY)
    assert all(tensor.equal(donor.state_dict()[n]) for n, tensor in model.state_dict().items())


FIT = TINY | {
    "recipe.pretrained": True,
    "recipe.freeze_stages": 1,
    "recipe.lr": 1e-9,
    "recipe.epochs": 1,
    "recipe.warmup_epochs": 0,
    "data.workers": 0,
    "trainer.accelerator": "cpu",
    "trainer.limit_train_batches": 2,
    "trainer.num_sanity_val_steps": 0,
}


def test_a_fit_starts_from_published_weights_and_the_record_says_so(publish, project, tmp_path):
    # A thousand classes there, ten here, as with ImageNet's.
    thousand = dataclasses.replace(network(), num_classes=1000)
    torch.save(build(thousand).state_dict(), tmp_path / "thousand.pth")
    publish(tmp_path / "thousand.pth")
    spec, source = run.prepare(effcc.load("cc_pico_4e", source="digits", settings=FIT))
    out = io.StringIO()
    record = run.fit(spec, source, project, Console(file=out, width=200), "effcc fit")
    assert "started from" in out.getvalue()
    assert "the classifier starts afresh: 1,000 classes there, 10 here" in out.getvalue()
    assert record.overrides["recipe.pretrained"] is True
    assert record.start["sha256"] == files.sha256(tmp_path / "thousand.pth")
    start = torch.load(tmp_path / "thousand.pth", weights_only=True)
    end = weights.read(project.root / record.checkpoint["path"]).weights
    torch.testing.assert_close(end["conv_head.weight"], start["conv_head.weight"])
    # What is frozen has not moved by a bit, its statistics and their averages included.
    frozen = [n for n in start if n.startswith(("conv_stem.", "bn1.", "blocks.0."))]
    assert len(frozen) == 1 + 5 + 16  # stem, its norm, a block
    assert all(end[name].equal(start[name]) for name in frozen)
    assert not end["blocks.1.0.bn1.running_mean"].equal(start["blocks.1.0.bn1.running_mean"])
    # What goes on from it does so from its own weights: published ones are not asked for again.
    (tmp_path / "cache").rename(tmp_path / "gone")
    settings = FIT | {"recipe.epochs": 2}
    spec, source = run.prepare(effcc.load("cc_pico_4e", source="digits", settings=settings))
    checkpoint = project.root / record.checkpoint["path"]
    further = run.fit(spec, source, project, Console(file=out), "effcc fit", checkpoint)
    assert further.start == record.start


def test_a_fit_starts_from_a_file_that_is_named(project, file, donor):
    settings = FIT | {"recipe.pretrained": str(file), "recipe.freeze_stages": 3}
    spec, source = run.prepare(effcc.load("cc_pico_4e", source="digits", settings=settings))
    out = io.StringIO()
    record = run.fit(spec, source, project, Console(file=out, width=200), "effcc fit")
    assert f"started from {file}" in out.getvalue()
    assert record.overrides["recipe.pretrained"] == str(file)
    assert record.start == {
        "path": project.shown(file),
        "sha256": files.sha256(file),
        "bytes": file.stat().st_size,
    }
    end = weights.read(project.root / record.checkpoint["path"]).weights
    assert end["blocks.2.0.conv_dw.weight"].equal(donor.state_dict()["blocks.2.0.conv_dw.weight"])


def test_a_run_comes_back_only_from_the_file_that_it_began_with(project, file, monkeypatch, capsys):
    monkeypatch.chdir(project.root)
    settings = FIT | {"recipe.pretrained": str(file)}
    words = [
        f"--{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in settings.items()
    ]
    assert cli.main(["fit", "--config", "registry/cc_pico_4e.yaml", *words]) == 0
    (record,) = results.load(project, "cc_pico_4e")
    assert record.start["sha256"] == files.sha256(file)
    assert cli.main(["reproduce", record.id]) == 0
    assert "the same" in capsys.readouterr().out
    file.write_bytes(file.read_bytes() + b"more")
    assert cli.main(["reproduce", record.id]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert f"the record's run started from {record.start['sha256'][:12]}" in line
    assert cli.main(["reproduce", record.id, "--at-commit"]) == 3
    assert capsys.readouterr().err.splitlines() == [line]


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_published_weights_is_refused_and_not_run(publish, project, tmp_path, donor):
    torch.save(donor.state_dict() | {"extra": Payload(tmp_path / "ran")}, tmp_path / "evil.pth")
    publish(tmp_path / "evil.pth")
    spec, source = run.prepare(effcc.load("cc_pico_4e", source="digits", settings=FIT))
    with pytest.raises(BadCheckpoint, match="could run code"):
        run.fit(spec, source, project, Console(file=io.StringIO()), "effcc fit")
    assert not (tmp_path / "ran").exists()
    assert not project.runs.exists()


def test_without_a_network_a_fit_says_how_to_bring_the_file(publish, project, file, capsys):
    publish(file, cached=False)
    words = ["fit", "--config", "registry/cc_pico_4e.yaml", "--recipe.pretrained", "true"]
    assert cli.main(words) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "effcc weights pull cc_pico_4e --file FILE" in line
    assert not project.runs.exists()
