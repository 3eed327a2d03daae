"""What a run asks of its process: to keep its memory, and whether it is the first of several."""

from __future__ import annotations

import ctypes
import os
import sys

# From malloc.h. Blocks of any size come from the heap, and the heap does not shrink.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def is_first() -> bool:
    """Whether this process speaks and writes for the run: rank 0, as launchers number them."""
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return next((int(rank) for rank in ranks if rank), 0) == 0


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
