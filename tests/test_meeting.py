"""Commands that run at once in one project: each record is kept, and the card has all of them."""

import re
from dataclasses import replace
from functools import partial

import pytest
from child import outcome, together
from records import bench, record

from effcc import filing
from effcc.catalog import ids, results, timings
from effcc.report import cards

PICO = "cc_pico_4e"


def concluded(home, made, save):
    """What a verb does at its end."""
    path = filing.record(made, home, save)
    filing.card(made.variant, home)
    return path.stem


def test_records_of_the_same_second_are_all_kept_and_on_the_card(project):
    made = [record(project, correct=340 + number) for number in range(4)]
    names = together(*(partial(concluded, project, each, results.save) for each in made))
    assert len(set(names)) == 4
    assert made[0].id in names
    loaded = results.load(project, PICO)
    assert {each.metrics["top1"].correct for each in loaded} == {340, 341, 342, 343}
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-fit-digits-0", each.id) for each in loaded)
    assert cards.stale(project) == []
    card = (project.models / f"{PICO}.md").read_text("utf-8")
    assert all(each.id in card for each in loaded)


@pytest.mark.parametrize(("kind", "save"), [(record, results.save), (bench, timings.save)])
def test_a_record_whose_name_is_taken_gets_the_next(project, kind, save):
    made = kind(project)
    first, second = (ids.save(made, project, save).stem for _ in range(2))
    assert first == made.id
    assert second > first
    assert second.partition("-")[2] == first.partition("-")[2]


def test_a_card_is_not_written_beside_another_writer(project):
    cards.write(project)
    results.save(record(project), project)
    renders = outcome(_raced, project)
    assert renders == ["first in", "first out", "second in", "second out"]


def _raced(home):
    import threading

    seen, inside = [], threading.Event()
    original = cards._made

    def made_of(home, use):
        name = "second" if inside.is_set() else "first"
        seen.append(f"{name} in")
        inside.set()
        if name == "first":
            other.join(0.5)  # longer than it takes when nothing holds it back
        made = original(home, use)
        seen.append(f"{name} out")
        return made

    cards._made = made_of
    other = threading.Thread(target=lambda: inside.wait() and cards.write(home))
    other.start()
    cards.write(home)
    other.join(30)
    return seen


def test_a_name_follows_those_of_runs_and_records(project):
    what = "fit-digits-0"
    (project.runs / PICO / f"20990101T235959Z-{what}").mkdir(parents=True)
    assert ids.fresh(PICO, what, project) == f"20990102T000000Z-{what}"
    results.save(replace(record(project), id=f"20991231T235959Z-{what}"), project)
    assert ids.fresh(PICO, what, project) == f"21000101T000000Z-{what}"
    assert ids.fresh("cc_b0_4e", what, project) < "2099"  # each variant has its own
