"""Work that needs no torch, shared among the machine's cores."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")
# Below that many items a process costs more than it saves.
WORTH = 100


def each(work: Callable[[_Item], _Made], items: Sequence[_Item]) -> list[_Made]:
    """What `work` makes of each item, in their order.

    Of many items, processes that are copies of this one make a share each: items need not be
    packed to get there, only what is made of them to get back. An error in any is raised here.
    """
    count = min(_cores(), len(items) // WORTH)
    if count < 2:
        return [work(item) for item in items]
    context = multiprocessing.get_context("fork")
    started: list[tuple[Any, Any]] = []
    made: list[Any] = [None] * len(items)
    try:
        for first in range(1, count):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_send, args=(sender, work, items[first::count]))
            process.start()
            # No later process has this end, so that a process that dies is an end of file here.
            sender.close()
            started.append((process, receiver))
        made[0::count] = [work(item) for item in items[0::count]]
        for first, (_, receiver) in enumerate(started, 1):
            made[first::count] = _received(receiver)
    finally:
        for process, _ in started:
            process.terminate()
            process.join()
    return made


def _cores() -> int:
    """How many processes may be copied from this one: 1 where that is not safe."""
    # A copy has none of the threads of the original, but their locks as they were.
    if sys.platform != "linux" or threading.active_count() > 1 or "torch" in sys.modules:
        return 1
    return len(os.sched_getaffinity(0))


def _send(connection: Any, work: Callable[[Any], Any], items: Sequence[Any]) -> None:
    try:
        connection.send([work(item) for item in items])
    except Exception as error:
        connection.send(error)


def _received(connection: Any) -> list[Any]:
    made = connection.recv()
    if isinstance(made, Exception):
        raise made
    return made
