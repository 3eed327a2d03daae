"""An accuracy is a count of images, the same however they were dealt out; by the real command."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from agreement import ULPS, undecided
from conftest import ROOT, copied
from learned import SETTINGS
from PIL import Image

from effcc import cli
from effcc.train.data import ImageData

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")
CONFIG = ("--config", "registry/cc_pico_4e.yaml", "--config", "tiny.json")
TORCHRUN = ("-m", "torch.distributed.run", "--nproc_per_node")
# No number of processes, batches or loaders below divides it.
IMAGES = 101


@pytest.fixture(scope="module")
def measuring(learned, tmp_path_factory):
    """A project with the digits as a folder, one file damaged; and the counts as float64 has them.

    Returns the command's runner, and how many of how many are right, by the definition: one image
    at a time.
    """
    home = copied(tmp_path_factory.mktemp("measuring"))
    sections = {}
    for key, value in SETTINGS.items():
        section, name = key.split(".")
        sections.setdefault(section, {})[name] = value
    (home.root / "tiny.json").write_text(json.dumps(sections), "utf-8")
    shutil.copy(learned.checkpoint.path, home.root / "last.ckpt")
    split = learned.source.split("test")
    for at in range(IMAGES + 1):
        for name in ("train", "val") if at < IMAGES else ("train", "val")[1:]:
            path = home.root / f"digits/{name}/{split.labels[at]}/{at:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(split.pixels(at)).save(path)
    path.write_bytes(b"no image")

    def run(*words, launcher=(), **settings):
        """What `effcc test` leaves: its record."""
        shutil.rmtree(home.results, ignore_errors=True)
        given = {"data.source": "folder", "data.root": "digits", "data.on_error": "skip"} | settings
        words = [*words, *(f"--{name}={value}" for name, value in given.items())]
        command = ["test", *CONFIG, "--ckpt_path", "last.ckpt", *words]
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("EFFCC_HOME", raising=False)
            patch.chdir(home.root)
            if int(settings.get("trainer.devices", 1)) == 1 and not launcher:
                assert cli.main(command) == 0
            else:
                _elsewhere(launcher, command)
        (made,) = home.results.glob("cc_pico_4e/*.json")
        return json.loads(made.read_text("utf-8"))

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home.root)
        counts = _by_definition(learned)
    return run, counts


def _elsewhere(launcher, command):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PL_", "SLURM_", "EFFCC_"))}
    ran = subprocess.run(
        [sys.executable, *launcher, "-m", "effcc", *command],
        env=clean | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _by_definition(learned):
    """{top1, top5: how many}, and how many there are; and that no image is a matter of rounding."""
    from effcc.sources.known import SOURCES
    from effcc.train.module import CondConvModule

    where = {"source": "folder", "root": "digits", "on_error": "skip", "batch_size": 1}
    spec = replace(learned.spec, data=replace(learned.spec.data, **where))
    module = CondConvModule(spec).eval().double()
    module.model.load_state_dict(learned.model.state_dict())
    found, logits = {"top1": 0, "top5": 0, "n": 0}, []
    with torch.inference_mode():
        for batch in ImageData(spec, SOURCES["folder"](spec.data)).test_dataloader():
            if not batch.unreadable.item():
                row = module(batch.images)[0]
                logits.append(row)
                better = int((row > row[batch.labels.item()]).sum())
                found["top1"] += better < 1
                found["top5"] += better < 5
                found["n"] += 1
    assert not undecided(
        torch.stack(logits), 8 * max(each["trained"] for each in ULPS.values())
    ).any()
    assert found["n"] == IMAGES
    assert 40 < found["top1"] < IMAGES
    return found


def counts(record):
    metrics, data = record["metrics"], record["dataset"]
    assert (data["images"], data["unreadable"]) == (IMAGES + 1, 1)
    assert metrics["top1"]["value"] == metrics["top1"]["correct"] / metrics["top1"]["n"]
    assert metrics["top1"]["n"] == metrics["top5"]["n"]
    return {
        "top1": metrics["top1"]["correct"],
        "top5": metrics["top5"]["correct"],
        "n": metrics["top1"]["n"],
    }


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (7, 3), (64, 2), (512, 1)])
def test_batches_and_loaders_change_no_count(measuring, batch_size, workers):
    run, right = measuring
    record = run(**{"data.batch_size": batch_size, "data.workers": workers})
    assert record["engine"] == "torch"
    assert counts(record) == right


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_engines_change_no_count(measuring, cache, engine):
    run, right = measuring
    record = run("--engine", engine, **{"data.batch_size": 40})
    assert record["engine"] == engine
    assert counts(record) == right


def test_double_precision_changes_no_count(measuring):
    run, right = measuring
    assert counts(run(**{"trainer.precision": "64-true", "data.batch_size": 33})) == right


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 3])
@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (8, 2), (512, 1)])
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_processes_change_no_count(measuring, devices, batch_size, workers, strategy):
    """Shares of 51 and 51, or 34 each, one of them with the damaged image; none counts twice."""
    run, right = measuring
    record = run(
        **{
            "trainer.devices": devices,
            "trainer.strategy": strategy,
            "data.batch_size": batch_size,
            "data.workers": workers,
        }
    )
    assert record["device"]["count"] == devices
    assert counts(record) == right


@pytest.mark.slow
def test_processes_of_torchrun_change_no_count(measuring):
    run, right = measuring
    record = run(launcher=(*TORCHRUN, "3"), **{"data.batch_size": 5})
    assert record["device"]["count"] == 3
    assert counts(record) == right


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "16-true"])
def test_half_precision_counts_every_image_once_and_says_what_it_is(measuring, precision):
    """Which images are right may differ, by the few that half precision cannot tell apart."""
    run, right = measuring
    record = run(**{"trainer.precision": precision, "data.batch_size": 32})
    found = counts(record)
    assert found["n"] == right["n"]
    assert abs(found["top1"] - right["top1"]) <= 5
    assert record["engine"] == "network"
    assert record["settings"]["trainer"]["precision"] == precision
    assert "trainer.precision" in record["overrides"]


@pytest.mark.parametrize("n", [360, 50_000, 8_388_607])
def test_a_count_survives_being_logged_as_a_share(n):
    """Shares travel as float32, and the record's count is the share times the number again."""
    every = np.unique(np.random.default_rng(0).integers(0, n + 1, 20_000))
    every = np.union1d(every, [0, 1, n - 1, n])
    shares = torch.from_numpy(every).float() / torch.tensor(n).float()
    back = [round(share * n) for share in shares.tolist()]
    assert back == every.tolist()
