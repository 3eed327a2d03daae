"""Shared work comes back whole and in order, or its error does."""

import os
import subprocess
import sys

import pytest

from effcc.ground import workers

# In a process of its own: whoever has loaded torch makes no copies.
ALONE = """
import os, sys
from effcc.ground import workers
workers._cores = lambda: 3
"""


def alone(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE + code],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_many_items_are_made_by_several_processes_and_kept_in_order():
    code, out, err = alone(
        "made = workers.each(lambda n: (n * n, os.getpid()), range(1000))\n"
        "assert [square for square, _ in made] == [n * n for n in range(1000)]\n"
        "print(len({pid for _, pid in made}))"
    )
    assert (code, out.strip()) == (0, "3"), err


def test_a_few_items_are_made_here():
    assert {workers.each(lambda _: os.getpid(), [0] * 9)[0]} == {os.getpid()}


@pytest.mark.parametrize("number", [0, 1, 999])
def test_an_error_in_any_process_is_raised_here(number):
    code, _, err = alone(
        f"def work(n):\n    if n == {number}: raise ValueError('that one')\n"
        "workers.each(work, range(1000))"
    )
    assert code == 1
    assert err.strip().endswith("ValueError: that one")


def test_a_process_that_dies_is_not_waited_for():
    """Nor if the others have more to send than a pipe holds."""
    code, _, err = alone(
        "work = lambda n: n == 1 and os._exit(9) or 'x' * 10_000\nworkers.each(work, range(1000))"
    )
    assert code == 1
    assert "EOFError" in err


@pytest.mark.parametrize("number", [0, 1])
def test_what_is_wrong_with_a_file_is_told_from_any_process(number):
    code, out, err = alone(
        "from effcc.ground.errors import BadFile, Place, Problem\n"
        "wrong = Problem(Place('a.yaml', 3, 7), 'key', 'message')\n"
        "def work(n):\n"
        f"    if n == {number}: raise BadFile(wrong)\n"
        "try: workers.each(work, range(1000))\n"
        "except BadFile as error: print(error, error.exit_code, error.problems == (wrong,))"
    )
    assert (code, out.strip()) == (0, "a.yaml:3:7: key: message 3 True"), err


def test_nothing_is_copied_from_a_process_with_threads_or_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", object())
    assert workers._cores() == 1
