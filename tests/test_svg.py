"""Scales are round and hold their values; words have room, and stay words."""

from xml.etree import ElementTree

import pytest
from drawings import assert_inside, parsed, words
from hypothesis import given, settings
from hypothesis import strategies as st
from rendered import HOSTILE, Page, to_html

from effcc.report import svg

numbers = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1e-12, 1.0, 100.0, 5e-324])
amounts = st.floats(1e-6, 1e12)


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=6))
def test_a_linear_axis_holds_its_values_between_a_handful_of_round_ticks(values):
    axis = svg.linear(values, 100, 0)
    assert 2 <= len(axis.ticks) <= 7
    assert list(axis.ticks) == sorted(axis.ticks)
    assert len({svg.number(tick) for tick in axis.ticks}) == len(axis.ticks)
    for value in values:
        assert -0.1 <= axis.at(value) <= 100.1
    assert axis.at(axis.ticks[0]) == pytest.approx(100)
    assert axis.at(axis.ticks[-1]) == pytest.approx(0, abs=1e-9)


@settings(deadline=None)
@given(st.lists(amounts, min_size=1, max_size=6))
def test_a_logarithmic_axis_holds_its_values_and_keeps_their_ratios(values):
    axis = svg.logarithmic(values, 0, 100)
    assert len(axis.ticks) <= 8
    for value in (*values, *axis.ticks):
        assert -0.1 <= axis.at(value) <= 100.1
    if axis.logarithmic:
        low = axis.low
        assert axis.at(low * 2) == pytest.approx(axis.at(low * 8) / 3)
        assert max(values) >= 4 * min(values)


def test_values_that_lie_close_together_or_below_zero_have_a_linear_axis():
    assert not svg.logarithmic([397e6, 723e6], 0, 1).logarithmic
    assert not svg.logarithmic([-1, 100], 0, 1).logarithmic
    assert not svg.logarithmic([5e-324, 1], 0, 1).logarithmic
    assert svg.logarithmic([1e6, 1e9], 0, 1).ticks[0] == 1e6


@pytest.mark.parametrize("last", [1, 2, 20, 350, 7, 0.5])
def test_epochs_are_whole_and_end_where_training_does(last):
    axis = svg.epochs(last, 0, 100)
    assert axis.ticks[0] == 0
    assert all(tick == round(tick) and tick <= last for tick in axis.ticks)
    assert axis.at(last) == 100


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["line a", "bar"]), st.text("abcmW ", max_size=30)),
                min_size=1, max_size=6))  # fmt: skip
def test_a_legend_takes_the_lines_it_needs(items):
    parts, foot = svg.legend(items, 12, 330)
    (picture,) = parsed(svg.picture(330, foot + 4, "x", parts))
    assert_inside(picture)
    assert len(words(picture)) == len(items)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(928, "928"), (1448, "1.45 k"), (13_314_116, "13.3 M"), (999_999, "1 M"), (0.5, "0.5"),
     (396_513_888, "397 M"), (1.2e9, "1.2 G"), (4.2e12, "4,200 G")],
)  # fmt: skip
def test_counts_are_written_as_people_say_them(value, expected):
    assert svg.short(value) == expected


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_is_written_into_a_picture_becomes_markup(text):
    drawn = svg.picture(100, 100, text, svg.text(0, 10, text))
    picture = ElementTree.fromstring(drawn)
    assert picture.get("aria-label") == " ".join(text.split())
    assert [node.text for node in picture] == [" ".join(text.split())]
    figure = '<figure markdown="0">{}</figure>'
    found, expected = (
        Page(to_html(figure.format(svg.picture(100, 100, said, svg.text(0, 10, said)))))
        for said in (text, "plain")
    )
    assert [name for name, _ in found.elements] == [name for name, _ in expected.elements]
    assert found.links == expected.links == []


def test_a_picture_with_links_is_no_image():
    # An image has no parts; whoever cannot see it would not come to its links.
    assert 'role="img"' in svg.picture(1, 1, "x", "")
    assert 'role="group"' in svg.picture(1, 1, "x", "", links=True)
