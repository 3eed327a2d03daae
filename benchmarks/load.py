"""Ten times as many variants, and 100,000 records: what commands take, in time and in memory.

`python benchmarks/load.py` prints a table. The projects are generated (tests/many.py); every
command is a process of its own, as a person runs it. Time is by the clock, and of the processor,
user and system, of all processes together. Memory is the most that all processes of a command had
at once, shared pages counted once (Pss in /proc/PID/smaps_rollup, looked at five times a second).
The last two columns say how much a variant of the many takes beside one of the few: 1 is linear.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import interleaved

ROOT = Path(__file__).resolve().parents[1]
HEADS = f"{'seconds':>9} {'CPU s':>9} {'MB':>9}"
_PAUSE = 0.2  # seconds between two looks at the memory


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds by the clock, of the processor, and megabytes."""

    wall: float
    cpu: float
    peak: float

    def cells(self) -> str:
        """As columns."""
        return f"{self.wall:>9.2f} {self.cpu:>9.2f} {self.peak:>9.0f}"


def main() -> None:
    given = arguments()
    sys.path.append(str(ROOT / "tests"))
    few, lots = given.variants
    lines = [interleaved.header("Many variants and many records: what commands take", 1, 1)]
    with folder_of(given.folder) as folder:
        tables = {
            "variants": of_variants(folder, few, lots),
            "records": of_records(folder, given.records),
        }
        for name in [given.only] if given.only else tables:
            for line in tables[name]:
                print(line, file=sys.stderr)  # the whole takes minutes
                lines.append(line)
    interleaved.say(lines, given.out)


def of_variants(folder: Path, few: int, lots: int) -> Iterator[str]:
    """The table of what commands take for few and for lots of variants, a line at a time."""
    import many

    projects: list[Path] = []
    for count in (few, lots):
        root = folder / f"variants-{count}"
        if not root.exists():
            root.mkdir()
            many.write(root, count)
        shutil.rmtree(root / "docs" / "models", ignore_errors=True)
        projects.append(root)
    yield f"{'':<26} {f'{few:,} variants':>29} {f'{lots:,} variants':>29} {'a variant':>15}"
    yield f"{'':<26} {HEADS} {HEADS} {'CPU':>7} {'memory':>7}"
    for name, *words in (
        ("effcc list", "list"),
        ("effcc check", "check"),
        ("effcc docs, no card there", "docs"),
        ("effcc docs, all there", "docs"),
    ):
        one, other = (cost(root, folder, words) for root in projects)
        cpu, memory = other.cpu * few / (one.cpu * lots), other.peak * few / (one.peak * lots)
        yield f"{name:<26} {one.cells()} {other.cells()} {cpu:>7.2f} {memory:>7.2f}"
    yield ""


def of_records(folder: Path, records: int, variants: int = 10) -> Iterator[str]:
    """The table of what lists take of very many records, a line at a time."""
    import many

    root = folder / f"records-{records}"
    if not root.exists():
        root.mkdir()
        home = many.write(root, variants)
        for variant in range(variants):
            many.measure(home, many.called(variant), records // variants)
    files = sum(1 for _ in (root / "registry" / "results").glob("*/*.json"))
    yield f"{f'{files:,} records of {variants} variants':<56} {HEADS}"
    shutil.rmtree(folder / "cache", ignore_errors=True)
    for name, *words in (
        ("effcc list, the first time: all are read", "list"),
        ("effcc list", "list"),
        ("effcc results list", "results", "list"),
        ("effcc results list --all", "results", "list", "--all"),
        ("effcc results list --json", "results", "list", "--json"),
    ):
        yield f"{name:<56} {cost(root, folder, words).cells()}"
    index = sum(file.stat().st_size for file in (folder / "cache").rglob("*.index"))
    yield f"the index: {index / 1e6:.0f} MB"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--variants", type=int, nargs=2, default=(1000, 10000), metavar=("FEW", "MANY"))
    add("--records", type=int, default=100_000, metavar="N", help="of ten variants (100,000)")
    add("--only", choices=("variants", "records"), help="one of the two tables")
    add("--folder", type=Path, metavar="DIR", help="keep what is generated, for another time")
    add("--out", type=Path, metavar="FILE", help="write the table to this file too")
    return parser.parse_args()


@contextlib.contextmanager
def folder_of(named: Path | None) -> Iterator[Path]:
    """Where projects are generated: a folder that stays, or one for now."""
    if named:
        named.mkdir(parents=True, exist_ok=True)
        yield named
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)


def cost(root: Path, folder: Path, words: list[str]) -> Cost:
    """Run a command in a project, and look at it."""
    environment = os.environ | {
        "EFFCC_CACHE": str(folder / "cache"),
        "EFFCC_HOME": str(root),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "effcc", *words]
    start = time.perf_counter()
    running = subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0.0
    while True:
        pid, status, used = os.wait4(running.pid, os.WNOHANG)
        if pid:
            break
        peak = max(peak, sum(map(memory, family(running.pid))))
        time.sleep(_PAUSE if time.perf_counter() - start > 2 else _PAUSE / 10)
    wall = time.perf_counter() - start
    running.returncode = os.waitstatus_to_exitcode(status)
    # `check` finds the claims that are wrong on purpose, and `1` is its verdict.
    if running.returncode not in ((0, 1) if words == ["check"] else (0,)):
        raise SystemExit(f"{' '.join(command)}: {running.returncode}")
    return Cost(wall, used.ru_utime + used.ru_stime, max(peak, used.ru_maxrss * 1024) / 1e6)


def family(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    yield pid
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split():
                yield from family(int(child))


def memory(pid: int) -> int:
    """The bytes of a process, its share of what it shares."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return 1024 * int(line.split()[1])
    return 0


if __name__ == "__main__":
    main()
