"""Something to time that needs no torch, so that its process begins at once."""

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Sleep:
    """A task is a time in milliseconds; 0 asks for memory that nobody has."""

    mebibytes: int = 0

    def __str__(self):
        return "a sleeper"

    def open(self):
        held = b"x" * (self.mebibytes * 2**20)

        def calls(task):
            if task == 0:
                raise MemoryError
            return lambda: (time.sleep(task / 1000), held)

        return calls

    def doing(self, task):
        return f"sleeping {task} ms"
