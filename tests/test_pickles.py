"""A checkpoint that would run code is refused by all that open checkpoints, and runs none."""

import hashlib
import os
from dataclasses import replace

import pytest
import records
import torch
from PIL import Image

import effcc
from effcc import cli
from effcc.catalog import results
from effcc.nn.weights import BadCheckpoint
from effcc.report import vendor

CONFIG = ("--config", "registry/cc_pico_4e.yaml")


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(params=[True, False], ids=["zip", "legacy"])
def evil(project, request, monkeypatch):
    """A checkpoint that looks like one of ours in all but one thing: `ran` tells whether it ran."""
    monkeypatch.setenv("EFFCC_CACHE", str(project.root / "cache"))
    path = project.runs / "cc_pico_4e" / "20260101T000000Z-fit-digits-0" / "last.ckpt"
    path.parent.mkdir(parents=True)
    content = {
        "state_dict": {"model.classifier.bias": torch.zeros(10)},
        "effcc": {"variant": "cc_pico_4e", "classes": list("0123456789"), "settings": {}},
        "callbacks": {"Early": Runs(project.root / "ran")},
    }
    torch.save(content, path, _use_new_zipfile_serialization=request.param)
    return path


def commands(path):
    weights = str(path)
    for verb in ("fit", "validate", "test", "routing", "export", "bench"):
        more = ("--to", "out") if verb == "export" else ()
        yield (verb, *CONFIG, "--ckpt_path", weights, *more)
    yield ("predict", *CONFIG, "--ckpt_path", weights, "image.png")
    yield ("test", *CONFIG, "--engine", "onnxruntime", "--ckpt_path", weights)
    yield ("test", *CONFIG, "--ckpt_path", "last")
    yield ("fit", *CONFIG, "--ckpt_path", "last", "--plan")
    yield ("fit", *CONFIG, "--recipe.pretrained", weights)
    yield ("docs", "--build", "--demo", weights)
    yield ("docs", "--build")


def test_no_command_runs_what_a_checkpoint_holds(evil, project, monkeypatch, capsys):
    monkeypatch.setattr(vendor, "fetch", lambda package: None)
    Image.new("RGB", (8, 8)).save("image.png")
    for words in commands(evil):
        assert cli.main(words) == 3, words
        said = capsys.readouterr().err
        assert "last.ckpt: " in said, words
        assert "could run code" in said, words
        assert f"effcc audit {evil}" in said or "effcc audit runs" in said, words
        assert not (project.root / "ran").exists(), words
    torch.load(evil, weights_only=False)  # the trap works
    assert (project.root / "ran").exists()


def test_neither_does_python_nor_a_record(evil, project, capsys):
    with pytest.raises(BadCheckpoint, match="could run code"):
        effcc.create("cc_pico_4e", pretrained=str(evil))
    sha256 = hashlib.sha256(evil.read_bytes()).hexdigest()
    kept = {"path": evil.relative_to(project.root).as_posix(), "sha256": sha256, "bytes": 9}
    source = effcc.create_module("cc_pico_4e", source="digits", num_classes=10).spec.data
    from effcc.sources.digits import Digits

    test = Digits(source).split("test")
    made = records.record(project, verb="test", checkpoint=kept)
    data = replace(made.dataset, fingerprint=test.fingerprint, train_images=0, images=len(test))
    results.save(replace(made, dataset=data), project)
    assert cli.main(["reproduce", made.id]) == 3
    assert "could run code" in capsys.readouterr().err
    assert not (project.root / "ran").exists()


def test_nor_do_weights_whose_hash_is_right(evil, project, capsys):
    """A hash says that a file is the one that was meant, not what it does."""
    sha256 = hashlib.sha256(evil.read_bytes()).hexdigest()
    file = project.registry / "cc_pico_4e.yaml"
    stated = f"weights: {{url: 'https://e.invalid/a-{sha256[:8]}.pth', sha256: {sha256}}}\n"
    file.write_text(file.read_text("utf-8") + stated, "utf-8")
    assert cli.main(["weights", "pull", "cc_pico_4e", "--file", str(evil)]) == 0
    capsys.readouterr()
    assert cli.main(["fit", *CONFIG, "--recipe.pretrained", "true"]) == 3
    assert "could run code" in capsys.readouterr().err
    assert not (project.root / "ran").exists()
