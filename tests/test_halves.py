"""What an older crash left half-written is named, and spoils nothing beside it."""

import json

import pytest
from records import record

from effcc.catalog import results
from effcc.cli import main
from effcc.ground import files
from effcc.report import cards

PICO = "cc_pico_4e"
LEFT = "left by a command that was killed while it wrote; delete it"


@pytest.fixture
def two(project):
    """A project with cards and two records; the paths of these, older first."""
    made = [record(project, id=f"2026013{day}T120000Z-fit-digits-0") for day in (0, 1)]
    paths = [results.save(each, project) for each in made]
    cards.write(project)
    return paths


def halves(path):
    """The file as crashes leave it: cut at any place, within a letter, or without any content."""
    whole = path.read_bytes()
    cuts = [whole[: len(whole) * part // 7] for part in range(7)]
    return [*cuts, whole + whole[:100], bytes(len(whole)), "é".encode()[:1] + whole]


def test_of_a_half_written_record_the_rest_is_served_and_it_is_named(two, project, capsys):
    broken, whole = two
    shown = project.shown(broken)
    for half in halves(broken):
        broken.write_bytes(half)
        assert [made.id for made in results.load(project, PICO)] == [whole.stem]
        assert main(["check"]) == 1
        said = capsys.readouterr().err
        assert shown in said
        assert "not as it was written: restore the record from the repository, or delete it" in said
        assert project.shown(whole) not in said
        assert main(["docs"]) == 0
        card = (project.models / f"{PICO}.md").read_text("utf-8")
        assert whole.stem in card
        assert "1 file beside the records is no record; `effcc check` says why" in card
        assert main(["list"]) == 0
        assert main(["results", "list"]) == 0
        assert whole.stem in capsys.readouterr().out
    broken.unlink()
    assert main(["check"]) == 0


def test_a_half_written_variant_is_named_and_hides_no_other(two, project, capsys):
    path = project.registry / f"{PICO}.yaml"
    path.write_bytes(path.read_bytes()[:40] + b"[")
    assert main(["list"]) == 3
    out, err = capsys.readouterr()
    assert ("cc_b0_4e" in out, PICO in out, err.startswith(f"{project.shown(path)}:")) == (
        *(True, False, True),
    )
    assert main(["list", "--json"]) == 3
    assert capsys.readouterr().out == ""
    assert main(["results", "list"]) == 0
    rows = [row for row in capsys.readouterr().out.splitlines() if row.startswith("2026")]
    assert [row.endswith("the variant's file is wrong") for row in rows] == [True, True]


def test_a_half_written_card_is_out_of_date_and_written_again(two, project, capsys):
    card = project.models / f"{PICO}.md"
    whole = card.read_bytes()
    for half in halves(card):
        card.write_bytes(half)
        assert main(["docs", "--check"]) == 1
        assert f"{project.shown(card)}: out of date; run effcc docs" in capsys.readouterr().err
        assert main(["list"]) == 0
        assert main(["docs"]) == 0
        assert card.read_bytes() == whole


def test_what_a_killed_write_left_is_no_record_no_card_and_is_named(two, project, capsys):
    def killed(path, text):
        # As a process leaves it that is killed within `files.write`: nothing of its cleaning runs.
        writing = files._temporary(path, text)
        return writing, writing.__enter__()

    held, left = zip(
        *(killed(path, json.dumps({})) for path in (two[0], project.models / f"{PICO}.md")),
        strict=True,
    )
    before = len(results.load(project, PICO))
    assert main(["check"]) == 0
    said = capsys.readouterr().err
    for path in left:
        assert f"{path.removeprefix(f'{project.root}/')}: {LEFT}" in said
    assert main(["docs"]) == 0
    # Cards are generated, and so is what was to become one.
    assert [path.exists() for path in map(project.root.joinpath, left)] == [True, False]
    assert len(results.load(project, PICO)) == before
    assert main(["docs", "--check"]) == 0
    for each in held:
        each.__exit__(None, None, None)
