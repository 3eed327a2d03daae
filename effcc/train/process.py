"""What a run asks of its process: to keep its memory, and to be one of several."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from effcc.ground.errors import UsageError, UserError
from effcc.ground.words import printable

# From malloc.h. Blocks of any size come from the heap, and the heap does not shrink.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4

_PROC = Path("/proc")

# How long a process waits whether the first one says the same, in seconds; that one stays longer,
# so that whoever knows the cause can say it.
OTHERS_WAIT, FIRST_WAITS = 2.0, 3.0

# What launchers number processes by, and how many there are.
_NUMBERS = (
    *("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    *("SLURM_PROCID", "SLURM_LOCALID", "TORCHELASTIC_RESTART_COUNT"),
)

# Where a first process leaves its number for those that Lightning starts from it.
_FIRST = "EFFCC_FIRST_PROCESS"


class LostProcess(UserError):
    """Another process of the run ended before its time."""

    exit_code = 4


def check_numbers() -> None:
    """Look at what launchers number processes by, before Lightning does while it is imported.

    Raises:
        UsageError: something of it is no number.
    """
    for name in _NUMBERS:
        if (said := os.environ.get(name)) and not said.isdecimal():
            raise UsageError(
                f"{name}={said}: a launcher of several processes sets it to a number; unset it"
            )


def is_first() -> bool:
    """Whether this process speaks and writes for the run: rank 0, as launchers number them."""
    if os.environ.get("RANK"):
        return _number("RANK") == 0
    return not any(map(_number, ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")))


def launch() -> str:
    """What tells one torchrun from every other, in all its processes and restarts; else empty.

    That is the id given to it, or, on one machine, which process it is.
    """
    environment = os.environ
    if "TORCHELASTIC_RUN_ID" not in environment:
        return ""
    named = environment["TORCHELASTIC_RUN_ID"]
    if named != "none":  # what it is where nobody chose one
        return f"torchrun {named}"
    alone = environment.get("GROUP_WORLD_SIZE") == "1"
    return f"torchrun {platform.node()} {_which(os.getppid())}" if alone else ""


def _which(number: int) -> str:
    """A process by its number, and when it began: in containers, numbers and names come again."""
    try:
        # Its name, in parentheses, may have spaces and parentheses; the start is the 22nd of all.
        after = (_PROC / str(number) / "stat").read_text(errors="replace").rpartition(")")[2]
        began = after.split()[19]  # in ticks since the machine started
        started = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except (OSError, IndexError):  # not Linux
        return str(number)
    return f"{number} {began} {started}"


def is_restarted() -> bool:
    """Whether torchrun has started this process in the place of one that failed."""
    return _number("TORCHELASTIC_RESTART_COUNT") > 0


def _number(name: str) -> int:
    """What a launcher says by a variable; 0 if it says nothing, or what `check_numbers` refuses."""
    said = os.environ.get(name, "")
    return int(said) if said.isdecimal() else 0


def complain(error: UserError) -> None:
    """Say what is wrong, once for all processes.

    A mistake that all of them find is the first one's to say: it ends, and with it, or by their
    launcher, end the others while they wait. A mistake that one finds alone is said by that one.
    """
    if is_first():
        print(printable(str(error)), file=sys.stderr, flush=True)
        if isinstance(error, LostProcess):
            _wait(FIRST_WAITS, _a_child_has_ended)
        return
    if _FIRST in os.environ and isinstance(error, LostProcess):
        # The first one sees to the rest, unless it was killed: then it is gone at once.
        if not _wait(0.5, _first_is_gone):
            _wait(60, _first_is_gone)
            return
    elif _wait(OTHERS_WAIT, lambda: _FIRST in os.environ and _first_is_gone()):
        return
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    rank = next(rank for rank in (*ranks, "0") if rank)
    said = printable(f"process {rank} on {platform.node()}: {error}")
    print(said, file=sys.stderr, flush=True)
    if _FIRST in os.environ:  # it ends by what it lost, not by Lightning's kill on a dead child
        _wait(FIRST_WAITS, _first_is_gone)


def follow_first() -> None:
    """End with the process that started this one, if Lightning did so from the first.

    Without this, a process that waits for the first one's part of a sum would wait on as an orphan.
    Ctrl-C, which a terminal sends to all of them, is the first one's to answer.
    """
    if is_first():
        os.environ[_FIRST] = str(os.getpid())
    elif _FIRST not in os.environ or _first_is_gone():
        os.environ.pop(_FIRST, None)  # another launcher started this one, in some run's environment
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_watch_first, daemon=True, name="follow-first").start()


def take_threads(count: int) -> None:
    """Compute with so many threads, if the machine has the cores: sums are split among them."""
    import torch  # whoever only asks which process this is does without

    if count <= (os.cpu_count() or 1):
        torch.set_num_threads(count)


def keep_memory() -> bool:
    """Ask the C library to keep freed memory, and torch for large pages; whether both will.

    By default every buffer above 128 KiB is mapped afresh and given back each step; the kernel then
    zeroes the same pages again and again. Keeping them alone is not enough: glibc asks for a little
    more than the size when an alignment is wanted, so a freed buffer never fits the next of its
    size, and the heap grows instead. With large pages torch aligns to 2 MiB, and buffers fit.

    Torch reads its setting when it is imported, so afterwards it is too late and nothing is done.
    `EFFCC_MALLOC=default` turns this off. `benchmarks/allocator.py` measures it.
    """
    if not sys.platform.startswith("linux") or os.environ.get("EFFCC_MALLOC") == "default":
        return False
    if "torch" in sys.modules:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    wishes = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 * 2**20))
    return all([mallopt(option, value) == 1 for option, value in wishes])


def _wait(seconds: float, done: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.05)
    return False


def _a_child_has_ended() -> bool:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # there is none: another launcher started the processes
        return False


def _first_is_gone() -> bool:
    return os.environ[_FIRST] != str(os.getppid())


def _watch_first() -> None:
    while not _first_is_gone():
        time.sleep(1)
    time.sleep(10)  # if this process can end by itself, it does
    print("the run's first process is gone; stopped", file=sys.stderr, flush=True)
    os._exit(LostProcess.exit_code)
