"""What asks a run to stop from outside: Ctrl-C, and a cluster that wants its machine back.

A signal only leaves a wish. The run stops after the step it is in, when `checkpoints` has written.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

import lightning as L

from effcc.train import process

# Windows has no SIGUSR1, which SLURM sends where a job asked for `--signal=USR1@SECONDS`.
_NAMES = ("SIGINT", "SIGTERM", "SIGUSR1")
_HEARD: list[signal.Signals] = [s for s in signal.Signals if s.name in _NAMES]


class Stopped(Exception):
    """A signal's wish, raised where nothing is lost by it."""


class Signals(L.Callback):
    """The first signal that asked the run to stop, if one did."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    @contextmanager
    def listening(self) -> Generator[None]:
        """Inside, a signal is noted instead of ending the process; Ctrl-C after one ends it."""
        before = {number: signal.getsignal(number) for number in _HEARD}
        self._listen()
        try:
            yield
        finally:
            if _may_listen():
                for number, handler in before.items():
                    signal.signal(number, signal.SIG_DFL if handler is None else handler)

    # Lightning has put a handler of its own before ours by then. It would raise between two batches
    # of one step, and wait for the other processes from inside the handler.
    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen again."""
        self._listen()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen again."""
        self._listen()

    def _listen(self) -> None:
        if _may_listen():
            for number in _HEARD:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received:
            raise KeyboardInterrupt
        self.received = self.received or signal.Signals(number)
        if number == signal.SIGINT and process.is_first():
            # Not print: the signal may have come in the middle of one.
            os.write(2, b"\nstopping after this step; Ctrl-C again stops at once\n")


def in_worker(_: int) -> None:
    """Leave it to the run itself to act on signals that were sent to all its processes.

    A loader that went first would make the run fail in the middle of a step. SIGTERM is spared
    once only, because it is also what ends a loader that hangs.
    """

    def once(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)

    for number in _HEARD:
        signal.signal(number, once if number == signal.SIGTERM else signal.SIG_IGN)


def _may_listen() -> bool:
    return threading.current_thread() is threading.main_thread()
