"""What timings side by side share: rounds in turn, quartiles, a header, and timm as the peer.

Contestants take turns within a round, so that what slows the machine slows them all.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def arguments(description: str, rounds: int, **flags: str) -> argparse.Namespace:
    """The command line of a benchmark: rounds, threads, where the table goes too, and `flags`."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--rounds", type=int, default=rounds, metavar="N", help=f"timed rounds ({rounds})")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    add("--threads", type=int, default=cores, metavar="N", help=f"threads of torch ({cores})")
    add("--out", type=Path, metavar="FILE", help="write the table to this file too")
    for name, meaning in flags.items():
        add(f"--{name}", action="store_true", help=meaning)
    return parser.parse_args()


def rounds(
    contestants: Mapping[str, Callable[[], object]], count: int, pause: float = 0.0
) -> dict[str, list[float]]:
    """Seconds of each contestant in each round, after one round to warm up.

    A pause before each, in seconds, and a call that does not count let the threads of the one
    before stop spinning, and those of the next begin.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(count + 1):
        for name, run in contestants.items():
            if pause:
                time.sleep(pause)
                run()
            start = time.perf_counter()
            run()
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def cells(seconds: list[float]) -> str:
    """Lower quartile, median and upper quartile, in milliseconds."""
    low, median, high = statistics.quantiles(seconds, n=4)
    return f"{1e3 * low:>9.1f} {1e3 * median:>9.1f} {1e3 * high:>9.1f}"


def header(what: str, threads: int, count: int, **versions: str) -> str:
    """What was timed, and on what."""
    versions = {"python": platform.python_version()} | versions
    written = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{what}\n{written}\n{_processor()}, {platform.platform(terse=True)}, "
        f"{threads} thread{'s' * (threads != 1)}, {count} rounds in turn\n"
    )


def say(lines: list[str], out: Path | None) -> None:
    """Print a table, and write it to `out` if that is given."""
    text = "\n".join(lines)
    print(text)
    if out:
        out.write_text(text + "\n", "utf-8")


def timm() -> Any:
    """The peer, importable where torchvision's operators are missing.

    timm never calls them, but torchvision describes them to torch when it is imported.
    """
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        operators = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        timm.kept = operators  # they are gone when it is
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    except ImportError:
        pass
    try:
        import timm as peer
    except ModuleNotFoundError:
        raise SystemExit("timm is not installed; pip install 'effcc[bench]'") from None
    return peer


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
