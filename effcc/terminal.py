"""Values as text in a terminal."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from effcc.ground import jsontext
from effcc.ground.words import in_a_line, many, printable, three

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from effcc.catalog.results import Record

_INDENT = 10  # of lines beside a name


def say(text: object, *, end: str = "\n", error: bool = False) -> None:
    """Print a text, whoever wrote it; on the error stream if it is about an `error`."""
    print(printable(str(text)), end=end, file=sys.stderr if error else sys.stdout)


def say_data(data: Any) -> None:
    """Print data as JSON."""
    print(jsontext.text(data))


def console(**how: Any) -> Console:
    """A console on which texts are as `say` has them, and colours are its own alone."""
    from rich.console import Console, RenderHook
    from rich.segment import Segment

    class Plain(RenderHook):
        def process_renderables(self, renderables: list[Any]) -> list[Any]:
            return [Shown(of) for of in renderables]

    class Shown:
        def __init__(self, of: Any) -> None:
            self.of = of

        def __rich_console__(self, console: Console, options: Any) -> Any:
            for segment in console.render(self.of, options):
                text, style, control = segment
                yield segment if control else Segment(printable(text), style)

    class Broken(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to the door, which knows that a reader may have enough."""
            raise BrokenPipeError

    made = Broken(**how)
    made.push_render_hook(Plain())
    return made


def plain(text: str) -> str:
    """A text beside rich's markup, and none itself."""
    from rich.markup import escape

    return escape(text)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, last_yields: bool = False) -> str:
    """Columns as wide as their widest cell; the last may yield where a terminal is narrower."""
    rows = [tuple(map(in_a_line, row)) for row in rows]
    heads = tuple(map(in_a_line, heads))
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heads, *rows)
    ]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    if last_yields and sum(widths[:-1]) + 2 * len(widths) <= room:
        lines = [line if len(line) <= room else f"{line[: room - 1]}…" for line in lines]
    return "\n".join(lines)


def numbers(heads: Sequence[str], rows: Sequence[Sequence[str]], names: int = 0) -> list[str]:
    """Lines of columns set to the right, but for the first `names`."""
    rows = [tuple(map(in_a_line, row)) for row in rows]
    heads = tuple(map(in_a_line, heads))
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    return [
        "  ".join(
            cell.ljust(width) if i < names else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (heads, *rows)
    ]


def item(name: str, *lines: str) -> list[str]:
    """Lines beside a name."""
    names = [name, *[""] * (len(lines) - 1)]
    return [f"{name:<{_INDENT}}{line}" for name, line in zip(names, lines, strict=True)]


def size(count: int) -> str:
    """Bytes, to three digits."""
    return f"{three(count / 2**30)} GiB" if count >= 2**30 else f"{three(count / 2**20)} MiB"


def millions(number: int) -> str:
    """A large count, to one decimal."""
    return f"{number / 1e6:.1f} M"


def measured(top1: float | None, source: str | None) -> str:
    """An accuracy and what it was measured on, or nothing."""
    return "" if top1 is None else f"{100 * top1:.1f} % on {source}"


@contextlib.contextmanager
def transfer(what: str) -> Generator[Callable[[int, int | None], None] | None]:
    """A bar of bytes on the terminal's error stream, to call with (done, total); None off one."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def setting(value: Any) -> str:
    """A setting's value, short enough for a line."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return many(len(value), "stage") if "repeats" in value[0] else json.dumps(value)
    if isinstance(value, list):
        items = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in value)
        return in_a_line(f"[{', '.join(items)}]")
    return "null" if value is None else in_a_line(str(value))


@contextlib.contextmanager
def counting(console: Console) -> Generator[Callable[[str, int, int], None]]:
    """A function to call with (split, images done, images in all) while they are worked through.

    It draws a bar, or off a terminal prints a line for every tenth.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(
        "[bold]{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        "images, left",
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        disable=not console.is_terminal,
    )
    tasks: dict[str, TaskID] = {}
    tenths: dict[str, int] = {}

    def report(split: str, done: int, images: int) -> None:
        if console.is_terminal:
            if split not in tasks:
                tasks[split] = bar.add_task(split, total=images)
            bar.update(tasks[split], completed=done)
        elif 10 * done // images > tenths.get(split, 0):
            tenths[split] = 10 * done // images
            console.print(f"{split}  {done:,} of {many(images, 'image')}")

    with bar:
        yield report


def outcome(record: Record) -> str:
    """What a record measured, in rich's markup."""
    from effcc.catalog import results

    data, top1 = record.dataset, record.metrics["top1"]
    assert top1.low is not None
    assert top1.high is not None
    lines = [
        f"[bold]{record.variant}  top-1 {100 * top1.value:.1f} %[/] "
        f"on {plain(data.title)}, {plain(data.split)}",
        f"  right       {top1.correct} of {many(top1.n or 0, 'image')}; "
        f"95 % interval {100 * top1.low:.1f} to {100 * top1.high:.1f} %",
    ]
    if top5 := record.metrics.get("top5"):
        lines.append(f"  top-5       {100 * top5.value:.1f} %")
    if data.unreadable:
        which = "which does not count" if data.unreadable == 1 else "which do not count"
        lines.append(f"  unreadable  {many(data.unreadable, 'image')}, {which}")
    if record.engine != results.NETWORK:
        lines.append(f"  engine      {record.engine}")
    return "\n".join(lines)
