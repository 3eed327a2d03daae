"""Verdicts and explanations as text in a terminal."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from effcc.ground.errors import printable
from effcc.ground.words import many
from effcc.proof.comparison import AGREES, DIFFERS, DISPUTED, NOT_COMPARED

if TYPE_CHECKING:
    from effcc.catalog.registry import Entry
    from effcc.ground.errors import Problem
    from effcc.nn.census import Census
    from effcc.proof.comparison import Comparison

_STYLES = {AGREES: "green", DISPUTED: "yellow", DIFFERS: "bold red", NOT_COMPARED: "dim"}
_GAP = "  "
# How early a column gives way: a name or a measurement that is cut is worth less than a long title.
_FIRMNESS = {0: 0.6, 2: 1.4, 3: 1.0, 4: 0.6}


def show(entry: Entry, census: Census, rows: Sequence[Comparison]) -> None:
    """A variant as it is built, a row for each figure, and what is to be said of disagreements."""
    console = _console()
    spec, claim, macs = entry.spec, entry.claim, census.macs
    _wrapped(console, f"{spec.name}  {spec.summary}", " " * 9, bold=len(spec.name))
    split = (("convolutions", macs.convolution), ("linear layers", macs.linear))
    told = ", ".join(f"{number:,} in {where}" for where, number in split if number)
    mixed = f", {macs.mixing:,} to mix experts" if macs.mixing else ""
    size = spec.preprocessing.image_size
    lines = (
        f"built    {census.parameters:,} parameters, {census.tensors:,} tensors",
        f"         {macs.total:,} multiply-accumulates at {size} px:",
        f"         {told}{mixed}",
        f"claimed  {claim.name}, by its line in {claim.place.file}",
    )
    for line in lines:
        _wrapped(console, line, " " * 9)
    console.print()
    for line in _table(rows, claim.place.file, console.width):
        console.print(line, no_wrap=True, overflow="crop")
    console.print()
    for row in rows:
        if row.verdict in (DISPUTED, DIFFERS):
            _disagreement(console, row, spec.name)
            console.print()


def conclude(rows: Sequence[Comparison], problems: Sequence[Problem]) -> None:
    """How many figures there were of each verdict; what is wrong, on the error stream."""
    count = Counter(row.verdict for row in rows)
    told = [many(count[AGREES], "figure agrees", "figures agree")]
    for name, several in ((DISPUTED, DISPUTED), (DIFFERS, "differ"), (NOT_COMPARED, NOT_COMPARED)):
        told += [many(count[name], name, several)] if count[name] else []
    for problem in problems:
        print(problem, file=sys.stderr)
    verdict = many(len(problems), "problem") if problems else "no problem"
    _wrapped(_console(), f"{', '.join(told)}: {verdict}")


def _table(rows: Sequence[Comparison], file: str, width: int) -> list[Text]:
    """A line for each figure, cut to the width; what disagrees is told in full below."""
    heads = ("figure", "line", "claimed", "computed", "measured", "verdict")
    cells: list[tuple[str, ...]] = [heads]
    for row in rows:
        line = str(row.place.line) if row.claimed and row.place.file == file else ""
        shown = (row.key, line, row.claimed, row.computed, row.measured, row.verdict)
        cells.append(tuple(map(printable, shown)))
    widths = _widths(cells, width)
    styles = ["dim", *(_STYLES[row.verdict] for row in rows)]
    lines: list[Text] = []
    for number, (row, style) in enumerate(zip(cells, styles, strict=True)):
        line = Text()
        for column, (cell, room) in enumerate(zip(row, widths, strict=True)):
            if not room:
                continue
            text = f"{cell[: room - 1]}…" if len(cell) > room else cell
            text = text.rjust(room) if column == 1 else text.ljust(room)
            faint = number == 0 or column == 1
            line.append(text, style if column == 5 else "dim" if faint else "")
            line.append("" if column == 5 else _GAP)
        line.rstrip()
        lines.append(line)
    return lines


def _widths(cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """As wide as the widest cell; while that is too much, what is widest gives way."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if not any(row[4] for row in cells[1:]):
        widths[4] = 0
    while sum(widths) + len(_GAP) * (sum(map(bool, widths)) - 1) > width:
        widest = max(_FIRMNESS, key=lambda column: widths[column] * _FIRMNESS[column])
        if widths[widest] <= 8:
            break
        widths[widest] -= 1
    return widths


def _disagreement(console: Console, row: Comparison, variant: str) -> None:
    console.print(Text.assemble((row.key, "bold"), "  ", (row.verdict, _STYLES[row.verdict])))
    claimed = f"claimed {row.claimed}, at {row.place.short}" if row.claimed else row.place.short
    reason = row.reason or f"Mend the claim, or say why in registry/{variant}.yaml, `disputes:`."
    if row.beside:
        reason = f"{row.beside[0].upper()}{row.beside[1:]}. {reason}"
    for text in (f"{claimed}; {row.against}.", reason, row.note):
        if text:
            _wrapped(console, f"  {text}", "  ")


def _wrapped(console: Console, text: str, indent: str = "", *, bold: int = 0) -> None:
    """Print text within the width; the first `bold` letters of it in bold."""
    lines = textwrap.wrap(text, console.width, subsequent_indent=indent, break_on_hyphens=False)
    for number, line in enumerate(lines):
        printed = Text(printable(line))
        if number == 0 and bold:
            printed.stylize("bold", 0, bold)
        console.print(printed, soft_wrap=True)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the door, which knows that a reader may have enough."""
        raise BrokenPipeError


def _console() -> Console:
    return _Console(highlight=False)
