"""The front holds whoever is not beaten; points lead to cards, and stay apart however many."""

from itertools import combinations, pairwise

import pytest
from drawings import assert_inside, parsed, paths, places, said, words
from hypothesis import given, settings
from hypothesis import strategies as st

from effcc.report import fronts
from effcc.report.fronts import Point

costs = st.sampled_from([1.0, 2.0, 3.0, 1e3, 1e6]) | st.floats(1e-3, 1e12)
shares = st.sampled_from([0.5, 0.75, 1.0, 0.0]) | st.floats(0, 1)


@st.composite
def variants(draw, most=12):
    drawn = draw(st.lists(st.tuples(costs, shares), min_size=1, max_size=most))
    return [Point(f"cc_{n}", cost, share, f"words {n}") for n, (cost, share) in enumerate(drawn)]


def beats(one, other):
    no_worse = one.cost <= other.cost and one.accuracy >= other.accuracy
    return no_worse and (one.cost < other.cost or one.accuracy > other.accuracy)


def picture(points, **changes):
    titles = {"described": "x", "cost": "cost", "accuracy": "top-1, %", "kind": "claimed"} | changes
    return fronts.draw(points, **titles)


@settings(deadline=None)
@given(variants())
def test_the_front_is_everybody_whom_nobody_beats(points):
    best = fronts.front(points)
    assert set(best) == {p for p in points if not any(beats(other, p) for other in points)}
    assert len(best) == len(set(best))
    assert [p.cost for p in best] == sorted(p.cost for p in best)
    assert [p.accuracy for p in best] == sorted(p.accuracy for p in best)


@settings(deadline=None)
@given(variants())
def test_no_point_is_above_the_line_of_the_front(points):
    (drawn,) = parsed(picture(points).svg)
    (line,) = paths(drawn, "front")
    corners = list(places(line))
    for circle in drawn.iter("circle"):
        x, y = float(circle.get("cx")), float(circle.get("cy"))
        reached = [up for left, up in corners if left <= x + 0.11]
        assert y >= min(reached) - 0.11


@settings(deadline=None)
@given(variants(), st.text("abmw_09", min_size=1, max_size=64))
def test_points_and_names_stay_inside_the_frame_and_cover_no_name(points, name):
    points = [*points, Point(name, 2.0, 0.5, "w", (0.25, 0.75))]
    assert_inside(*parsed(picture(points).svg))


def test_every_point_leads_to_its_card_with_its_figures():
    points = [
        Point("cc_a", 4e8, 0.77, "77 % at 400 M"),
        Point("cc_b", 7e8, 0.79, "79 % at 700 M"),
        Point("cc_c", 8e8, 0.78, "78 % at 800 M"),
    ]
    (drawn,) = parsed(picture(points).svg)
    links = {link.get("href"): link for link in drawn.iter("a")}
    assert links.keys() == {"cc_a.md", "cc_b.md", "cc_c.md"}
    for point in points:
        link = links[f"{point.name}.md"]
        assert link.get("aria-label") == link.find("title").text == f"{point.name}: {point.words}"
        assert link.find("text").text == point.name
    kinds = {href: link.find("circle").get("class") for href, link in links.items()}
    assert kinds == {
        "cc_a.md": "best claimed",
        "cc_b.md": "best claimed",
        "cc_c.md": "point claimed",
    }
    assert said(drawn) == (
        "x, of 3 variants. None is better than cc_a, 77 % at 400 M; cc_b, 79 % at 700 M."
    )
    assert drawn.get("role") == "group"  # not an image: it has links


def test_more_accuracy_is_higher_and_more_cost_further_right():
    points = [Point("a", 10.0, 0.5, ""), Point("b", 1000.0, 0.9, "")]
    (drawn,) = parsed(picture(points).svg)
    at = {a.get("href"): a.find("circle") for a in drawn.iter("a")}
    one, other = at["a.md"], at["b.md"]
    assert float(other.get("cx")) > float(one.get("cx"))
    assert float(other.get("cy")) < float(one.get("cy"))


@pytest.mark.parametrize("most", [7.9e8, 1.2e9, 4e5])
def test_the_numbers_of_costs_stand_under_their_ticks_to_the_last(most):
    (drawn,) = parsed(picture([Point("a", most / 2, 0.5, ""), Point("b", most, 0.9, "")]).svg)
    feet = [float(text.get("x")) for text in drawn.iter("text") if text.get("y") == "232.0"]
    steps = [other - one for one, other in pairwise(feet)]
    assert len(steps) > 2
    assert steps == pytest.approx([steps[0]] * len(steps), abs=0.21)
    assert_inside(drawn)


def test_intervals_are_drawn_where_there_are_any():
    points = [Point("a", 1.0, 0.5, "", (0.4, 0.6)), Point("b", 2.0, 0.5, "")]
    (drawn,) = parsed(picture(points).svg)
    ((_, low), (_, high)) = places(*paths(drawn, "whisker"))
    assert low > float(next(drawn.iter("circle")).get("cy")) > high


@pytest.fixture(scope="module")
def thousand():
    """A cloud that is dense in the middle, with a front of its own."""
    cloud = [
        Point(f"cc_{n}", 1e8 + 1e6 * (n * 37 % 500), 0.6 + 0.1 * (n * 61 % 499) / 499, f"w{n}")
        for n in range(990)
    ]
    return [*cloud, *(Point(f"top_{n}", 1e8 * (n + 1), 0.75 + n / 100, "t") for n in range(10))]


def test_a_thousand_variants_make_a_picture_that_is_light_and_can_be_read(thousand):
    found = picture(thousand)
    assert len(found.svg) < 80_000
    (drawn,) = parsed(found.svg)
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in drawn.iter("circle")]
    assert found.drawn == len(circles) <= 300
    assert len(set(circles)) == len(circles)
    names = [link.find("text") for link in drawn.iter("a")]
    assert 5 <= sum(name is not None for name in names) <= 16
    assert_inside(drawn)
    hidden = sum(
        int(link.get("aria-label").partition(", and ")[2].split()[0])
        for link in drawn.iter("a")
        if ", and " in link.get("aria-label")
    )
    assert found.drawn + hidden == 1000  # each is drawn, or said to be where another is


def test_who_is_on_the_front_is_never_left_out_for_who_is_not(thousand):
    (drawn,) = parsed(picture(thousand).svg)
    linked = {link.get("href") for link in drawn.iter("a")}
    best = {f"{point.name}.md" for point in fronts.front(thousand)}
    assert best <= linked


def test_of_variants_that_are_the_same_one_is_drawn_and_the_others_are_counted():
    same = [Point(f"cc_{n}", 5.0, 0.5, "w") for n in range(3)]
    (drawn,) = parsed(picture(same).svg)
    (link,) = drawn.iter("a")
    assert link.get("aria-label") == "cc_0: w, and 2 others here"


def test_a_wide_range_of_costs_says_that_its_scale_is_logarithmic():
    wide = [Point("a", 1e6, 0.5, ""), Point("b", 1e9, 0.6, "")]
    (drawn,) = parsed(picture(wide, cost="MACs").svg)
    assert "MACs, log scale" in words(drawn)
    narrow = [Point("a", 1e6, 0.5, ""), Point("b", 2e6, 0.6, "")]
    (drawn,) = parsed(picture(narrow, cost="MACs").svg)
    assert "MACs" in words(drawn)


def test_the_order_of_the_variants_changes_nothing(thousand):
    assert picture(thousand) == picture(thousand[::-1])


def test_names_of_a_few_do_not_cover_each_other():
    near = [Point(f"cc_variant_{n}", 1e8 * (1 + n / 100), 0.7 + n / 1000, "w") for n in range(8)]
    (drawn,) = parsed(picture(near).svg)
    assert_inside(drawn)
    assert sum(1 for word in words(drawn) if word.startswith("cc_")) >= 2
    assert all(a is not b for a, b in combinations(words(drawn), 2))
