"""Records of measurements are written once, and what was changed by hand is shown as such."""

import json
import re
from dataclasses import replace

import pytest
import records
from records import record

from effcc.catalog import registry, results
from effcc.catalog.results import Metric, accuracy
from effcc.catalog.seal import Seal

VARIANT = "cc_pico_4e"


@pytest.fixture
def saved(project):
    """A record on disk, and a way to change it there."""
    path = results.save(record(project), project)

    def change(edit):
        data = json.loads(path.read_text("utf-8"))
        edit(data)
        path.write_text(json.dumps(data))

    change.path = path
    return change


def reported(project, variant=VARIANT):
    return "\n".join(map(str, records.problems(results, project, variant)))


def marked(project):
    """What the variant's records say of themselves."""
    return [made.filed.seal for made in results.load(project, VARIANT)]


# Wilson's interval


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # A. Agresti and B. Coull: none of ten.
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
    ],
)
def test_the_interval_is_wilsons(correct, n, low, high):
    metric = accuracy(correct, n)
    assert metric.value == correct / n
    assert (round(metric.low, 4), round(metric.high, 4)) == (low, high)


def test_an_interval_holds_its_value_and_stays_between_0_and_1():
    for n in (1, 2, 7, 360):
        for correct in range(n + 1):
            metric = accuracy(correct, n)
            assert 0 <= metric.low <= metric.value <= metric.high <= 1


def test_an_interval_mirrors_that_of_the_errors():
    right, wrong = accuracy(350, 360), accuracy(10, 360)
    assert right.low == pytest.approx(1 - wrong.high, abs=1e-6)


@pytest.mark.parametrize(("correct", "n"), [(0, 0), (1, 0)])
def test_what_cannot_be_counted_has_no_accuracy(correct, n):
    with pytest.raises(ValueError, match="image"):
        accuracy(correct, n)


# Records


def test_a_record_comes_back_as_it_was_saved(project):
    made = record(project)
    path = results.save(made, project)
    assert project.shown(path) == f"registry/results/{VARIANT}/{made.id}.json"
    (loaded,) = results.load(project, VARIANT)
    assert loaded == made


@pytest.mark.parametrize("command", ["effcc 'ü 😀'", 'a "b" \\ \n\t c'])
def test_whatever_was_typed_comes_back(project, command):
    results.save(record(project, command=command), project)
    assert results.load(project, VARIANT)[0].command == command


def test_a_command_of_any_length_and_any_bytes_leaves_a_record(project):
    results.save(record(project, command=9000 * "x"), project)
    odd = record(project, id="20270131T120000Z-fit-digits-0", command="a \udcc3\udcbc b\udcff")
    results.save(odd, project)  # as Python hands over bytes of a name that it cannot read
    long, read = (made.command for made in results.load(project, VARIANT))
    assert (len(long), long[-4:], read) == (2000, "x...", "a ü b\ufffd")
    assert reported(project) == ""


def test_records_come_oldest_first(project):
    ids = [f"2026013{day}T120000Z-fit-digits-0" for day in (1, 0)]
    for name in ids:
        results.save(record(project, id=name), project)
    assert [r.id for r in results.load(project, VARIANT)] == ids[::-1]


def test_a_variant_without_records_has_none(project):
    assert results.load(project, "cc_b0_4e") == []


def test_a_record_is_never_overwritten(project, saved):
    before = saved.path.read_bytes()
    with pytest.raises(FileExistsError):
        results.save(record(project, correct=360), project)
    assert saved.path.read_bytes() == before
    assert [path.name for path in saved.path.parent.iterdir()] == [saved.path.name]


def test_a_record_is_json_for_people_too(saved):
    text = saved.path.read_text("utf-8")
    assert text.startswith('{\n "schema": 2,\n "id": ')
    assert text.endswith("}\n")


def test_a_record_holds_no_number_that_json_has_no_word_for(project):
    broken = record(project, metrics={"top1": accuracy(1, 2), "loss": Metric(float("nan"))})
    with pytest.raises(ValueError, match="JSON"):
        results.save(broken, project)
    assert not project.results.exists() or not list(project.results.rglob("*.json"))


EDITS = {
    "value": lambda metric: metric.update(value=0.99),
    "correct": lambda metric: metric.update(correct=355),
    "n": lambda metric: metric.update(n=350),
    "interval": lambda metric: metric.update(low=0.97),
    "counts of more than all": lambda metric: metric.update(correct=361),
    "counts removed": lambda metric: (metric.pop("correct"), metric.pop("n")),
    "correct removed": lambda metric: metric.pop("correct"),
    "interval removed": lambda metric: (metric.pop("low"), metric.pop("high")),
    "n removed": lambda metric: metric.pop("n"),
    "all but a better value": lambda metric: (metric.clear(), metric.update(value=0.99)),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_figure_edited_by_hand_is_reported_with_its_line(project, saved, edit):
    saved(lambda data: edit(data["metrics"]["top1"]))
    assert re.match(
        rf"registry/results/{VARIANT}/{saved.path.name}:\d+:\d+: metrics.top1", reported(project)
    )


def every_value(data, path=()):
    """The path of each scalar in a record."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from every_value(value, (*path, key))
        else:
            yield (*path, key)


def test_whatever_is_edited_the_record_says_so_and_is_no_result(project, saved):
    """Each value of a record in turn, to another that fits the schema."""
    (entry,) = [e for e in registry.entries(project) if e.spec.name == VARIANT]
    original = saved.path.read_text("utf-8")
    assert marked(project) == [Seal.WHOLE]
    edits = 0
    for path in every_value(json.loads(original)):
        if path in (("schema",), ("id",), ("variant",)):  # it is no record then
            continue
        data = json.loads(original)
        inner = data
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = another(inner[path[-1]])
        saved.path.write_text(json.dumps(data))
        records = results.load(project, VARIANT)
        if not records:  # it does not even fit the schema, and that is said
            assert reported(project)
            continue
        edits += 1
        assert marked(project) == [Seal.BROKEN], path
        assert [run.differs for run in results.runs(entry, project)] in ([], ["edited by hand"])
        assert "edited by hand" in reported(project)
    assert edits > 60


def another(value):
    if isinstance(value, bool) or value is None:
        return not value
    return (
        value + 1 if isinstance(value, int | float) else value[:-1] + ("0", "1")[value[-1] == "0"]
    )


def test_an_edited_record_leaves_the_others_their_place(project, saved):
    """The newest that is as it was written is the result; its neighbour says what it is."""
    newer = results.save(record(project, id="20270131T120000Z-fit-digits-0"), project)
    data = json.loads(newer.read_text("utf-8"))
    data["metrics"]["top1"] = results.plain(record(project, correct=360))["metrics"]["top1"]
    newer.write_text(json.dumps(data))
    (entry,) = [e for e in registry.entries(project) if e.spec.name == VARIANT]
    assert [run.differs for run in results.runs(entry, project)] == ["edited by hand", ""]


def test_a_record_from_before_is_not_called_edited(project, saved):
    saved(lambda data: (data.pop("digest"), data.update(schema=1)))
    assert marked(project) == [Seal.NONE]
    assert reported(project) == ""


def test_a_record_whose_digest_was_removed_was_edited(project, saved):
    saved(lambda data: data.pop("digest"))
    assert marked(project) == [Seal.BROKEN]


def test_a_record_may_be_indented_anew(project, saved):
    saved(lambda data: None)
    assert "\n" not in saved.path.read_text("utf-8")
    assert (marked(project), reported(project)) == ([Seal.WHOLE], "")


def test_a_metric_that_was_not_counted_needs_no_counts(project):
    made = record(project)
    results.save(replace(made, metrics={**made.metrics, "loss": Metric(0.5)}), project)
    assert results.load(project, VARIANT)[0].metrics["loss"] == Metric(0.5)


def test_a_record_that_was_renamed_is_no_record(project, saved):
    saved.path.rename(saved.path.with_name("20270131T120000Z-fit-digits-0.json"))
    assert "records do not move" in reported(project)


def test_a_record_that_was_moved_to_another_variant_is_no_record(project, saved):
    (project.results / VARIANT).rename(project.results / "cc_b0_4e")
    assert results.load(project, "cc_b0_4e") == []
    assert "records do not move" in reported(project, "cc_b0_4e")


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda data: data.pop("seed"), "`seed:` is missing; add it"),
        (lambda data: data.update(sed=1), "sed: unknown key; did you mean 'seed'?"),
        (lambda data: data.update(verb="guess"), "verb: expected one of fit, test"),
        (lambda data: data.update(schema=3), "schema: "),
        (lambda data: data.update(spec_digest="abc"), "spec_digest: "),
        (lambda data: data.update(date="yesterday"), "date: "),
        (lambda data: data["dataset"].update(images=0), "dataset.images: must be at least 1"),
        (lambda data: data["dataset"].pop("fingerprint"), "`fingerprint:` is missing"),
        (lambda data: data["git"].pop("dirty"), "`dirty:` is missing"),
        (lambda data: data["checkpoint"].update(sha256="x"), "checkpoint.sha256: "),
        (lambda data: data["curve"].append({"epoch": "3"}), "curve[2].epoch: expected a number"),
    ],
)
def test_a_record_that_does_not_fit_the_schema_is_no_record(project, saved, edit, found):
    saved(edit)
    assert found in reported(project)


def test_a_file_that_is_no_record_spoils_no_other(project, saved):
    other = record(project, id="20270131T120000Z-fit-digits-0")
    results.save(other, project)
    saved.path.write_text("{")
    assert results.load(project, VARIANT) == [other]
    assert saved.path.name in reported(project)


def test_the_problems_of_all_records_are_reported_at_once(project):
    for day in (1, 2):
        path = results.save(record(project, id=f"2026010{day}T120000Z-fit-digits-0"), project)
        path.write_text("{}")
    assert "20260101" in reported(project)
    assert "20260102" in reported(project)


def test_every_shipped_record_is_as_it_was_written(shipped):
    for folder in shipped.results.glob("*"):
        assert results.load(shipped, folder.name)
        assert records.problems(results, shipped, folder.name) == []


@pytest.mark.parametrize("name", ["cc_b0_4e", "cc_pico_4e"])
def test_what_was_measured_is_still_the_registered_variant(shipped, name):
    (entry,) = [e for e in registry.entries(shipped) if e.spec.name == name]
    as_registered = [run for run in results.runs(entry, shipped) if not run.differs]
    assert {run.record.seed for run in as_registered} >= {0, 1, 2}
