"""One run in several processes: the same as in one, with one voice, and one end.

The processes are real, and started as people start them. Where a test compares losses of two
arrangements, it states how far rounding may take them apart: a sum over ranks adds the same numbers
in another order.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

import effcc
from effcc.ground.errors import UsageError
from effcc.sources.known import SOURCES
from effcc.train import ranks, trainer
from effcc.train.data import ImageData
from effcc.train.module import CondConvModule
from effcc.train.trainer import BadTrainer

TINY = {
    "network.depth": 0.3,
    "network.head": 64,
    "data.workers": 0,
    "trainer.accelerator": "cpu",
    "trainer.num_sanity_val_steps": 0,
}
TRAINING = TINY | {"data.batch_size": 8, "trainer.limit_train_batches": 3, "recipe.epochs": 3}
TWO = {"trainer.devices": 2, "trainer.strategy": "ddp"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
CONFIG = ["--config", "registry/cc_pico_4e.yaml"]


def flags(settings):
    return [f"--{name}={value}" for name, value in settings.items()]


def start(home, verb, settings, *, launcher=(), more=(), **environment):
    """A command in a project of its own, in a process group of its own."""
    ours = ("PL_", "SLURM_", "EFFCC_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.Popen(
        [*(launcher or [sys.executable]), "-m", "effcc", verb, *CONFIG, *flags(settings), *more],
        cwd=home,
        env=clean | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process, seconds=60):
    """Exit code and what was printed; everything that was started is gone afterwards."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"still running after {seconds} s:\n{out}\n{err}")
    return process.returncode, out, err


def run(home, verb, settings, **how):
    code, out, err = finish(start(home, verb, settings, **how))
    assert code == 0, err
    return out, err


def new_home(path):
    shutil.copytree(ROOT / "registry", path / "registry", ignore=shutil.ignore_patterns("results"))
    for folder in ("model-index", "docs"):
        shutil.copytree(ROOT / folder, path / folder, ignore=shutil.ignore_patterns("models"))
    shutil.copy(ROOT / "mkdocs.yml", path)
    return path


def records(home):
    paths = sorted((home / "registry" / "results" / "cc_pico_4e").glob("*.json"))
    return [json.loads(path.read_text()) for path in paths]


def losses(home, record):
    """The training loss of every epoch, all digits."""
    lines = (home / record["checkpoint"]["path"]).with_name("metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("train_loss")
    return [float(line.split(",")[column]) for line in lines[1:] if line.split(",")[column]]


def checkpoint(home, record):
    return torch.load(home / record["checkpoint"]["path"], weights_only=True)


def folder_of_images(root, test):
    """Two classes to train on, and a test split of `test` images that are no model's to know."""
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 3), ("test", test)):
        for number in range(max(count, 2)):
            place = root / split / ("dark", "light", "mixed")[number % 3]
            place.mkdir(parents=True, exist_ok=True)
            if number < count:
                pixels = random.integers(0, 256, (20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def double(tmp_path_factory):
    """Two processes as Lightning starts them, in double precision, batch norm synchronised."""
    home = new_home(tmp_path_factory.mktemp("two"))
    exact = TRAINING | {"trainer.precision": "64-true", "trainer.sync_batchnorm": "true"}
    out, err = run(home, "fit", exact | TWO)
    return home, out, err


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """One process with the batch of both."""
    home = new_home(tmp_path_factory.mktemp("one"))
    exact = TRAINING | {"trainer.precision": "64-true", "data.batch_size": 16}
    run(home, "fit", exact)
    return home


def test_two_processes_speak_and_write_as_one(double):
    home, out, err = double
    assert err == ""
    assert out.count("images to train on") == 1
    assert out.count("epoch 3/3") == 1
    assert len(re.findall(r"^  record ", out, re.M)) == 1
    (record,) = records(home)
    assert record["device"]["count"] == 2
    assert [path.name for path in (home / "runs" / "cc_pico_4e").iterdir()] == [record["id"]]


def test_two_processes_train_as_one_with_the_double_batch(double, single):
    # In double precision rounding is 1e-16 a step, and 9 steps of momentum amplify it; any fault
    # of order, of averaging or of the rate would be of the size of the loss. What is left is the
    # float32 of the reported mean.
    (two,), (one,) = records(double[0]), records(single)
    assert two["steps"] == one["steps"] == 9
    assert losses(double[0], two) == pytest.approx(losses(single, one), rel=1e-6)
    ours, theirs = checkpoint(double[0], two), checkpoint(single, one)
    for part in ("state_dict", "current_model_state"):
        for name, value in theirs[part].items():
            torch.testing.assert_close(ours[part][name], value, rtol=1e-8, atol=1e-10)
    assert [p["lr"] for p in two["curve"]] == [p["lr"] for p in one["curve"]]
    for ours, theirs in zip(two["curve"], one["curve"], strict=True):  # raw_val_loss and the like
        assert ours == pytest.approx(theirs, abs=1.1e-4)  # rounded to four places


def test_the_measurement_at_the_end_is_that_of_one_process(double, single):
    (two,), (one,) = records(double[0]), records(single)
    assert two["metrics"]["top1"] == one["metrics"]["top1"]
    assert two["metrics"]["top5"] == one["metrics"]["top5"]
    assert two["metrics"]["loss"]["value"] == pytest.approx(one["metrics"]["loss"]["value"])
    assert two["metrics"]["top1"]["n"] == 360


def test_the_drift_of_routing_is_that_of_one_process(double, single):
    """The mean over the validation images of both, not of the first's."""
    (two,), (one,) = records(double[0]), records(single)
    ours, theirs = checkpoint(double[0], two)["routing"], checkpoint(single, one)["routing"]
    assert ours.keys() == theirs.keys() == {1, 2, 3}
    for epoch, means in theirs.items():
        assert ours[epoch].keys() == means.keys()
        for block, row in means.items():
            assert ours[epoch][block] == pytest.approx(row, abs=3e-6)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The three classes of 37 images, a checkpoint, and how one process measures it."""
    home = new_home(tmp_path_factory.mktemp("measured"))
    images = folder_of_images(home / "images", test=37)
    settings = TINY | {"data.source": "folder", "data.root": images, "preprocessing.image_size": 32}
    fit = settings | {"data.batch_size": 4, "trainer.max_epochs": 1, "recipe.warmup_epochs": 0}
    run(home, "fit", fit)
    (record,) = records(home)
    return home, settings | {"ckpt_path": record["checkpoint"]["path"]}, record["metrics"]


@pytest.mark.parametrize("devices", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_measurement_counts_every_image_once(measured, devices):
    # 37 over two, in batches of 6: 19 and 18 images, 4 and 3 batches.
    home, settings, alone = measured
    before = len(records(home))
    _, err = run(home, "test", settings | {"trainer.devices": devices, "data.batch_size": 6})
    assert err == ""
    assert len(records(home)) == before + 1
    found = records(home)[-1]["metrics"]
    assert found["top1"] == alone["top1"]
    assert found["top1"]["n"] == 37
    assert found["loss"]["value"] == pytest.approx(alone["loss"]["value"], rel=1e-5)  # float32


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
@pytest.mark.parametrize("count", [1, 13])
def test_a_process_without_images_takes_part(measured, count, strategy, tmp_path):
    # 13 over three, in batches of 4: 5, 4 and 4 images, so one has a second batch.
    home, settings, _ = measured
    few = settings | {"data.root": folder_of_images(tmp_path / "few", test=count)}
    found = []
    for devices in (1, 3):
        several = {"trainer.devices": 3, "trainer.strategy": strategy} if devices > 1 else {}
        run(home, "test", few | {"data.batch_size": 4} | several)
        found.append(records(home)[-1]["metrics"])
    one, three = found
    assert one["top1"] == three["top1"]
    assert three["top1"]["n"] == count
    assert three["loss"]["value"] == pytest.approx(one["loss"]["value"], rel=1e-5)


@pytest.mark.slow
def test_batch_norm_of_its_own_images_is_another_training(single, tmp_path):
    # What synchronising is for: eight images at 32 pixels have other statistics than sixteen.
    home = new_home(tmp_path)
    run(home, "fit", TRAINING | TWO | {"trainer.precision": "64-true"})
    (local,), (one,) = records(home), records(single)
    difference = np.subtract(losses(home, local), losses(single, one))
    assert np.abs(difference).max() > 1e-4
    print("\nloss, own statistics less common ones:", np.round(difference, 5))


def test_the_rate_follows_devices_machines_and_accumulation():
    arguments = {"accelerator": "cpu", "devices": 2, "num_nodes": 3, "accumulate_grad_batches": 4}
    settings = {"data.batch_size": 16, "recipe.lr": 0.01, "recipe.batch_size": 32}
    module = CondConvModule(effcc.load("cc_pico_4e", source="digits", settings=settings))
    module.trainer = trainer.build(arguments, [], None)
    assert module.effective_batch_size == 16 * 2 * 3 * 4
    assert module.peak_lr == pytest.approx(0.01 * 384 / 32)


@pytest.fixture
def launcher(monkeypatch):
    """The environment of a process, as a launcher sets it."""
    for name in [name for name in os.environ if name.startswith(("SLURM_", "TORCHELASTIC_"))]:
        monkeypatch.delenv(name)

    def sets(**environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    return sets


TORCHRUN_SETS = {
    "TORCHELASTIC_RUN_ID": "x",
    "WORLD_SIZE": "8",
    "LOCAL_WORLD_SIZE": "4",
    "GROUP_WORLD_SIZE": "2",
}
SRUN_SETS = {"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2"}


@pytest.mark.parametrize("environment", [TORCHRUN_SETS, SRUN_SETS], ids=["torchrun", "srun"])
@pytest.mark.parametrize("said", [{}, {"devices": 4, "num_nodes": "2"}, {"devices": "auto"}])
def test_what_a_launcher_started_need_not_be_said(launcher, environment, said):
    launcher(**environment)
    assert ranks.launched({"max_epochs": 3} | said) == {
        "max_epochs": 3,
        "devices": 4,
        "num_nodes": 2,
    }


def test_without_a_launcher_nothing_is_added(launcher):
    assert ranks.launched({"devices": 3}) == {"devices": 3}


@pytest.mark.parametrize(
    ("environment", "said", "message"),
    [
        (TORCHRUN_SETS, {"devices": 8}, "devices is 8, but torchrun started 4"),
        (SRUN_SETS, {"num_nodes": 1}, "num_nodes is 1, but srun started 2"),
        ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2"}, {}, "--ntasks-per-node"),
    ],
    ids=["torchrun", "srun", "ntasks"],
)
def test_another_number_than_started_is_a_mistake(launcher, environment, said, message):
    launcher(**environment)
    with pytest.raises(UsageError, match=message):
        ranks.launched(said)


def test_the_end_of_another_process_is_told_from_a_fault_of_this_one():
    gone = RuntimeError("[/x/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed")
    assert ranks.lost(gone)
    later = ValueError("while leaving")
    later.__context__ = gone
    assert ranks.lost(later)
    assert not ranks.lost(RuntimeError("expected dtype float"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "ddp_spawn", "devices": 2}, "say ddp"),
        ({"strategy": "ddp_fork", "devices": 2}, "say ddp"),
        ({"strategy": "fsdp_cpu_offload", "devices": 2}, "say fsdp"),
        ({"strategy": "fsdp", "devices": 2, "sync_batchnorm": True}, "goes with"),
    ],
    ids=str,
)
def test_what_does_not_work_is_refused(arguments, message):
    with pytest.raises(BadTrainer, match=message) as caught:
        trainer.build({"accelerator": "cpu"} | arguments, [], None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("then", "now"), [((2, 8), (1, 16)), ((1, 16), (4, 4)), ((2, 8), (2, 8))])
def test_an_epoch_goes_on_with_other_devices(then, now):
    """(devices, batch) before and after: the images that are left are those not seen."""

    def data(devices, batch_size, rank):
        spec = effcc.load("cc_pico_4e", settings={"data.batch_size": batch_size}, source="digits")
        built = ImageData(spec, SOURCES["digits"](spec.data))
        built.trainer = in_epoch(devices, rank, batches=3)
        return built

    saved = data(*then, 0).state_dict()
    assert saved == {"epoch": 0, "seen": 48, "at_a_time": 16, "ranks": then[0]}
    left = []
    for rank in range(now[0]):
        going_on = data(*now, rank)
        going_on.load_state_dict(saved)
        left += [position for _, position in going_on.train_dataloader().sampler]
    whole = np.random.default_rng((0, 0)).permutation(1257)
    assert sorted(left) == sorted(whole[48 : 1257 // now[0] * now[0]])
    with pytest.raises(UsageError, match=r"of 16 images at a time .* takes 24"):
        data(3, 8, 0).load_state_dict(saved)
    data(3, 8, 0).load_state_dict({"seen": 0, "at_a_time": 16})  # between epochs anything goes


def test_an_epoch_of_shards_goes_on_with_as_many_devices(monkeypatch):
    """Each has a run of them to itself, which another number of devices would cut elsewhere."""
    spec = effcc.load("cc_pico_4e", settings={"data.batch_size": 8}, source="digits")
    going_on = ImageData(spec, SOURCES["digits"](spec.data))
    going_on.trainer = in_epoch(2, 0, batches=3)
    saved = {"epoch": 0, "seen": 48, "at_a_time": 16, "ranks": 1}
    going_on.load_state_dict(saved)
    monkeypatch.setattr(type(going_on.source.split("train")), "takes_turns", False)
    with pytest.raises(UsageError, match=r"dealt to 1 device, but this run has 2"):
        going_on.load_state_dict(saved)
    going_on.load_state_dict(saved | {"ranks": 2})


def in_epoch(devices, rank, batches):
    """What a data module asks its trainer in the middle of an epoch."""
    current = SimpleNamespace(started=1, processed=0)
    progress = SimpleNamespace(current=SimpleNamespace(processed=batches))
    loop = SimpleNamespace(
        epoch_progress=SimpleNamespace(current=current),
        epoch_loop=SimpleNamespace(batch_progress=progress),
    )
    return SimpleNamespace(world_size=devices, global_rank=rank, fit_loop=loop)


@pytest.mark.slow
def test_torchrun_starts_them_too(double, tmp_path):
    home = new_home(tmp_path)
    exact = TRAINING | {"trainer.precision": "64-true", "trainer.sync_batchnorm": "true"}
    out, err = run(home, "fit", exact, launcher=TORCHRUN)
    assert err == ""
    assert out.count("images to train on") == 1
    (here,), (there,) = records(home), records(double[0])
    assert losses(home, here) == losses(double[0], there)


@pytest.mark.slow
def test_one_of_them_predicts(double, tmp_path):
    home = double[0]
    Image.new("RGB", (20, 20)).save(tmp_path / "one.png")
    words = TINY | {"ckpt_path": records(home)[0]["checkpoint"]["path"]}
    for launcher in ((), TORCHRUN):  # the checkpoint asks for two devices
        process = start(home, "predict", words, launcher=launcher, more=[str(tmp_path)])
        code, out, err = finish(process)
        assert (code, err) == (0, "")
        assert out.count("one.png") == 1


@pytest.mark.slow
def test_processes_as_srun_starts_them_are_one_run(double, tmp_path):
    """SLURM's variables, set by hand: there is no SLURM here."""
    home = new_home(tmp_path)
    exact = TRAINING | {"trainer.precision": "64-true", "trainer.sync_batchnorm": "true"}
    shared = {
        "SLURM_JOB_ID": f"7{os.getpid() % 10000:04}",
        "SLURM_JOB_NAME": "effcc",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_NNODES": "2",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_LOCALID": "0",
    }
    tasks = [
        start(home, "fit", exact, **shared, SLURM_PROCID=str(n), SLURM_NODEID=str(n))
        for n in range(2)
    ]
    first, second = [finish(task) for task in tasks]
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert second[1:] == ("", "")
    (here,), (there,) = records(home), records(double[0])
    assert losses(home, here) == losses(double[0], there)


@pytest.mark.slow
def test_shards_train_as_whole_weights_do(tmp_path):
    # In single precision, where sums in another order differ by 1e-7 and 6 steps amplify it.
    short = TRAINING | {"trainer.devices": 2, "recipe.epochs": 2}
    shown, states = [], []
    for strategy in ("ddp", "fsdp"):
        home = new_home(tmp_path / strategy)
        run(home, "fit", short | {"trainer.strategy": strategy})
        (record,) = records(home)
        shown.append((losses(home, record), record["metrics"]))
        states.append(checkpoint(home, record))
    assert shown[1][0] == pytest.approx(shown[0][0], rel=1e-4)
    assert shown[1][1]["top1"]["n"] == 360
    for part in ("state_dict", "current_model_state"):
        assert states[1][part].keys() == states[0][part].keys()
        for name, value in states[0][part].items():
            torch.testing.assert_close(states[1][part][name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp", "auto"])
def test_a_run_in_shards_goes_on(tmp_path, strategy):
    """In shards as an unbroken one, in whole weights too, and by one device with their batch."""
    home = new_home(tmp_path)
    short = TRAINING | {"trainer.devices": 2, "trainer.strategy": "fsdp"}
    run(home, "fit", short | {"recipe.epochs": 2})
    run(home, "fit", short | {"recipe.epochs": 1})
    unbroken, first = records(home)
    again = short | {"recipe.epochs": 2, "trainer.strategy": strategy}
    if strategy == "auto":
        again |= {"trainer.devices": 1, "data.batch_size": 16}
    run(home, "fit", again | {"ckpt_path": first["checkpoint"]["path"]})
    continued = records(home)[-1]
    close = {"fsdp": 1e-6, "ddp": 1e-4, "auto": 0.05}[strategy]  # the last has another batch norm
    assert losses(home, continued) == pytest.approx(losses(home, unbroken)[1:], rel=close)
    assert continued["curve"][-1]["lr"] == unbroken["curve"][-1]["lr"]
    run(home, "test", TINY | {"ckpt_path": continued["checkpoint"]["path"], "trainer.devices": 1})
    assert records(home)[-1]["metrics"]["top1"] == continued["metrics"]["top1"]


LONG = TRAINING | {"recipe.epochs": 1000}


@contextmanager
def under_way(home, settings, *, launcher=(), **environment):
    """A run after two epochs, and the pids of its ranks; nothing of it is left afterwards."""
    process = start(home, "fit", settings, launcher=launcher, **environment)
    try:
        for line in process.stdout:
            if line.startswith("epoch 2/"):
                break
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
        pids = [int(pid) for pid in children.stdout.split()]
        yield process, pids if launcher else [process.pid, *pids]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def all_gone(group, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if subprocess.run(["pgrep", "-g", str(group)], capture_output=True).returncode:
            return True
        time.sleep(0.2)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("how", ["lightning", "torchrun"])
def test_killing_one_process_ends_all_with_a_message(how, victim, tmp_path):
    home = new_home(tmp_path)
    launcher = TORCHRUN if how == "torchrun" else ()
    with under_way(home, LONG | (TWO if how == "lightning" else {}), launcher=launcher) as run:
        process, pids = run
        os.kill(pids[victim], signal.SIGKILL)
        code, _, err = finish(process)
        assert all_gone(process.pid)
    if victim == 1:  # the first process lives to say it, and keeps what there is
        found = re.findall(r"^another process of the run ended in epoch \d+; go on .*$", err, re.M)
        assert len(found) == 1, err
        (said,) = found
        assert (home / said.rpartition(" ")[2]).is_file()
        assert code == (1 if launcher else 4)
    else:
        assert code == (1 if launcher else -signal.SIGKILL)
        assert ("exitcode  : -9" if launcher else "another process of the run ended in") in err
    assert records(home) == []


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_ctrl_c_ends_all_with_one_message(strategy, tmp_path):
    home = new_home(tmp_path)
    with under_way(home, LONG | TWO | {"trainer.strategy": strategy}) as (process, _):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        code, _, err = finish(process)
        assert all_gone(process.pid)
    assert code == 130, err
    assert len(err.splitlines()) == 1, err
    said = err.strip()
    assert said.startswith("stopped in epoch ")
    # Shards cannot be gathered when nobody knows who is still there.
    assert ("go on with --ckpt_path" in said) == (strategy == "ddp")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["lightning", "torchrun"])
def test_a_mistake_of_all_is_said_once(how, tmp_path):
    settings = TRAINING | {"data.batch_size": 1000}
    launcher = TORCHRUN if how == "torchrun" else ()
    process = start(
        new_home(tmp_path), "fit", settings | ({} if launcher else TWO), launcher=launcher
    )
    code, _, err = finish(process)
    assert all_gone(process.pid)
    assert err.count("a batch of 1000 on each of 2 devices") == 1
    assert code == (1 if launcher else 3)
    assert launcher or len(err.splitlines()) == 1


# What `python -m effcc` does, with a fault in the second process.
FAULTY = """
import os, sys
from effcc import cli
from effcc.ground.errors import UserError
from effcc.train import callbacks, module
if os.environ.get("LOCAL_RANK") == "1":
    {fault}
else:
    {other}
if __name__ == "__main__":
    sys.exit(cli.main())
"""


def faulty(home, fault, other="pass"):
    path = home / "faulty.py"
    path.write_text(FAULTY.format(fault=fault, other=other))
    return subprocess.Popen(
        [sys.executable, str(path), "fit", *CONFIG, *flags(TRAINING | TWO)],
        cwd=home,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_a_mistake_of_one_is_said_by_that_one(tmp_path):
    home = new_home(tmp_path)
    fault = (
        "def step(self, batch, number): raise UserError('this machine has no images')\n"
        "    module.CondConvModule.training_step = step"
    )
    process = faulty(home, fault)
    code, _, err = finish(process)
    assert all_gone(process.pid)
    assert re.search(r"^process 1 on \S+: this machine has no images$", err, re.M)
    assert re.search(r"^another process of the run ended in epoch 1", err, re.M)
    assert len(err.splitlines()) == 2
    assert code == 4


@pytest.mark.slow
def test_clocks_that_disagree_do_not_part_the_processes(tmp_path):
    # One finds that a minute has passed since the last checkpoint, the other that it has not.
    home = new_home(tmp_path)
    process = faulty(home, "callbacks.KEEP_EVERY_SECONDS = 1e9", "callbacks.KEEP_EVERY_SECONDS = 0")
    code, _, err = finish(process)
    assert (code, err) == (0, "")


@pytest.fixture
def two_machines():
    """Two network namespaces with a cable between them, and nothing else."""
    names = [f"effcc{os.getpid()}{side}" for side in "ab"]
    cable = [f"ve{os.getpid()}{side}" for side in "ab"]

    def ip(*words):
        return subprocess.run(["ip", *words], capture_output=True, text=True)

    if not shutil.which("ip"):
        pytest.skip("iproute2 is not installed")
    try:
        for name in names:
            if ip("netns", "add", name).returncode:
                pytest.skip("network namespaces are not permitted here")
        if ip("link", "add", cable[0], "type", "veth", "peer", "name", cable[1]).returncode:
            pytest.skip("virtual network cables are not permitted here")
        for number, (name, end) in enumerate(zip(names, cable, strict=True), 1):
            for words in (
                ["link", "set", end, "netns", name],
                ["-n", name, "address", "add", f"10.77.0.{number}/24", "dev", end],
                ["-n", name, "link", "set", end, "up"],
                ["-n", name, "link", "set", "lo", "up"],
            ):
                done = ip(*words)
                assert done.returncode == 0, done.stderr
        yield [(name, end) for name, end in zip(names, cable, strict=True)]
    finally:
        for name in names:
            ip("netns", "delete", name)  # its end of the cable goes with it
        ip("link", "delete", cable[0])


@pytest.mark.slow
def test_two_machines_train_as_one_process(two_machines, single, tmp_path):
    home = new_home(tmp_path)
    exact = TRAINING | {"trainer.precision": "64-true", "trainer.sync_batchnorm": "true"}
    machines = []
    for number, (name, end) in enumerate(two_machines):
        torchrun = ["ip", "netns", "exec", name, *TORCHRUN[:-1], "1", "--nnodes", "2"]
        where = ["--master_addr", "10.77.0.1", "--master_port", "29400"]
        launcher = [*torchrun, "--node_rank", str(number), *where]
        machines.append(start(home, "fit", exact, launcher=launcher, GLOO_SOCKET_IFNAME=end))
    first, second = [finish(machine, 120) for machine in machines]
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert second[1] == ""
    for line in (first[2] + second[2]).splitlines():
        assert "hostname of the client socket" in line  # torch: these machines have no names
    (two,), (one,) = records(home), records(single)
    assert two["device"]["count"] == 2
    assert losses(home, two) == pytest.approx(losses(single, one), rel=1e-6)
    assert two["metrics"]["top1"] == one["metrics"]["top1"]


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_gpus_train_as_one_with_the_double_batch(strategy, tmp_path):
    losses_of = []
    synced = {} if strategy == "fsdp" else {"trainer.sync_batchnorm": "true"}
    for name, settings in (
        ("one", {"trainer.devices": 1, "data.batch_size": 16}),
        ("two", {"trainer.devices": 2, "trainer.strategy": strategy} | synced),
    ):
        home = new_home(tmp_path / name)
        run(home, "fit", TRAINING | {"trainer.accelerator": "gpu"} | settings)
        losses_of.append(losses(home, records(home)[0]))
    close = 0.05 if strategy == "fsdp" else 1e-3  # without common statistics of batch norm
    assert losses_of[1] == pytest.approx(losses_of[0], rel=close)
