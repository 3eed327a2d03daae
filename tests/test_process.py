"""What a run asks of its process: its memory, and its rank."""

import ctypes
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
    return given


def test_glibc_is_asked_to_keep_memory(options):
    assert process.keep_memory()
    assert set(options) == {-1, -2, -4}  # M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX
    assert options[-4] == 0
    assert all(0 <= value < 2**31 for value in options.values())  # mallopt takes an int


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
