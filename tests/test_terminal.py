"""Values as a person reads them, on a terminal that shows them and does nothing else."""

import contextlib
import io
import json
import os
import re
import shutil
import sys
import unicodedata
from dataclasses import replace

import hostile
import pytest
from records import record

from effcc import cli, terminal
from effcc.ground import jsontext
from effcc.ground.words import in_a_line, printable

# What colours, moves, renames, links, copies, rings or turns letters round.
MOVES = (
    "\x1b[31mred\x1b[2J\x1b]0;title\x07\x1b]8;;https://e.org\x1b\\link\x1b]52;c;aGk=\x07"
    "\x9b2K\x90q\x9c\x08\x0b\x0c\r\x7f\x85\u061c\u200e\u200f\u202erev\u2066in\u2069\u2028\ufeff"
)
MARKUP = "[/bold] [red]x[/red] [link=https://e.org]y[/link] [/nope]"
TEXT = f"it says {MOVES} and {MARKUP}"
# Format characters join letters in some scripts, and move nothing.
HARMLESS = {"\n", "\t", "\xad", "\u200b", "\u200c", "\u200d", "\u2060"}


def raw(text):
    """The characters of a text that a terminal might obey."""
    unseen = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    return unseen - HARMLESS


def test_an_outcome_says_how_many_images_do_not_count(project):
    made = record(project)
    assert "unreadable" not in terminal.outcome(made)
    some = replace(made, dataset=replace(made.dataset, unreadable=3))
    assert "unreadable  3 images, which do not count" in terminal.outcome(some)


def test_every_character_that_moves_a_terminal_becomes_an_escape():
    said = printable(MOVES + "\ud800\nand\tmore")
    assert raw(said) == set()
    assert said.startswith("\\x1b[31mred")
    assert said.endswith("\\ud800\nand\tmore")
    assert in_a_line("a\nb\tc") == "a\\nb\\tc"
    assert printable("größer, 大きい, עברית, 👩\u200d🔬") == "größer, 大きい, עברית, 👩\u200d🔬"


def test_json_says_the_same_without_them():
    written = jsontext.text({"x": MOVES + "\ud800"})
    assert raw(written) == set()
    assert json.loads(written) == {"x": MOVES + "\ud800"}


def test_a_console_keeps_its_colours_and_takes_none():
    out = io.StringIO()
    console = terminal.console(file=out, force_terminal=True, color_system="standard", width=999)
    console.print(f"[bold]name[/] {terminal.plain(TEXT)}", highlight=False)
    assert out.getvalue().startswith("\x1b[1mname\x1b[0m it says \\x1b[31mred")
    assert out.getvalue().count("\x1b") == 2
    assert MARKUP in out.getvalue()


@pytest.fixture
def said(project, monkeypatch):
    """A function to call with a command line: what the command prints, of hostile files."""
    monkeypatch.setattr(hostile.json, "dumps", lambda data, **how: dumps(data))
    hostile.write(project, "evil", TEXT)
    monkeypatch.undo()
    monkeypatch.chdir(project.root)

    def run(*words):
        out = io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
            contextlib.suppress(SystemExit),
        ):
            cli.main(words)
        return out.getvalue()

    return run


dumps = json.dumps
RECORD = "evil/20260131T120000Z"
COMMANDS = [
    *(("list",), ("list", "--json"), ("list", TEXT), ("show", "evil"), ("show", TEXT)),
    *(("show", "evil", "--resolved"), ("check",), ("check", "--json"), ("check", "model-index")),
    *(("check", "--format", "github"), ("check", "--format", "sarif")),
    *(("check", "model-index", "--facts"), ("check", "model-index", "--facts", "--json")),
    *(("verify", "evil"), ("verify", "--json", "evil")),
    *(("results", "list"), ("results", "list", "--json"), ("results", "show", TEXT)),
    *(("results", "show", f"{RECORD}-{of}") for of in ("fit", "bench", "routing")),
    *(("results", "show", "--json", f"{RECORD}-{of}") for of in ("fit", "bench", "routing")),
    ("results", "compare", f"{RECORD}-fit", "evil/20260201T120000Z"),
    ("results", "diff", f"{RECORD}-fit", "evil/20260201T120000Z"),
    *(("reproduce", f"{RECORD}-fit"), ("weights", "list"), ("weights", "pull", "evil")),
    *(("new", TEXT, "--from", "evil"), ("check", TEXT), ("shards", TEXT, TEXT), (TEXT,)),
    ("fit", "--config", TEXT),
    ("fit", "--config", "registry/evil.yaml", "--print_config"),
    ("fit", "--config", "registry/evil.yaml", "--data.source", "folder", "--data.root", TEXT),
    ("fit", "--config", "registry/evil.yaml", "--trainer.callbacks", json.dumps(TEXT)),
    ("predict", "--config", "registry/evil.yaml", "--ckpt_path", TEXT, "x"),
]


def test_no_command_sends_a_terminal_what_a_file_says(said):
    answers = {words: said(*words) for words in COMMANDS}
    for words, answer in answers.items():
        assert raw(answer) == set(), words
        assert "Traceback" not in answer, words
    # The words were there: many a command repeats them.
    assert sum(bool(re.search(r"\\x1b\[31mred|\\u001b\[31mred", a)) for a in answers.values()) > 15


def test_what_a_file_says_is_no_markup(said, monkeypatch):
    from effcc.train import run

    class Enough(Exception):
        pass

    def enough(spec):
        raise Enough

    monkeypatch.setattr(run, "prepare", enough)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(Enough):
        cli.main(["fit", "--config", "registry/evil.yaml"])
    assert MARKUP in out.getvalue()
    assert raw(out.getvalue()) == set()


def test_a_table_prints_what_a_file_says_as_words():
    assert terminal.table(("a",), [("\x1b[2J\n",)]) == "a\n\\x1b[2J\\n"


@pytest.mark.parametrize("width", [30, 24, 23])
def test_the_last_column_yields_to_a_narrow_terminal_and_to_nothing_else(monkeypatch, width):
    """24: what the first takes, the space before the second, and room for a letter and a mark."""
    rows = [("a" * 20, "in so many words"), ("b", "short")]
    whole = terminal.table(("name", "said"), rows, last_yields=True)
    assert whole.splitlines()[1].endswith("in so many words")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((width, 9)))
    lines = terminal.table(("name", "said"), rows, last_yields=True).splitlines()
    if width == 23:
        assert lines == whole.splitlines()
    else:
        assert max(map(len, lines)) == width
        assert [line.endswith("…") for line in lines] == [width == 24, True, width == 24]
    assert terminal.table(("name", "said"), rows) == whole
