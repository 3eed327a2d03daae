"""Lines and bars are drawn inside their frame, and say in words what they show."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from drawings import assert_inside, parsed, paths, places, said, words
from hypothesis import given, settings
from hypothesis import strategies as st

import effcc
from effcc.catalog.schedule import Schedule
from effcc.report import svg
from effcc.report.figures import bars, learning_curve, learning_rate

FULL = {
    "train_loss": 2.0, "val_loss": 1.0, "val_top1": 0.5, "val_top5": 0.75,
    "raw_val_loss": 1.5, "raw_val_top1": 0.25, "raw_val_top5": 0.5,
}  # fmt: skip


def points(*values, name="val_loss"):
    return [{"epoch": epoch, name: value} for epoch, value in enumerate(values, 1)]


def run(epochs=3, **left_out):
    """A run whose losses halve and whose accuracies stay."""
    kept = {name: value for name, value in FULL.items() if name not in left_out}
    return [
        {"epoch": epoch}
        | {name: value / (epoch if "loss" in name else 1) for name, value in kept.items()}
        for epoch in range(1, epochs + 1)
    ]


def test_one_epoch_makes_no_curve():
    assert learning_curve(points(1.0), "x") == ""
    assert learning_curve([], "x") == ""


def test_a_picture_says_in_words_what_it_shows():
    accuracy, loss = parsed(learning_curve(run(), 'A "curve" of <run> & more'))
    assert accuracy.get("role") == loss.get("role") == "img"
    assert said(accuracy) == (
        'A "curve" of <run> & more: top-1 from 50 % after epoch 1 to 50 % after epoch 3; '
        "top-1, raw weights from 25 % after epoch 1 to 25 % after epoch 3; "
        "top-5 from 75 % after epoch 1 to 75 % after epoch 3; "
        "top-5, raw weights from 50 % after epoch 1 to 50 % after epoch 3"
    )
    assert "training from 2 after epoch 1 to 0.667 after epoch 3" in said(loss)


def test_accuracies_and_losses_have_a_panel_each_and_a_line_each():
    accuracy, loss = parsed(learning_curve(run(), "x"))
    assert words(accuracy).count("epoch") == words(loss).count("epoch") == 1
    assert {"top-1", "top-5", "raw weights"} <= set(words(accuracy))
    assert {"validation", "training", "raw weights"} <= set(words(loss))
    # Each with its sample; that of the raw weights has no colour of its own.
    assert [len(paths(accuracy, kind)) for kind in ("line0", "line1", "raw")] == [3, 3, 3]
    assert [len(paths(loss, kind)) for kind in ("line0", "line2", "raw")] == [3, 2, 2]


def test_a_record_from_before_raw_weights_were_measured_is_drawn_with_what_it_has():
    old = run(raw_val_loss=0, raw_val_top1=0, raw_val_top5=0, val_top5=0)
    accuracy, loss = parsed(learning_curve(old, "x"))
    assert not {"raw weights", "top-5"} & {*words(accuracy), *words(loss)}
    assert len(paths(accuracy, "line0")) == 2
    assert "raw" not in said(accuracy) + said(loss)


def test_epochs_without_validation_leave_no_hole():
    rows = [{"epoch": e, "train_loss": 1 / e} | ({"val_loss": 1.0} if e % 2 else {})
            for e in range(1, 6)]  # fmt: skip
    (loss,) = parsed(learning_curve(rows, "x"))
    line, _ = paths(loss, "line0")[::-1]
    assert len(list(places(line))) == 3
    single = [{"epoch": 1, "val_loss": 1.0}, {"epoch": 2, "val_loss": 0.5, "val_top1": 0.5}]
    (loss,) = parsed(learning_curve(single, "x"))
    assert "top-1" not in words(loss)


def test_losses_far_apart_are_drawn_by_their_ratios_and_it_says_so():
    (loss,) = parsed(learning_curve(points(40.0, 4.0, 0.4), "x"))
    assert "loss, log scale" in words(loss)
    first, second, third = (y for _, y in places(paths(loss, "line0")[-1]))
    assert second - first == pytest.approx(third - second, abs=0.11)
    (loss,) = parsed(learning_curve(points(1.0, 0.5), "x"))
    assert "loss" in words(loss)


def test_long_runs_are_thinned_to_what_a_screen_shows_and_end_where_they_ended():
    values = [1 + math.sin(epoch / 7) for epoch in range(1, 1001)]
    (loss,) = parsed(learning_curve(points(*values), "x"))
    line = list(places(paths(loss, "line0")[-1]))
    assert 60 < len(line) <= 122
    assert line[-1][0] == max(x for x, _ in line) == 322
    assert len(learning_curve(run(1000), "x")) < 16_000


limits = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1e-12, 1.0, 100.0, 5e-324])
odd = limits | st.sampled_from([math.inf, -math.inf, math.nan, 1e308])
curves = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys((*FULL, "epoch"), odd)), max_size=6
)


@settings(deadline=None)
@given(curves)
def test_every_curve_stays_inside_its_frame(rows):
    for picture in parsed(
        learning_curve([{"epoch": e} | row for e, row in enumerate(rows, 1)], "x")
    ):
        assert_inside(picture)
        assert "nan" not in said(picture)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e-9, 0.1 + 0.2])
def test_a_curve_that_never_moves_is_drawn(value):
    (picture,) = parsed(learning_curve(points(value, value, value), "x"))
    assert len({y for _, y in places(paths(picture, "line0")[-1])}) == 1


def test_a_higher_value_is_higher_up():
    (picture,) = parsed(learning_curve(points(0.2, 0.8), "x"))
    (_, first), (_, last) = places(paths(picture, "line0")[-1])
    assert last < first


def widths(picture, kind):
    return [
        max(x for x, _ in places(d)) - min(x for x, _ in places(d)) for d in paths(picture, kind)
    ]


def test_bars_begin_at_nothing_and_end_at_their_value():
    (picture,) = parsed(bars({"one": {"torch": [50, 100], "openvino": [25, 0.5]}}, ("a", "b"), "x"))
    _, *first = widths(picture, "bar0")  # after the legend's
    _, *second = widths(picture, "bar1")
    whole = second[0]
    assert [*first, *second] == pytest.approx(
        [whole * share for share in (0.5, 0.25, 1, 0.005)], abs=0.1
    )
    assert len({next(iter(places(d)))[0] for d in paths(picture, "bar0")[1:]}) == 1


def test_panels_of_bars_share_a_scale_and_are_told_in_words():
    groups = {"1 a call": {"torch": [100, 120]}, "16 a call": {"torch": [1234, 50]}}
    first, second = parsed(bars(groups, ("mine & <yours>", "plain"), "Speed"))
    assert said(first) == "Speed, 1 a call: torch 100 mine & <yours>, 120 plain"
    assert "torch 1,234 mine" in said(second)
    assert widths(first, "bar0")[1] / widths(second, "bar0")[1] == pytest.approx(
        100 / 1234, abs=2e-3
    )


def test_bars_of_one_kind_need_no_legend_and_some_may_stand_out():
    rows = {"parameters": {"stem": [928], "stage 4": [1_860_000]}}
    (picture,) = parsed(
        bars(rows, [""], "Computed", kind="computed", written=svg.short, other={"stage 4"})
    )
    assert said(picture) == "Computed, parameters: stem 928; stage 4 1.86 M"
    assert (len(paths(picture, "computed")), len(paths(picture, "conditional"))) == (1, 1)


names = st.text("abcmwMW_ 0", min_size=1, max_size=40)


two = st.lists(st.floats(0, 1e9), min_size=2, max_size=2)


@settings(deadline=None)
@given(st.dictionaries(names, two, min_size=1, max_size=5), names, names)
def test_bars_and_their_words_stay_inside_the_frame(rows, title, label):
    (picture,) = parsed(bars({title: rows}, (label, "plain network"), "x"))
    assert_inside(picture)


def recipe(**changes):
    return replace(effcc.load("cc_b0_4e").recipe, **changes)


def test_the_learning_rate_is_drawn_as_it_is_trained_with():
    chosen = recipe(lr=1.0, epochs=20, warmup_epochs=5.0, decay_epochs=2.4, batch_size=32)
    (picture,) = parsed(learning_rate(chosen, "as documented"))
    (line,) = paths(picture, "computed")
    corners = list(places(line))
    (left, base), (warm, peak) = corners[:2]
    right = corners[-1][0]
    trained = Schedule(chosen, 32, 1000)
    for epoch in (0.5, 2.5, 4.5, 5.5, 7.0, 7.3, 12.1, 19.9):
        x = left + (right - left) * epoch / 20
        (x0, y0), (x1, y1) = next((a, b) for a, b in pairwise(corners) if a[0] <= x < b[0])
        drawn = base - (y0 + (y1 - y0) * (x - x0) / (x1 - x0))
        assert drawn / (base - peak) == pytest.approx(trained.lr(round(1000 * epoch)), abs=2e-3)
    assert warm == pytest.approx(left + (right - left) / 4, abs=0.1)


def test_the_learning_rate_is_told_in_words():
    (picture,) = parsed(learning_rate(recipe(lr=0.128, batch_size=2048), "as documented"))
    assert said(picture) == (
        "Learning rate as documented, for 2,048 images a step: up to 0.128 in 5 epochs, then times "
        "0.97 every 2.4 epochs, and 0.0015 in epoch 350"
    )


@settings(deadline=None)
@given(
    epochs=st.integers(1, 1000),
    warmup=st.floats(0, 2000),
    length=st.floats(1e-9, 1e4),
    rate=st.floats(1e-6, 1.0),
    lr=st.floats(1e-8, 1e3),
)
def test_any_schedule_stays_inside_its_frame_and_light(epochs, warmup, length, rate, lr):
    chosen = recipe(
        epochs=epochs, warmup_epochs=warmup, decay_epochs=length, decay_rate=rate, lr=lr
    )
    drawn = learning_rate(chosen, "x")
    assert len(drawn) < 8000
    assert_inside(*parsed(drawn))


def test_drawing_twice_gives_the_same_picture():
    assert learning_curve(run(), "x") == learning_curve(run(), "x")
    assert learning_rate(recipe(), "x") == learning_rate(recipe(), "x")
