"""Records of routing stand among the others, come back as they were, and are held to be whole."""

import json
from dataclasses import replace

import pytest
import records

from effcc import cli
from effcc.catalog import ledger, registry, results, routings, timings
from effcc.catalog.routings import Expert, Routed

NAME = "cc_pico_4e"


def test_a_record_comes_back_as_it_was_saved(project):
    made = records.routing(project)
    path = routings.save(made, project)
    assert project.shown(path) == f"registry/results/{NAME}/{made.id}.json"
    assert records.load(routings, project, NAME) == [made]
    assert records.problems(routings, project, NAME) == []


def test_a_class_without_images_and_a_run_without_drift_come_back_too(project):
    made = records.routing(project, drift=None)
    counts = (0, *made.counts[1:])
    blocks = tuple(
        replace(b, means=(None, *b.means[1:]), spreads=(None, *b.spreads[1:])) for b in made.blocks
    )
    made = replace(made, counts=counts, blocks=blocks)
    routings.save(made, project)
    (found,) = records.load(routings, project, NAME)
    assert found == made
    assert 0 not in found.blocks[0].by_class(0)


def test_each_reader_takes_its_own_kind(project):
    accuracy, time, routing = (
        records.record(project),
        records.bench(project),
        records.routing(project),
    )
    results.save(accuracy, project)
    timings.save(time, project)
    routings.save(routing, project)
    assert records.judged(results, project, NAME) == ([accuracy], [])
    assert records.judged(timings, project, NAME) == ([time], [])
    assert records.judged(routings, project, NAME) == ([routing], [])
    assert {record.id for record in records.everything(project)[0]} == {
        accuracy.id,
        time.id,
        routing.id,
    }


def test_a_row_of_weights_is_a_line_of_the_file(project):
    made = records.routing(project)
    path = routings.save(made, project)
    (found,) = records.load(routings, project, NAME)
    place = found.place("blocks", 1, "means", 3)
    line = path.read_text("utf-8").splitlines()[place.line - 1]
    written = json.loads(line.rstrip(","))
    assert [float(word) for word in written.split()] == list(made.blocks[1].means[3])


def test_a_record_is_never_overwritten(project):
    routings.save(records.routing(project), project)
    with pytest.raises(FileExistsError):
        routings.save(records.routing(project), project)


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda data: data.pop("counts"), "`counts:` is missing; add it"),
        (lambda data: data.update(seed="one"), "seed: expected a whole number"),
        (lambda data: data.update(clases=[]), "clases: unknown key; did you mean 'classes'?"),
        (lambda data: data.update(verb="fit"), "verb: expected routing"),
        (lambda data: data["blocks"][0]["means"].pop(), "not a weight for each class"),
        (lambda data: data["blocks"][0]["experts"].pop(), "not a weight for each class"),
        (lambda data: data["blocks"][1].update(entropy=1.5), "must be at most 1"),
        (lambda data: data["blocks"][1].update(name="x"), "a block's name in the state dict"),
        (lambda data: set_row(data, "1.2000 0.0000 0.0000 0.0000"), "four decimals"),
        (lambda data: set_row(data, "0.5 0.5 0.5 0.5"), "four decimals"),
        (lambda data: data["counts"].pop(), "not an image count for each class"),
        (lambda data: data.update(counts=[99999] * 10), "not an image count for each class"),
        (lambda data: data["specialists"][0].update(expert=4), "no such block, expert or class"),
        (lambda data: data["specialists"][0].update(block="blocks.9.9"), "no such block"),
        (lambda data: example(data).update(label=10), "no such block, expert or class"),
        (lambda data: example(data).update(picture="javascript:x"), "a PNG or JPEG image"),
        (lambda data: example(data).update(picture='data:image/png;base64,"><b>'), "a PNG or JPEG"),
        (lambda data: data["drift"]["epochs"].pop(), "not a weight for each epoch"),
        (lambda data: data["drift"]["means"].popitem(), "not a weight for each epoch"),
        (lambda data: data.update(variant="cc_b0_4e"), "records do not move"),
    ],
)
def test_a_record_that_was_edited_is_reported_and_nobodys(project, edit, found):
    path = routings.save(records.routing(project), project)
    data = json.loads(path.read_text("utf-8"))
    edit(data)
    path.write_text(json.dumps(data))
    wrong = records.problems(routings, project, NAME)
    assert any(found in str(problem) for problem in wrong), wrong
    assert {problem.place.file for problem in wrong} == {f"registry/results/{NAME}/{path.name}"}
    for kind in (results, timings):  # and by nobody twice
        assert records.judged(kind, project, NAME) == ([], [])
    assert_no_result(project)


def set_row(data, text):
    data["blocks"][0]["means"][2] = text


def example(data):
    return data["specialists"][0]["examples"][0]


def assert_no_result(project):
    """What can still be read says that it was edited."""
    (entry,) = [entry for entry in registry.entries(project) if entry.spec.name == NAME]
    found = records.load(routings, project, NAME)
    differs = results.beside_registry(entry, found)
    assert set(differs.values()) <= {"edited by hand"}


def test_a_weight_put_in_by_hand_is_no_result(project):
    path = routings.save(records.routing(project), project)
    text = path.read_text("utf-8")
    data = json.loads(text)
    row = data["blocks"][0]["means"][0]
    path.write_text(text.replace(row, row.replace("5", "6"), 1))
    assert len(records.load(routings, project, NAME)) == 1
    (problem,) = records.problems(routings, project, NAME)
    assert "edited by hand" in problem.message
    assert_no_result(project)


def test_a_record_of_routing_by_another_name_is_reported(project):
    path = routings.save(records.routing(project), project)
    path.rename(path.with_name("20260131T120000Z-fit-digits-0.json"))
    assert records.judged(routings, project, NAME) == ([], [])
    assert "`curve:` is missing" in str(records.problems(results, project, NAME)[0])


def test_a_file_that_is_no_json_is_reported_once(project):
    path = routings.save(records.routing(project), project)
    path.write_text("{")
    found = [records.problems(kind, project, NAME) for kind in (results, timings, routings)]
    assert [bool(wrong) for wrong in found] == [False, False, True]


def test_a_measurement_is_the_variants_while_its_settings_are(project):
    (entry,) = [entry for entry in registry.entries(project) if entry.spec.name == NAME]
    made = records.routing(project)
    other = records.routing(
        project, id="20260201T120000Z-routing-digits-test", settings={"recipe.lr": 0.5}
    )
    for each in (made, other):
        routings.save(each, project)
    differs = results.beside_registry(entry, records.load(routings, project, NAME))
    assert differs == {made.id: "", other.id: "recipe.lr 0.5"}


def test_a_thousand_classes_stay_a_megabyte(project):
    names = [f"n{number:08d}" for number in range(1000)]
    made = records.routing(project, "cc_b1_8e", classes=names)
    assert (len(made.blocks), len(made.blocks[0].experts)) == (11, 8)
    path = routings.save(made, project)
    # A row of 8 weights takes 8 * 7 characters and what is around it.
    assert path.stat().st_size < 11 * 2 * 1000 * (8 * 7 + 10) + 100_000
    assert records.load(routings, project, "cc_b1_8e") == [made]


def block(*rows, spread=0.1, share=0.5):
    experts = [Expert(sum(column) / len(rows), spread, share) for column in zip(*rows, strict=True)]
    return Routed("blocks.4.0", 0.5, 0.1, tuple(experts), rows, rows)


def test_dead_is_an_expert_that_no_class_uses_and_always_on_one_that_all_use():
    found = block((0.009, 0.991, 0.009, 0.5), (0.0, 1.0, 0.01, 0.99))
    assert (found.dead, found.always_on) == ([0], [1])


def test_the_most_specialised_expert_is_the_one_whose_variance_lies_most_between_classes():
    moves, still = Expert(0.5, 0.2, 0.6), Expert(0.5, routings.MOVES / 2, 0.9)
    more = Expert(0.5, 0.1, 0.7)
    one = Routed("blocks.4.0", 0.5, 0.1, (moves, still), ((0.5, 0.5),) * 2, ((0.1, 0.1),) * 2)
    other = replace(one, name="blocks.4.1", experts=(still, more))
    found = routings.specialists([one, other])
    assert [(b.name, e) for b, e in found] == [("blocks.4.1", 1), ("blocks.4.0", 0)]
    assert one.specialist == 0
    assert replace(one, experts=(still, still)).specialist is None


def test_what_chance_makes_of_the_share_is_counted_on_classes_that_have_images(project):
    made = records.routing(project)
    assert made.by_chance == pytest.approx(9 / 359)
    assert replace(made, counts=(180, 180, *[0] * 8)).by_chance == pytest.approx(1 / 359)


# In the ledger


def test_a_record_is_listed_shown_and_found(project, capsys):
    made = records.routing(project)
    routings.save(made, project)
    assert ledger.find(made.id[:24], project) == made
    assert cli.main(["results", "list"]) == 0
    assert "0.300 in blocks.6.0" in capsys.readouterr().out
    assert cli.main(["results", "show", made.id]) == 0
    assert "0.9000 0.3000 0.3000 0.3000" in capsys.readouterr().out


def test_two_are_told_apart_but_not_compared(project, capsys):
    one, other = "20260131T120000Z-routing-digits-test", "20260201T120000Z-routing-digits-test"
    routings.save(records.routing(project), project)
    routings.save(records.routing(project, id=other, seed=1), project)
    assert cli.main(["results", "diff", one, other]) == 0
    out = capsys.readouterr().out
    assert "seed" in out
    assert "blocks" not in out  # what came out
    assert cli.main(["results", "compare", one, other]) == 2
    assert "a routing is a picture" in capsys.readouterr().err
    results.save(records.record(project), project)
    assert cli.main(["results", "compare", one, "20260131T120000Z-fit-digits-0"]) == 2
    assert "a routing and an accuracy" in capsys.readouterr().err


def test_what_reproduces_accuracies_says_how_a_routing_is_measured_again(project, capsys):
    made = records.routing(project)
    routings.save(made, project)
    assert cli.main(["reproduce", made.id]) == 2
    assert f"{made.id} is a routing: measure again with effcc routing" in capsys.readouterr().err
