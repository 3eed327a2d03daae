"""Prints which part of each floor the tests reach, and fails where it is too little.

coverage json --output FILE && python .ci/covered.py FILE
"""

import json
import sys
from collections import Counter
from pathlib import PurePath

# Percent of the branches that tests must reach. The other floors are stated only: much of train/
# runs in processes that tests kill, which say nothing of where they were.
LEAST = {"catalog": 90, "nn": 90, "report": 90}
_ROW = "{:<10}{:>8}{:>8}{:>11}{:>10}{:>7}"


def main(path: str) -> int:
    """Print the table of a report of coverage.py in JSON; 1 if a floor falls short."""
    with open(path, encoding="utf-8") as file:
        files = json.load(file)["files"]
    counts: dict[str, Counter[str]] = {}
    for name, found in files.items():
        parts = PurePath(name).parts
        inner = parts[len(parts) - parts[::-1].index("effcc") :]
        floor = inner[0] if len(inner) > 1 else "the door"
        kept = {key: value for key, value in found["summary"].items() if isinstance(value, int)}
        counts.setdefault(floor, Counter()).update(kept)
    print(_ROW.format("floor", "lines", "%", "branches", "%", "least"))
    short: list[str] = []
    for floor, count in sorted(counts.items()):
        lines = _percent(count["covered_lines"], count["num_statements"])
        branches = _percent(count["covered_branches"], count["num_branches"])
        least = LEAST.get(floor)
        sizes = f"{count['num_statements']:,}", f"{count['num_branches']:,}"
        row = (floor, sizes[0], f"{lines:.1f}", sizes[1], f"{branches:.1f}", least or "")
        print(_ROW.format(*row))
        if least and branches < least:
            short.append(
                f"{floor}: {branches:.1f} % of its branches are reached; {least} % should be"
            )
    short += [f"{floor}: nothing of it was measured" for floor in LEAST if floor not in counts]
    print(*short, sep="\n", end="\n" if short else "", file=sys.stderr)
    return 1 if short else 0


def _percent(reached: int, of: int) -> float:
    return 100 * reached / of if of else 100.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
