"""A recipe in steps: for the trainer that runs it and for the plan that foresees it."""

import pytest

import effcc
from effcc.catalog.schedule import Schedule, staircase, stairs


def of(*, devices=1, accumulated=1, batches=100, **settings):
    changes = {name.replace("__", "."): value for name, value in settings.items()}
    spec = effcc.load("cc_b0_4e", settings=changes)
    return Schedule.of(spec, devices=devices, accumulated=accumulated, batches=batches)


def test_the_rate_is_the_recipes_at_the_recipes_batch_and_in_proportion_at_others():
    recipe = effcc.load("cc_b0_4e").recipe
    assert of(data__batch_size=recipe.batch_size).peak_lr == recipe.lr
    many = of(devices=8, accumulated=2, data__batch_size=16)
    assert many.images_per_step == 256
    assert many.peak_lr == pytest.approx(recipe.lr * 256 / recipe.batch_size)


def test_what_is_left_at_the_end_of_an_epoch_is_a_step():
    # As Lightning does: the last batches of an epoch step, however few have accumulated.
    assert of(batches=10, accumulated=4).steps_per_epoch == 3
    assert of(batches=10, accumulated=4).warmup_steps == 15


def test_the_rate_rises_in_a_line_and_falls_in_stairs_counted_from_the_start():
    made = of(recipe__lr=1.0, data__batch_size=1, recipe__batch_size=1, batches=100)
    assert (made.warmup_steps, made.decay_steps) == (500, 240)
    assert made.lr(0) == 0
    assert made.lr(250) == pytest.approx(0.5)
    assert made.lr(499) == pytest.approx(499 / 500)
    assert made.lr(500) == made.lr(719) == pytest.approx(0.97**2)  # two stairs passed on the way
    assert made.lr(720) == pytest.approx(0.97**3)


def test_without_warm_up_the_first_step_has_the_peak():
    assert staircase(0, 0, 10.0, 0.5) == 1


@pytest.mark.parametrize(
    ("warmup", "length", "epochs"),
    [(5, 2.4, 350), (2, 0.13, 20), (0, 2.4, 10), (5, 50, 20), (30, 2.4, 20), (4.8, 2.4, 7.2)],
)
def test_the_stairs_are_where_the_rate_falls(warmup, length, epochs):
    made = of(
        recipe__lr=1.0, recipe__batch_size=1, data__batch_size=1, recipe__epochs=round(epochs),
        recipe__warmup_epochs=warmup, recipe__decay_epochs=length, batches=100,
    )  # fmt: skip
    found = stairs(made.recipe, 1000)
    falls = [
        (step / 100, made.lr(step))
        for step in range(made.warmup_steps, 100 * made.recipe.epochs)
        if step == made.warmup_steps or made.lr(step) != made.lr(step - 1)
    ]
    assert [rate for _, rate in found] == pytest.approx([rate for _, rate in falls])
    assert [epoch for epoch, _ in found] == pytest.approx([at for at, _ in falls], abs=0.011)


def test_of_many_stairs_some_are_given_and_the_last():
    made = of(recipe__epochs=350, recipe__decay_epochs=0.01).recipe
    found, every = stairs(made, 100), stairs(made, 10**6)
    assert len(found) <= 101
    assert set(found) <= set(every)
    assert found[-1] == every[-1]
    assert len(every) > 30_000
