"""What is timed, each in a process of its own, which works only when it has its turn.

A process that has loaded nothing else shows the memory that one engine needs; while others have
their turn it sleeps, so that nothing is measured beside another. Torch is loaded there, not here.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from effcc.catalog.spec import Network
from effcc.train import process
from effcc.train.process import LostProcess

if TYPE_CHECKING:
    from torch import nn

# This share of a turn comes first and is not counted: caches are as the turn before left them.
WARM_UP = 0.2
# Calls that a turn has at least, however long they take.
CALLS = 3
# The tasks of a `Machine`, and their sizes: a side of square matrices whose product takes about a
# tenth of a second, and numbers to copy that no cache holds.
PRODUCT, COPY = 0, 1
SIDE, NUMBERS = 1536, 2**26

Call = Callable[[], object]


class Subject(Protocol):
    """Something to time; it travels to its process as it is."""

    def open(self) -> Callable[[int], Call]:
        """Load it: a function from a task to what is timed. Which tasks there are, it says."""
        ...

    def doing(self, task: int) -> str:
        """What a task is, for a message."""
        ...


@dataclass(frozen=True, slots=True)
class Inference:
    """A network by an engine; a task is a number of images.

    `path` is a graph from `nn.sessions`, or for torch a file of the network's weights.
    """

    engine: str
    label: str
    path: Path
    network: Network
    image_size: int
    threads: int

    def __str__(self) -> str:
        return f"{self.engine}, {self.label} network"

    def open(self) -> Callable[[int], Call]:
        """The engine, loaded."""
        import torch

        torch.set_num_threads(self.threads)
        compute = self._load()
        # How each engine takes images without copying them first.
        layout = torch.channels_last if self.engine == "torch" else torch.contiguous_format
        random = torch.Generator().manual_seed(0)

        def calls(images: int) -> Call:
            shape = (images, self.network.in_channels, self.image_size, self.image_size)
            batch = torch.randn(shape, generator=random).contiguous(memory_format=layout)
            return torch.inference_mode()(lambda: compute(batch))

        return calls

    def doing(self, task: int) -> str:
        """How many images."""
        return f"computing batches of {task:,}"

    def _load(self) -> nn.Module:
        import torch

        if self.engine != "torch":
            from effcc.nn import sessions

            return sessions.SESSIONS[self.engine](self.path, self.threads)
        from effcc.nn import efficientnet, inference

        model = efficientnet.build(self.network)
        model.load_state_dict(torch.load(self.path, weights_only=True, mmap=True))
        return inference.optimize(model.eval())


@dataclass(frozen=True, slots=True)
class Machine:
    """What the processor can do, by torch; the tasks are `PRODUCT` and `COPY`."""

    threads: int

    def __str__(self) -> str:
        return "the machine itself"

    def open(self) -> Callable[[int], Call]:
        """Matrices and memory, made."""
        import torch

        torch.set_num_threads(self.threads)
        left, right = (torch.randn(SIDE, SIDE) for _ in range(2))
        product = torch.empty(SIDE, SIDE)
        source, target = torch.ones(NUMBERS), torch.zeros(NUMBERS)
        return {
            PRODUCT: lambda: torch.mm(left, right, out=product),
            COPY: lambda: target.copy_(source),
        }.__getitem__

    def doing(self, task: int) -> str:
        """Which of the two."""
        return "multiplying matrices" if task == PRODUCT else "copying memory"

    @staticmethod
    def operations() -> int:
        """Floating-point operations of a matrix product."""
        return 2 * SIDE**3

    @staticmethod
    def copied() -> int:
        """Bytes that a copy reads and writes, of float32."""
        return 2 * 4 * NUMBERS


class Worker:
    """The process of one subject; it ends with the process that made it."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        context = multiprocessing.get_context("spawn")  # which inherits no memory
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, subject), daemon=True)
        self._process.start()
        theirs.close()

    def ready(self) -> None:
        """Wait until the subject is loaded; raises as `turn`."""
        self._answer("while loading")

    def turn(self, task: int, seconds: float) -> list[float]:
        """Let it work; returns the seconds of each call that counts.

        Raises:
            LostProcess: it is gone, perhaps for want of memory.
        """
        return self._ask((task, seconds), self.subject.doing(task))

    def end(self) -> int:
        """Let it go; returns the most bytes that were resident in it."""
        peak = self._ask(None, "at the end")
        self._process.join()
        return peak

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def _ask(self, task: tuple[int, float] | None, when: str) -> Any:
        with contextlib.suppress(OSError):  # a process that is gone does not answer either
            self._pipe.send(task)
        return self._answer(when)

    def _answer(self, when: str) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            raise LostProcess(
                f"{self.subject}: its process ended {when} (exit code {self._process.exitcode}); "
                "is there memory for it? Nothing was recorded"
            ) from None


def _serve(pipe: Connection, subject: Subject) -> None:
    """Work off tasks until there are none; the life of a subject's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the first process's to answer
    process.keep_memory()  # before torch is imported
    try:
        calls = subject.open()
        pipe.send(None)
        prepared: dict[int, Call] = {}
        while asked := pipe.recv():
            task, seconds = asked
            if task not in prepared:
                prepared[task] = calls(task)
            pipe.send(_timed(prepared[task], seconds))
        pipe.send(_most_resident())
    except (EOFError, OSError):  # the first process is gone
        sys.exit(1)
    except (MemoryError, RuntimeError) as error:
        if "memory" not in f"{error!r}".lower():
            raise
        sys.exit(1)


def _timed(call: Call, seconds: float) -> list[float]:
    started = time.perf_counter()
    while time.perf_counter() - started < WARM_UP * seconds:
        call()
    call()
    found: list[float] = []
    while len(found) < CALLS or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        call()
        found.append(time.perf_counter() - before)
    return found


def _most_resident() -> int:
    """Of this process so far, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        import resource

        # On Linux this one begins at what the process that started this one had.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
