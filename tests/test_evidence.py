"""Verdicts are read in a terminal: a line a figure, at any width, and disagreements in full."""

import pytest

from effcc import evidence, verdicts
from effcc.catalog import registry
from effcc.ground.errors import Place, Problem
from effcc.proof import verify
from effcc.proof.comparison import Comparison


@pytest.fixture
def verdict(shipped):
    (entry,) = [e for e in registry.entries(shipped) if e.spec.name == "cc_b0_4e"]
    return verdicts.judge(entry, verify.compare(entry.claim, entry.spec))


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_line_is_wider_than_the_terminal(verdict, monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    evidence.show(verdict.entry, verdict.census, verdict.rows)
    lines = capsys.readouterr().out.splitlines()
    words = [line for line in lines if " " in line.strip()]
    assert max(map(len, words)) <= width
    (head,) = [number for number, line in enumerate(lines) if line.startswith("figure ")]
    table = lines[head : lines.index("", head)]
    assert len(table) == 1 + len(verdict.rows)
    assert all(line == line.rstrip() for line in table)
    assert {line.split()[-1] for line in table[1:]} == {"agrees", "disputed", "compared"}


def test_what_is_cut_in_the_table_is_told_in_full_below(verdict, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    evidence.show(verdict.entry, verdict.census, verdict.rows)
    out = " ".join(capsys.readouterr().out.split())
    for row in verdict.rows:
        if row.agrees is False:
            for text in (row.claimed, row.against, row.reason, row.note, row.place.short):
                assert text in out


def test_the_conclusion_counts_and_names_what_is_wrong(capsys):
    place = Place("page.md", 3, 1)
    rows = [Comparison("a", "1", "1", agrees, place) for agrees in (True, True, False, None)]
    evidence.conclude(rows, [Problem(place, "a", "mend it")])
    out, err = capsys.readouterr()
    assert out == "2 figures agree, 1 differs, 1 not compared: 1 problem\n"
    assert err == "page.md:3:1: a: mend it\n"
    evidence.conclude(rows[:1], [])
    assert capsys.readouterr() == ("1 figure agrees: no problem\n", "")
