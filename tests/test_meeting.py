"""Commands that run at once in one project: each record is kept, and the card has all of them."""

import re
import shutil
from dataclasses import replace
from functools import partial

import pytest
from child import outcome, together
from records import bench, record

from effcc import filing
from effcc.catalog import ids, results, timings
from effcc.ground.errors import UserError
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


@pytest.mark.parametrize("time", ["29991231T235959Z", "29990101T000000Z", "20261301T000000Z"])
def test_a_name_that_no_clock_gives_is_not_followed(project, time):
    what, folder = "fit-digits-0", project.results / PICO
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"20980101T000000Z-{what}.json").touch()
    (folder / f"{time}-{what}.json").touch()
    for second in range(1, 4):  # each after the one before
        name = ids.fresh(PICO, what, project)
        assert name == f"20980101T00000{second}Z-{what}"
        (project.runs / PICO / name).mkdir(parents=True)


def test_runs_begin_beside_a_name_of_the_last_second_that_there_is(project):
    (project.results / PICO).mkdir(parents=True, exist_ok=True)
    (project.results / PICO / "29991231T235959Z-x.json").touch()
    begun = outcome(_begun, project)
    assert len(set(begun)) == 2
    assert begun == sorted(begun)


def _begun(home):
    from effcc.catalog import registry
    from effcc.train import run

    spec = registry.load(PICO, home, source="digits")
    return [run._Run.begin(spec, None, home, "fit", "effcc fit").id for _ in range(2)]


def test_a_run_whose_folder_is_a_link_to_nothing_says_so(project):
    project.runs.mkdir(exist_ok=True)
    (project.runs / PICO).symlink_to("nowhere")
    with pytest.raises(UserError, match=r"cannot be made: File exists; .* let it be a folder"):
        _begun(project)


def test_a_record_whose_folder_is_a_link_to_nothing_is_refused_before_and_after(project):
    folder = project.results / PICO
    if folder.is_dir():
        shutil.rmtree(folder)
    folder.parent.mkdir(exist_ok=True)
    folder.symlink_to("nowhere")
    with pytest.raises(UserError, match=f"registry/results/{PICO}: a link to nothing; the record"):
        filing.ready(PICO, project)
    with pytest.raises(UserError, match="the record cannot be written: File exists"):
        filing.record(record(project), project, results.save)


def test_a_record_that_can_never_be_saved_is_not_tried_for_ever(project):
    made, tried = record(project), []

    def taken(record, home):
        tried.append(record.id)
        results.save(record, home)
        raise FileExistsError(17, "File exists")

    with pytest.raises(FileExistsError):
        ids.save(made, project, taken)
    assert len(set(tried)) == len(tried) == ids.TRIES
