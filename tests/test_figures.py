"""Curves are drawn inside their frame, and say in words what they show."""

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effcc.report.figures import bars, learning_curve


def points(*values, **names):
    name = names.get("name", "val_loss")
    return [{"epoch": epoch, name: value} for epoch, value in enumerate(values, 1)]


def drawn(*args):
    return ElementTree.fromstring(f"<figure>{learning_curve(*args)}</figure>")


def parts(figure, kind):
    return [node for node in figure.iter() if node.tag.rpartition("}")[2] == kind]


def test_one_epoch_makes_no_curve():
    assert learning_curve(points(1.0), "x") == ""
    assert learning_curve([], "x") == ""


def test_a_picture_says_in_words_what_it_shows():
    figure = drawn(points(1.0, 0.5), 'A "curve" of <run> & more')
    (svg,) = parts(figure, "svg")
    assert svg.get("role") == "img"
    assert svg.get("aria-label").startswith('A "curve" of <run> & more')


def test_accuracy_and_losses_have_a_panel_each():
    rows = [{"epoch": e, "val_top1": e / 4, "train_loss": 2 / e, "val_loss": 1 / e} for e in (1, 2)]
    text = [node.text for node in parts(drawn(rows, "x"), "text")]
    assert text.count("epoch") == 2
    for label in ("validation top-1, %", "training loss", "validation loss"):
        assert label in text


def test_what_is_missing_in_some_epoch_is_left_out():
    rows = [{"epoch": 1, "val_loss": 1.0}, {"epoch": 2, "val_loss": 0.5, "val_top1": 0.5}]
    text = [node.text for node in parts(drawn(rows, "x"), "text")]
    assert "validation loss" in text
    assert "validation top-1, %" not in text


def coordinates(figure):
    for node in parts(figure, "path"):
        if "grid" in node.get("class"):
            continue
        for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", node.get("d")):
            yield float(x), float(y)


limits = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1e-12, 1.0, 100.0, 5e-324])


@given(st.lists(limits, min_size=2, max_size=6))
def test_every_curve_stays_inside_its_frame(values):
    figure = drawn(points(*values), "x")
    (svg,) = parts(figure, "svg")
    _, _, width, height = map(float, svg.get("viewBox").split())
    for x, y in coordinates(figure):
        assert 0 <= x <= width
        assert 0 <= y <= height


@given(st.lists(limits, min_size=2, max_size=6))
def test_the_scale_has_a_handful_of_round_steps(values):
    labels = [float(node.text) for node in parts(drawn(points(*values), "x"), "text")
              if node.get("text-anchor") == "end"]  # fmt: skip
    assert 2 <= len(labels) <= 8
    assert labels == sorted(labels)
    span = max(max(abs(v) for v in values), 1.0)
    assert labels[0] <= min(values) + 1e-5 * span
    assert labels[-1] >= max(values) - 1e-5 * span


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e-9, 0.1 + 0.2])
def test_a_curve_that_never_moves_is_drawn(value):
    assert all(math.isfinite(y) for _, y in coordinates(drawn(points(value, value, value), "x")))


def test_a_higher_value_is_higher_up():
    (_, first), (_, last), *_ = coordinates(drawn(points(0.2, 0.8), "x"))
    assert last < first


def test_bars_begin_at_nothing_and_end_at_their_value():
    figure = drawn_bars({"one": {"torch": [50, 100], "openvino": [25, 0.5]}}, ("a", "b"), "x")
    found = [bar.get("d") for bar in parts(figure, "path") if "bar" in bar.get("class")]
    wide = [float(re.search(r"h([\d.]+)v", d)[1]) for d in found[2:]]  # after the legend
    assert len({d.partition(" ")[0] for d in found[2:]}) == 1
    assert wide == pytest.approx([wide[1] * share for share in (0.5, 1, 0.25, 0.005)], abs=0.1)
    (svg,) = parts(figure, "svg")
    _, _, width, height = map(float, svg.get("viewBox").split())
    for text in parts(figure, "text"):
        assert 0 <= float(text.get("x")) <= width
        assert 0 <= float(text.get("y")) <= height


def test_panels_of_bars_share_a_scale_and_are_told_in_words():
    groups = {"1 a call": {"torch": [100, 120]}, "16 a call": {"torch": [1234, 50]}}
    figure = drawn_bars(groups, ("mine & <yours>", "plain"), "Speed")
    first, second = parts(figure, "svg")
    assert first.get("aria-label") == "Speed, 1 a call: torch 100 mine & <yours>, 120 plain"
    assert "torch 1,234 mine" in second.get("aria-label")
    scales = [[n.text for n in parts(svg, "text") if n.get("text-anchor") == "middle"]
              for svg in (first, second)]  # fmt: skip
    assert scales[0] == scales[1]
    assert scales[0][0] == "0"


def drawn_bars(*args):
    return ElementTree.fromstring(f"<figure>{bars(*args)}</figure>")


def test_drawing_twice_gives_the_same_picture():
    rows = points(0.3, 0.2, 0.25)
    assert learning_curve(rows, "x") == learning_curve(rows, "x")
