"""A plan on a terminal: it fits, and the picture of the rate is the rate."""

import pytest

import effcc
from effcc import outlook
from effcc.catalog.schedule import Schedule
from effcc.outlook import curve, span
from effcc.train.gauge import Loading, Memory, Scaling, Step
from effcc.train.plan import Plan, Run

GIB = 2**30


def plan(*, scaling=None, devices=16, workers=8):
    """Of the published recipe on ImageNet, on a cluster nobody has here."""
    spec = effcc.load("cc_b1_8e", settings={"data.batch_size": 128})

    def on(count):
        batches = 1_281_167 // count // 128
        schedule = Schedule.of(spec, devices=count, accumulated=1, batches=batches)
        return Run(count, 1, batches, 128, schedule, 350 * batches)

    return Plan(
        spec=spec,
        run=on(devices),
        title="images of imagenet",
        images={"train": 1_281_167, "val": 50_000, "test": 50_000},
        nodes=2,
        table=tuple(on(1 << power) for power in range(7)),
        workers=workers,
        shared=False,
        step=Step("cuda", "NVIDIA H100 80GB HBM3", 128, 10, 0.25, Memory(1, 1, 2, 1, GIB, 128)),
        loading=Loading(96, 0.5),
        memory=Memory(GIB // 8, GIB // 8, GIB // 4, GIB // 8, 12 * GIB, 128),
        scaling=scaling,
    )


@pytest.mark.parametrize("scaling", [None, Scaling(8, 0.25, 0.27)])
def test_a_plan_fits_into_eighty_columns(scaling):
    assert max(map(len, outlook.text(plan(scaling=scaling)).splitlines())) <= 80


def test_a_plan_says_what_a_run_would_be():
    text = outlook.text(plan())
    for part in (
        "cc_b1_8e, 39,715,968 parameters, 1,000 classes, 240 pixels",
        "images of imagenet",
        "1,281,167 to train on, 50,000 to validate",
        "1,280,000 read an epoch to train, 448,000,000 in all",
        "2 machines x 8 devices x 1 accumulated x 128 images",
        "= 2,048 a step",
        "625 an epoch, 218,750 in 350 epochs",
        "0.128 before decay: the recipe's 0.128 is for 2,048 images a step",
        "3,125 steps of warm-up (5 epochs), then x 0.97 every 2.4 epochs",
        "12.6 GiB a device, for 128 images",
        "a step of 128 images takes 0.25 s, 512 images/s",
        "a process loads 192 images/s",
        "2.6 min an epoch, 15.2 h in all, 243 device-hours",
    ):
        assert part in text
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert rows["64"][1:4] == ["8,192", "156", "0.512"]


def test_a_measured_column_stands_only_beside_a_measurement():
    without = outlook.text(plan())
    assert "ideal total\n" in without
    assert "could not be measured" in without
    text = outlook.text(plan(scaling=Scaling(8, 0.25, 0.27)))
    assert "ideal total   measured" in text
    assert "8 devices here are 93 % efficient" in text


def dots(lines):
    """(x, y) of every dot, y from the bottom."""
    found = set()
    for row, line in enumerate(lines):
        for column, cell in enumerate(line):
            for y in range(4):
                for x in range(2):
                    if (ord(cell) - 0x2800) >> (y + 3 * x if y < 3 else 6 + x) & 1:
                        found.add((2 * column + x, 4 * (len(lines) - row) - 1 - y))
    return found


def test_the_picture_of_a_ramp_is_a_diagonal():
    assert dots(curve([x / 23 for x in range(24)], height=6)) >= {(x, x) for x in range(24)}


def test_every_value_is_a_dot_at_its_height_and_jumps_are_joined():
    values = [0, 0, 7, 7, 3, 0]
    found = dots(curve(values, height=2))
    assert found >= set(enumerate(values))
    assert {y for x, y in found if x == 2} == set(range(8))
    assert {x for x, _ in found} == set(range(6))


def test_a_rate_of_nothing_has_a_picture_too():
    assert dots(curve([0.0, 0.0], height=1)) == {(0, 0), (1, 0)}


def test_times_have_the_unit_that_suits_them():
    seconds = (0.01234, 99, 100, 5999, 6000, 47.9 * 3600, 48 * 3600, 500 * 86400)
    assert [span(s) for s in seconds] == [
        "0.0123 s",
        "99 s",
        "1.67 min",
        "100 min",
        "1.67 h",
        "47.9 h",
        "2 days",
        "500 days",
    ]


def test_a_process_that_loads_for_itself_is_named():
    assert "the training process itself" in outlook.text(plan(workers=0))
