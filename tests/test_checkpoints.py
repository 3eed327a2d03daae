"""Nothing lost: whatever ends a run, at whatever moment, it goes on and ends with the same bits."""

import functools
import math
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import faults
import pytest
from child import Command
from conftest import copied
from faults import mounted, needs_mounts, small
from test_run import assert_same_bits, content, fit

from effcc import cli
from effcc.catalog import results
from effcc.data.loader import Training
from effcc.ground.home import Home
from effcc.nn.weights import BadCheckpoint
from effcc.sources.decode import BadImage
from effcc.train import checkpoints, run
from effcc.train.checkpoints import Keeper
from effcc.train.module import CondConvModule

PICO = "cc_pico_4e"

# Three epochs of twelve steps, of a network that can be written in some milliseconds.
FIT = [
    *("fit", "--config", "registry/cc_pico_4e.yaml"),
    *("--network.depth", "0.3", "--network.head", "64", "--data.batch_size", "8"),
    *("--recipe.epochs", "3", "--recipe.warmup_epochs", "1", "--network.drop_path", "0.2"),
    *("--trainer.limit_train_batches", "12", "--trainer.limit_val_batches", "2"),
    *("--trainer.limit_test_batches", "2", "--trainer.accelerator", "cpu"),
]


def started(project, *settings):
    """A run that keeps every step, from the last checkpoint if there is one."""
    last = ["--ckpt_path", "last"] if checkpoints.newest(project.runs / PICO) else []
    return Command(project, *FIT, *settings, *last, always=True)


def recorded(project):
    """The one record of a project, and its checkpoint."""
    (record,) = results.load(project, PICO)
    return record, project.root / record.checkpoint["path"]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The record and the checkpoint of a run that nobody stopped."""
    return ended(copied(tmp_path_factory.mktemp("unbroken")))


def ended(project, *settings):
    """Let a run go on undisturbed, if it has not ended: its record and checkpoint."""
    if not results.load(project, PICO):
        command = started(project, *settings)
        assert command.wait() == 0, command.said
    return recorded(project)


def assert_same(one, other):
    """Two runs ended with the same bits and tell the same of their training."""
    assert_same_bits(one[1], other[1])
    for what in ("metrics", "curve", "steps"):
        assert getattr(one[0], what) == getattr(other[0], what)


def killed(project, chance, *settings):
    """Kill a run soon after it has kept something; whether it had not ended."""
    command = started(project, *settings)
    if command.until("last.ckpt"):
        command.process.join(chance.uniform(0, 0.15))
    command.signal(signal.SIGKILL)
    return command.wait() == -signal.SIGKILL


def killed_at_once(project, chance, *settings):
    """Kill a run at any moment from its process's first to some step."""
    command = started(project, *settings)
    command.process.join(chance.uniform(0, 3))
    command.signal(signal.SIGKILL)
    return command.wait() == -signal.SIGKILL


def killed_in_a_write(project, chance, *settings):
    """Kill a run while it writes a checkpoint over another; whether that was hit."""
    command = started(project, *settings)
    if command.until("previous.ckpt") and command.until("last.ckpt.part"):
        command.process.join(chance.uniform(0, 0.01))
    command.signal(signal.SIGKILL)
    parts = [folder / "last.ckpt.part" for folder in command.folders]
    return command.wait() == -signal.SIGKILL and any(part.exists() for part in parts)


def test_a_run_killed_at_any_moment_ends_as_an_unbroken_one(project, unbroken):
    chance = random.Random(7)
    assert killed(project, chance)
    assert any(killed_in_a_write(project, chance) for _ in range(5))
    assert killed(project, chance)
    assert_same(unbroken, ended(project))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_killed_twenty_times_ends_as_an_unbroken_one(project, tmp_path, seed):
    longer = ("--trainer.limit_train_batches", "40", "--seed", seed)
    chance, hits = random.Random(seed), Counter()
    kinds = (killed, killed_in_a_write, killed_at_once)
    while hits.total() < 20:
        assert not results.load(project, PICO), f"ended after {hits}"
        # At least five while a checkpoint is written, the others wherever chance will have it.
        kind = killed_in_a_write if hits[killed_in_a_write] < 5 else chance.choice(kinds)
        hits[kind] += kind(project, chance, *longer)
    assert hits[killed_in_a_write] >= 5
    whole = ended(copied(tmp_path / "whole"), *longer)
    assert_same(whole, ended(project, *longer))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_by_itself_and_says_how_to_go_on(project, unbroken, number):
    command = started(project, "--data.workers", "1")
    assert command.until("last.ckpt")
    # To the loader processes too, as terminals and clusters do.
    command.signal(number, everyone=True)
    assert command.wait() == 128 + number, command.said
    last = command.said.splitlines()[-1]
    assert last.startswith("stopped in epoch")
    (path,) = project.runs.glob("*/*/last.ckpt")
    assert last.endswith(f"; go on with --ckpt_path {project.shown(path)}")
    assert not list(project.runs.glob("*/*/*.part"))
    if number == signal.SIGTERM:
        assert_same(unbroken, ended(project))


def test_a_loader_process_that_is_killed_ends_the_run_in_one_line(project, unbroken):
    command = started(project, "--data.workers", "1")
    assert command.until("previous.ckpt"), command.said
    found = subprocess.run(["pgrep", "-P", str(command.pid)], capture_output=True, text=True)
    os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
    assert command.wait() == 4, command.said
    last = command.said.splitlines()[-1]
    (path,) = project.runs.glob("*/*/last.ckpt")
    how, _, where = last.partition(" (if memory ran out, lower --data.workers) in epoch ")
    said = ("is killed by signal: Killed", "exited unexpectedly")
    assert how in [f"a process that loads images {ended}" for ended in said], command.said
    assert where[1:] == f"; go on with --ckpt_path {project.shown(path)}"
    assert "Traceback" not in command.said
    assert_same(unbroken, ended(project))


@pytest.mark.slow
def test_a_log_without_room_stops_the_run_and_loses_nothing(project, unbroken):
    command = started(project)
    assert command.until("last.ckpt"), command.said
    (folder,) = command.folders
    full = folder / "full"
    full.symlink_to("/dev/full")  # takes nothing: no space left on device
    os.replace(full, folder / "metrics.csv")
    assert command.wait() == 3, command.said
    shown = project.shown(folder / "last.ckpt")
    assert command.said.splitlines()[-1] == (
        f"{folder}: the log cannot be written: No space left on device; go on with --ckpt_path "
        f"{shown}"
    )
    assert_same(unbroken, ended(project))


@needs_mounts
@pytest.mark.slow
def test_a_disk_that_fills_up_with_checkpoints_keeps_the_one_before(project):
    project.runs.mkdir()
    with mounted(small(project.runs, "11m")) as mounts:
        first = functools.partial(faults.enter, mounts.pid)
        command = Command(project, *FIT, always=True, first=first)
        assert command.wait() == 3, command.said
        last = command.said.splitlines()[-1]
        assert "last.ckpt: cannot be written: No space left on device; go on with" in last
        kept = mounts.seen(project.root / last.rpartition(" ")[2])
        assert content(kept)["global_step"] >= 1
        assert not list(kept.parent.glob("*.part"))


@pytest.mark.slow
def test_of_two_processes_a_signal_to_one_stops_both_at_the_same_step(tmp_path):
    words = [*FIT, "--trainer.devices", "2", "--trainer.strategy", "ddp"]

    def start(project, *more):
        command = [sys.executable, "-m", "effcc", *words, *more]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, cwd=project.root, text=True, **pipes)

    def said(process, code):
        text, _ = process.communicate(timeout=200)
        assert process.returncode == code, text
        return text

    whole, broken = (copied(tmp_path / name) for name in ("whole", "broken"))
    said(start(whole), 0)
    process = start(broken)
    while process.poll() is None and not list(broken.runs.glob("*/*/last.ckpt")):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert "by SIGTERM; go on with --ckpt_path" in said(process, 128 + signal.SIGTERM)
    said(start(broken, "--ckpt_path", "last"), 0)
    assert_same(recorded(whole), recorded(broken))


def test_a_full_disk_stops_the_run_in_one_line_and_leaves_the_checkpoint(project, unbroken):
    command = started(project)
    assert command.until("previous.ckpt")
    resource.prlimit(command.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    assert command.wait() == 3, command.said
    (folder,) = command.folders
    shown = project.shown(folder / "last.ckpt")
    assert command.said.splitlines()[-1] == (
        f"{folder / 'last.ckpt'}: cannot be written: File too large; go on with --ckpt_path {shown}"
    )
    assert {path.name for path in folder.glob("*.ckpt*")} == {"last.ckpt", "previous.ckpt"}
    assert_same(unbroken, ended(project))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A project with a run that kept its last two steps."""
    project = copied(tmp_path_factory.mktemp("written"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "Keeper", functools.partial(Keeper, every=0, share=math.inf))
        _, path = fit(project)
    return project, path


@pytest.fixture
def last(written):
    """The last checkpoint, which a test may damage."""
    _, path = written
    whole = path.read_bytes()
    yield path
    path.write_bytes(whole)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def spoil(path):
    middle = path.stat().st_size // 2
    with path.open("r+b") as file:
        file.seek(middle)
        file.write(bytes(5000))


def empty(path):
    path.write_bytes(b"")


def test_a_run_keeps_its_last_two_checkpoints(written):
    _, path = written
    assert content(path)["global_step"] == 3
    assert content(path.with_name("previous.ckpt"))["global_step"] == 2
    found = checkpoints.newest(path.parents[1])
    assert (found.checkpoint.path, found.instead) == (path, "")


@pytest.mark.parametrize("damage", [cut, spoil, empty, lambda path: path.unlink()])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(written, last, damage, capsys):
    project, _ = written
    damage(last)
    words = ["--config", str(project.registry / "cc_pico_4e.yaml"), "--ckpt_path", "last"]
    assert cli.main(["fit", *words, "--print_config"]) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(str(last))
    assert first.endswith("; taking the one before it")
    assert second == f"checkpoint {project.shown(last.with_name('previous.ckpt'))}"


def test_a_run_with_nothing_whole_says_so_and_no_other_is_taken(written, last, tmp_path):
    runs = tmp_path / PICO
    for name in ("20260101T000000Z-fit-digits-0", "20260102T000000Z-fit-digits-0"):
        (runs / name).mkdir(parents=True)
        (runs / name / "last.ckpt").write_bytes(last.read_bytes())
    (runs / "20260103T000000Z-fit-digits-0").mkdir()  # killed before it had kept anything
    assert checkpoints.newest(runs).checkpoint.path.parent.name.startswith("20260102")
    cut(runs / "20260102T000000Z-fit-digits-0" / "last.ckpt")
    with pytest.raises(BadCheckpoint, match="20260102"):
        checkpoints.newest(runs)
    assert checkpoints.newest(tmp_path / "none") is None


def writes(home, monkeypatch, **keeper):
    """The steps at which a run of two epochs, three steps each, writes a checkpoint."""
    steps = []
    monkeypatch.setattr(run, "Keeper", functools.partial(Keeper, **keeper))
    original = checkpoints.WholeFiles.save_checkpoint

    def spy(self, checkpoint, path, storage_options=None):
        steps.append(checkpoint["global_step"])
        original(self, checkpoint, path)

    monkeypatch.setattr(checkpoints.WholeFiles, "save_checkpoint", spy)
    fit(home, recipe__epochs=2, network__depth=0.3)
    return steps


@pytest.mark.parametrize(
    ("keeper", "steps"),
    [
        ({}, [1, 6]),
        ({"every": 0, "share": 1e-9}, [1, 6]),
        ({"every": 0, "share": math.inf}, [1, 2, 3, 4, 5, 6]),
    ],
    ids=["once a minute", "for a small share of the time", "always"],
)
def test_checkpoints_are_written_at_the_first_step_in_intervals_and_at_the_end(
    tmp_path, monkeypatch, keeper, steps
):
    assert writes(Home(tmp_path.resolve()), monkeypatch, **keeper) == steps


def test_an_error_between_two_steps_keeps_what_was_done(tmp_path, monkeypatch, last):
    home = Home(tmp_path.resolve())
    original, read = Training.__getitem__, []

    def unreadable(self, index):
        read.append(index)
        if len(read) == 2 * 16 + 1:
            raise BadImage("a.png: cannot be decoded")
        return original(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "__getitem__", unreadable)
        with pytest.raises(BadImage, match=r"a\.png"):
            fit(home)
    (path,) = home.runs.glob("*/*/last.ckpt")
    assert content(path)["global_step"] == 2
    _, finished = fit(home, checkpoint=path)
    assert_same_bits(last, finished)


def test_an_error_within_a_step_keeps_what_was_before(tmp_path, monkeypatch):
    home, original = Home(tmp_path.resolve()), CondConvModule.training_step

    def failing(self, batch, batch_idx):
        assert batch_idx < 2, "our mistake"
        return original(self, batch, batch_idx)

    monkeypatch.setattr(CondConvModule, "training_step", failing)
    with pytest.raises(AssertionError, match="our mistake"):
        fit(home)
    (path,) = home.runs.glob("*/*/last.ckpt")
    assert content(path)["global_step"] == 1


def test_a_run_by_steps_goes_on_from_each_of_them(tmp_path, monkeypatch):
    home, kept = Home(tmp_path.resolve()), []
    monkeypatch.setattr(run, "Keeper", functools.partial(Keeper, every=0, share=math.inf))
    original = checkpoints.WholeFiles.save_checkpoint

    def spy(self, checkpoint, path, storage_options=None):
        original(self, checkpoint, path)
        kept.append(shutil.copy(path, tmp_path / f"{len(kept)}.ckpt"))

    monkeypatch.setattr(checkpoints.WholeFiles, "save_checkpoint", spy)
    settings = {"trainer__max_steps": 5, "recipe__epochs": 2, "network__depth": 0.3}
    whole = fit(home, **settings)
    assert [content(path)["global_step"] for path in kept] == [1, 2, 3, 4, 5]
    for path in kept[2:]:  # at an epoch's end, within another, and where the run ends
        assert_same(whole, fit(home, checkpoint=path, **settings))
