"""torchrun starts a run's processes again when one of them dies: the run goes on where it was."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from test_ranks import TRAINING, all_gone, finish, new_home, records, start
from test_run import assert_same_bits, content

from effcc.ground.errors import UsageError
from effcc.train import checkpoints, process

RESTARTING = [
    *(sys.executable, "-m", "torch.distributed.run"),
    *("--nproc_per_node", "2", "--max-restarts", "9", "--monitor-interval", "0.2"),
]
LONGER = TRAINING | {"recipe.epochs": 12}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, ""),
        ({"TORCHELASTIC_RUN_ID": "mine", "GROUP_WORLD_SIZE": "2"}, "torchrun mine"),
        ({"TORCHELASTIC_RUN_ID": "none", "GROUP_WORLD_SIZE": "2"}, ""),
        (
            {"TORCHELASTIC_RUN_ID": "none", "GROUP_WORLD_SIZE": "1"},
            "torchrun \\S+ \\d+( \\d+ \\S+)?",
        ),
    ],
)
def test_one_torchrun_is_told_from_every_other_where_it_can_be(environment, said, monkeypatch):
    for name in ("TORCHELASTIC_RUN_ID", "GROUP_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert re.fullmatch(said, process.launch())


def test_a_torchrun_with_the_number_of_an_older_one_is_another(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("GROUP_WORLD_SIZE", "1")
    monkeypatch.setattr(process, "_PROC", tmp_path)
    stat = tmp_path / str(os.getppid()) / "stat"
    boot = tmp_path / "sys" / "kernel" / "random" / "boot_id"
    for path in (stat, boot):
        path.parent.mkdir(parents=True)

    def launch(name="python", began=4711, started="a-b"):
        stat.write_text(f"{os.getppid()} ({name}) S {' '.join('1' * 18)} {began} 5 6\n")
        boot.write_text(f"{started}\n")
        return process.launch()

    assert launch() == launch() == launch("1 ) S 2 (")
    assert len({launch(), launch(began=4712), launch(started="a-c")}) == 3
    stat.unlink()
    assert re.fullmatch("torchrun \\S+ \\d+", process.launch())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process began")
def test_when_a_torchrun_began_is_what_the_system_says(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("GROUP_WORLD_SIZE", "1")
    began = int(process.launch().split()[3]) / os.sysconf("SC_CLK_TCK")
    assert 0 <= began <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_run_that_another_torchrun_began_is_not_taken(tmp_path):
    for number, launch in enumerate(("torchrun a", "torchrun b", "torchrun a")):
        folder = tmp_path / f"2026010{number}T000000Z-fit-digits-0"
        folder.mkdir()
        (folder / checkpoints.LAUNCH).write_text(launch)
    (tmp_path / "20260109T000000Z-fit-digits-0").mkdir()  # of no torchrun
    assert checkpoints.of_launch(tmp_path, "torchrun a") is None  # it has kept nothing yet
    assert checkpoints.of_launch(tmp_path, "torchrun c") is None
    with pytest.raises(UsageError, match="give it --rdzv-id NAME, another one for every run"):
        checkpoints.of_launch(tmp_path, "")


@pytest.mark.slow
def test_torchrun_starts_a_run_again_that_goes_on_where_it_was(tmp_path):
    whole, broken = (new_home(tmp_path / name) for name in ("whole", "broken"))
    # An older run, unfinished, that a restart must leave alone.
    code, _, err = finish(start(broken, "fit", LONGER | {"trainer.max_steps": 1}), 120)
    assert code == 0, err
    for path in broken.glob("registry/results/*/*.json"):
        path.unlink()
    under_way = start(broken, "fit", LONGER, launcher=RESTARTING)
    kills = 0
    try:
        for line in under_way.stdout:
            if re.match(rf"epoch {2 + 4 * kills}/", line) and kills < 2:
                found = subprocess.run(
                    ["pgrep", "-P", str(under_way.pid)], capture_output=True, text=True
                )
                os.kill(int(found.stdout.split()[kills]), signal.SIGKILL)  # rank 0, then rank 1
                kills += 1
        code, _, err = finish(under_way, 240)
    finally:
        assert all_gone(under_way.pid)
    assert (code, kills) == (0, 2), err
    again = re.findall(r"^started again by torchrun; checkpoint (\S+)$", err, re.M)
    assert len(again) >= 2, err  # more where gloo's first try to connect fails
    code, _, err = finish(start(whole, "fit", LONGER, launcher=RESTARTING), 240)
    assert code == 0, err
    (one,), (other,) = records(whole), records(broken)
    assert one["steps"] == other["steps"] == 36
    assert one["metrics"] == other["metrics"]
    paths = [home / made["checkpoint"]["path"] for home, made in ((whole, one), (broken, other))]
    assert content(paths[1])["global_step"] == 36
    assert_same_bits(*paths)
