"""Records of time stand among the others, come back as they were, and are held to be whole."""

import json
from dataclasses import replace

import pytest
import records

from effcc.catalog import registry, results, seal, timings
from effcc.catalog.cost import count
from effcc.catalog.timings import PLAIN, VARIANT, Machine, Work

NAME = "cc_pico_4e"


def test_a_record_comes_back_as_it_was_saved(project):
    made = records.bench(project, checkpoint={"path": "a", "sha256": "cd" * 32, "bytes": 3})
    path = timings.save(made, project)
    assert project.shown(path) == f"registry/results/{NAME}/{made.id}.json"
    assert records.load(timings, project, NAME) == [made]


def test_each_reader_takes_its_own_kind(project):
    accuracy, time = records.record(project), records.bench(project)
    results.save(accuracy, project)
    timings.save(time, project)
    assert results.load(project, NAME) == [accuracy]
    assert records.load(timings, project, NAME) == [time]


def test_a_record_is_never_overwritten(project):
    timings.save(records.bench(project), project)
    with pytest.raises(FileExistsError):
        timings.save(records.bench(project), project)


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda data: data.pop("threads"), "`threads:` is missing; add it"),
        (lambda data: data.update(seed="one"), "seed: expected a whole number"),
        (lambda data: data.update(rouns=5), "rouns: unknown key; did you mean 'rounds'?"),
        (lambda data: data["timings"][1].update(engine="abacus"), "timings[1].engine: expected"),
        (lambda data: data["timings"][1].update(median=0), "must be more than 0"),
        (lambda data: data["timings"][0].update(median=0.5), "timings[0]: quartiles and median"),
        (lambda data: data["timings"][0].update(p99=0.001), "timings[0]: quartiles and median"),
        (lambda data: data["timings"].pop(), "not each engine, network and batch once"),
        (lambda data: data["timings"].append(data["timings"][0]), "not each engine"),
        (lambda data: data["peaks"].pop(), "not each engine, network and batch once"),
        (lambda data: data["work"].pop("plain"), "`plain:` is missing"),
        (lambda data: data["machine"].update(flops=-1), "machine.flops: must be more than 0"),
        (lambda data: data.update(variant="cc_b0_4e"), "records do not move"),
    ],
)
def test_a_record_that_was_edited_is_reported_and_no_result(project, edit, found):
    path = timings.save(records.bench(project), project)
    data = json.loads(path.read_text("utf-8"))
    edit(data)
    path.write_text(json.dumps(data))
    wrong = [*records.problems(results, project, NAME), *records.problems(timings, project, NAME)]
    assert any(found in str(problem) for problem in wrong)
    assert {problem.place.file for problem in wrong} == {f"registry/results/{NAME}/{path.name}"}
    assert results.load(project, NAME) == []
    spec = registry.load(NAME, project)
    differs = [timings.differs(made, spec) for made in records.load(timings, project, NAME)]
    assert differs in ([], ["edited by hand"])  # the first: it does not even fit the schema


def test_a_faster_time_put_in_by_hand_is_no_result(project):
    path = timings.save(records.bench(project), project)
    spec = registry.load(NAME, project)
    assert [timings.differs(made, spec) for made in records.load(timings, project, NAME)] == [""]
    data = json.loads(path.read_text("utf-8"))
    for name in ("low", "median", "high", "p99"):
        data["timings"][0][name] /= 2
    path.write_text(json.dumps(data))
    assert [timings.differs(made, spec) for made in records.load(timings, project, NAME)] == [
        "edited by hand"
    ]


def test_a_measurement_stays_the_variants_while_network_and_size_do(project):
    spec = registry.load(NAME, project)
    assert timings.differs(records.bench(project), spec) == ""
    # What changes neither has nothing to say about speed.
    recipe = records.bench(project, settings={"recipe.lr": 0.5, "network.dropout": 0.5})
    assert timings.differs(recipe, spec) == ""
    small = records.bench(project, settings={"preprocessing.image_size": 64})
    assert timings.differs(small, spec) == "preprocessing.image_size 64"
    wide = records.bench(project, settings={"network.width": 0.5})
    assert timings.differs(wide, spec) == "another network.width"


def test_a_setting_that_came_later_means_what_was_done_before(project):
    made = records.bench(project)
    settings = json.loads(json.dumps(made.settings))
    assert settings["network"].pop("in_channels") == 3
    assert timings.differs(replace(made, settings=settings), registry.load(NAME, project)) == ""


def test_the_plain_network_is_the_same_without_experts(shipped):
    spec = registry.load("cc_b0_4e", shipped)
    plain = timings.plain(spec)
    assert count(plain.network, 224).mixing_macs == 0
    # EfficientNet-B0: 5.3 M parameters, 0.39 B multiply-accumulates (arXiv:1905.11946, table 2).
    assert round(count(plain.network, 224).parameters / 1e6, 1) == 5.3
    assert round(count(plain.network, 224).macs / 1e9, 2) == 0.39
    assert [stage.repeats for stage in plain.network.stages] == [
        stage.repeats for stage in spec.network.stages
    ]


def test_the_limit_is_the_longer_of_computing_and_reading():
    machine = Machine(flops=200.0, copy_bytes=10.0)
    work = Work(macs=100, weight_bytes=50)
    assert machine.limit(work, 1) == 5  # the weights; computing takes one second
    assert machine.limit(work, 8) == 8  # the weights are read once for all images


def test_speed_is_told_by_the_median_and_beside_the_plain_network(project):
    made = records.bench(project)
    assert made.timing("torch", VARIANT, 16).images_per_second == pytest.approx(100)
    assert made.timing("openvino", PLAIN, 1).images_per_second == pytest.approx(125)
    assert made.beside_plain("torch", 16) == pytest.approx(0.8)
    assert (made.engines, made.batches) == (["torch", "openvino"], [1, 16])
    work = made.work[VARIANT]
    seconds = 2 * work.macs * 16 / 1e11
    assert made.share(made.timing("torch", VARIANT, 16)) == pytest.approx(seconds / 0.16)


@pytest.mark.parametrize(
    "lacking", [("device", "name"), ("device", "cores"), ("versions", "torch")]
)
def test_a_record_without_what_cards_say_of_it_is_no_record(project, lacking):
    path = timings.save(records.bench(project), project)
    data = json.loads(path.read_text("utf-8"))
    del data[lacking[0]][lacking[1]]
    del data["digest"]
    path.write_text(json.dumps(seal.sealed(data)), "utf-8")
    (problem,) = records.problems(timings, project, NAME)
    assert f"`{lacking[1]}:` is missing" in str(problem)
