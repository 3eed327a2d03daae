"""The same seed on the same machine gives the same bits, whatever else a process is told.

The processes are new ones: hash seeds, languages and the order of a folder are drawn when Python
starts.
"""

import hashlib
import json
import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT, copied

CONFIG = ("--config", "registry/cc_pico_4e.yaml")
FIT = {
    "seed": 11,
    "recipe.epochs": 2,
    "data.batch_size": 16,
    "network.depth": 0.3,
    "network.dropout": 0.2,
    "network.drop_path": 0.2,
    "recipe.augment.policy": "rand",
    "recipe.augment.erase": 0.5,
    "recipe.augment.mixup": 0.2,
    "recipe.augment.cutmix": 1.0,
    "trainer.accelerator": "cpu",
    "trainer.limit_train_batches": 3,
    "trainer.limit_val_batches": 3,
}
# What a shell, a host or a habit may set, and no figure may follow.
OTHERWISE = {
    "PYTHONHASHSEED": "4242",
    "TZ": "Pacific/Kiritimati",
    "LC_ALL": "C",
    "LANG": "tr_TR.UTF-8",
    "COLUMNS": "43",
    "NO_COLOR": "1",
    "MALLOC_PERTURB_": "85",
    "EFFCC_MALLOC": "default",
}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
HALVES = ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers")


class Project:
    """A copy of the project, and the command in processes of its own."""

    def __init__(self, root):
        self.home = copied(root)

    def start(self, verb, settings=None, *, folder=None, launcher=(), **environment):
        """The command, in another working folder if one is named."""
        ours = ("PL_", "SLURM_", "EFFCC_", "PYTHON")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        clean |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        if folder:
            clean["EFFCC_HOME"] = str(self.home.root)
        words = (f"--{name}={value}" for name, value in (settings or {}).items())
        config = (CONFIG[0], str(self.home.root / CONFIG[1]))
        return subprocess.Popen(
            [*(launcher or [sys.executable]), "-m", "effcc", verb, *config, *words],
            cwd=folder or self.home.root,
            env=clean | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, process, seconds=240):
        """The record that a started command left."""
        try:
            out, err = process.communicate(timeout=seconds)
        finally:
            process.kill()
        assert process.returncode == 0, out + err
        (record,) = (self.home.results / "cc_pico_4e").glob("*.json")
        return json.loads(record.read_text("utf-8"))

    def run(self, verb, settings=None, **how):
        return self.end(self.start(verb, settings, **how))

    def weights(self, record):
        return digest(torch.load(self.home.root / record["checkpoint"]["path"], weights_only=True))


def digest(checkpoint):
    """SHA-256 of every number that a run would go on with, names and shapes among them."""
    found = hashlib.sha256()

    def take(name, value):
        if isinstance(value, dict):
            for key in value:
                take(f"{name}/{key}", value[key])
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                take(f"{name}/{index}", item)
        elif torch.is_tensor(value):
            found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            found.update(value.contiguous().numpy().tobytes())
        else:
            found.update(f"{name} {value!r}".encode())

    for half in HALVES:
        take(half, checkpoint[half])
    return found.hexdigest()


def figures(record):
    """All that a record says was measured, to the last digit."""
    return {key: record[key] for key in ("metrics", "curve", "steps", "dataset", "spec_digest")}


def test_two_processes_give_the_same_bits_whatever_else_they_are_told(tmp_path):
    """Two fits at once, in projects of their own: other environment, folder and loaders."""
    one, other = Project(tmp_path / "a"), Project(tmp_path / "somewhere ü else")
    (tmp_path / "folder").mkdir()
    (tmp_path / "temporary").mkdir()
    first = one.start("fit", FIT | {"data.workers": 0})
    where = {"folder": tmp_path / "folder", "TMPDIR": str(tmp_path / "temporary")}
    second = other.start("fit", FIT | {"data.workers": 2}, **where, **OTHERWISE)
    records = [one.end(first), other.end(second)]
    assert one.weights(records[0]) == other.weights(records[1])
    mine, theirs = map(figures, records)
    for found in (mine, theirs):
        assert len(found["curve"]) == 2
    assert mine == theirs
    checkpoint = torch.load(one.home.root / records[0]["checkpoint"]["path"], weights_only=True)
    checkpoint["state_dict"]["model.classifier.bias"].view(torch.int32)[7] ^= 1
    assert digest(checkpoint) != one.weights(records[0])  # one bit would have been noticed


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        {"OMP_NUM_THREADS": "2"},
        {"EFFCC_NATIVE": "off"},
        {"settings": {"trainer.devices": 2, "trainer.strategy": "ddp"}},
        {"settings": {"trainer.devices": 3, "trainer.strategy": "fsdp", "recipe.ema_decay": 0.9}},
        {"settings": {"trainer.precision": "bf16-mixed"}},
        {"launcher": TORCHRUN},
    ],
    ids=["two threads", "no layers in C", "ddp", "fsdp", "bf16", "torchrun"],
)
def test_other_arrangements_repeat_themselves_to_the_bit_too(how, tmp_path):
    how = dict(how)
    settings = FIT | {"data.workers": 0} | how.pop("settings", {})
    found = []
    for name in ("a", "b"):
        project = Project(tmp_path / name)
        record = project.run("fit", settings, PYTHONHASHSEED=str(len(found)), **how)
        found.append((project.weights(record), figures(record)))
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
def test_a_test_in_another_process_has_the_same_figures_to_the_last_digit(engine, tmp_path):
    made = Project(tmp_path / "fit")
    path = made.home.root / made.run("fit", FIT | {"data.workers": 0})["checkpoint"]["path"]
    found = []
    for name, environment in (("a", {}), ("b", OTHERWISE)):
        project = Project(tmp_path / name)
        settings = {"ckpt_path": path, "engine": engine, "trainer.accelerator": "cpu"}
        settings["network.depth"] = FIT["network.depth"]
        record = project.run("test", settings, EFFCC_CACHE=str(tmp_path / name), **environment)
        assert record["engine"] == engine
        found.append(record["metrics"])
    assert found[0] == found[1]
