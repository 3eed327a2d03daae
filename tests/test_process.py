"""What a run asks of its process: its memory, and its rank."""

import ctypes
import os
import subprocess
import sys

import pytest

from effcc.train import process


@pytest.fixture
def options(monkeypatch):
    """The options that a stand-in for glibc's mallopt is given."""
    given = {}

    class Library:
        @staticmethod
        def mallopt(option, value):
            given[option] = value
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("EFFCC_MALLOC", raising=False)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "")
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE")
    return given


def test_glibc_is_asked_to_keep_memory(options):
    assert process.keep_memory()
    assert set(options) == {-1, -2, -4}  # M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX
    assert options[-4] == 0
    assert all(0 <= value < 2**31 for value in options.values())  # mallopt takes an int
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"


def test_it_is_too_late_once_torch_is_there(options, monkeypatch):
    """Kept memory without large pages makes the heap grow with every large buffer."""
    monkeypatch.setitem(sys.modules, "torch", object())
    assert not process.keep_memory()
    assert not options
    assert "THP_MEM_ALLOC_ENABLE" not in os.environ


def test_every_command_that_runs_asks_before_torch_is_imported(project):
    """With weights to read, torch is imported while the command line is still being resolved."""
    script = (
        "import effcc.cli, os, sys\n"
        "code = effcc.cli.main(['test', '--config', 'registry/cc_pico_4e.yaml', "
        "'--ckpt_path', 'none.ckpt'])\n"
        "assert 'torch' in sys.modules\n"
        "assert (code, os.environ.get('THP_MEM_ALLOC_ENABLE')) == (3, '1')\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("EFFCC_MALLOC",)}
    environment.pop("THP_MEM_ALLOC_ENABLE", None)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_environment_turns_it_off(options, monkeypatch):
    monkeypatch.setenv("EFFCC_MALLOC", "default")
    assert not process.keep_memory()
    assert not options


def test_another_system_or_library_is_left_alone(options, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not process.keep_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not process.keep_memory()
    assert not options


def test_a_refusal_is_reported(options, monkeypatch):
    class Refusing:
        @staticmethod
        def mallopt(option, value):
            options[option] = value
            return int(option != -4)

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Refusing)
    assert not process.keep_memory()
    assert len(options) == 3  # the others are asked for all the same


@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "1", "LOCAL_RANK": "1"}, False),
        ({"RANK": "8", "LOCAL_RANK": "0"}, False),  # the first process of a second machine
        ({"LOCAL_RANK": "1"}, False),
        ({"SLURM_PROCID": "3"}, False),
        ({"SLURM_PROCID": "0", "LOCAL_RANK": "1"}, False),  # Lightning's, inside a batch script
        ({"NODE_RANK": "1"}, False),  # a second machine, before Lightning starts its processes
        ({"NODE_RANK": "0", "LOCAL_RANK": "0"}, True),
    ],
    ids=str,
)
def test_rank_zero_is_first(environment, first, monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, rank in environment.items():
        monkeypatch.setenv(name, rank)
    assert process.is_first() is first


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT"])
@pytest.mark.parametrize("said", ["abc", "-1"])
def test_a_number_that_is_none_is_said_before_lightning_is_imported(project, name, said):
    """Which would be a traceback: it asks for its rank while it is imported."""
    done = subprocess.run(
        [sys.executable, "-m", "effcc", "fit", "--config", "registry/cc_pico_4e.yaml"],
        cwd=project.root,
        env=os.environ | {name: said},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"{name}={said}: a launcher ")
    assert done.stderr.count("\n") == 1
