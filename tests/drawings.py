"""Pictures taken apart: their words, and where everything in them stands."""

import re
from itertools import combinations
from xml.etree import ElementTree

from effcc.report import svg

NUMBER = r"-?\d+(?:\.\d+)?"


def parsed(text):
    """The pictures of a text."""
    return list(ElementTree.fromstring(f"<figure>{text}</figure>").iter("svg"))


def said(picture):
    return picture.get("aria-label")


def words(picture):
    return [node.text or "" for node in picture.iter("text")]


def paths(picture, kind):
    """The commands of the paths of a kind."""
    return [node.get("d") for node in picture.iter("path") if kind in node.get("class").split()]


def places(commands):
    """Every point that a path of M, L, H, V, h, v and z leads through."""
    x = y = 0.0
    for name, rest in re.findall(r"([MLHVhvz])([^MLHVhvz]*)", commands):
        numbers = [float(number) for number in re.findall(NUMBER, rest)]
        assert re.sub(NUMBER, "", rest).strip() == "", commands
        if name in "ML":
            x, y = numbers
        elif name in "Hh":
            (x,) = [numbers[0] + (x if name == "h" else 0)]
        elif name in "Vv":
            (y,) = [numbers[0] + (y if name == "v" else 0)]
        yield x, y


def boxes(picture):
    """The room of each text: left, top, right, bottom."""
    for node in picture.iter("text"):
        x, y = float(node.get("x")), float(node.get("y"))
        wide = svg.breadth(node.text or "")
        left = x - {None: 0, "middle": wide / 2, "end": wide}[node.get("text-anchor")]
        top, bottom = (y - 4, y + 4) if node.get("dy") else (y - 8, y + 2)
        yield left, top, left + wide, bottom


def assert_inside(picture, texts=True):
    """Nothing leaves the frame, and no text covers another."""
    left, top, width, height = map(float, picture.get("viewBox").split())
    assert (left, top) == (0, 0)
    drawn = [place for node in picture.iter("path") for place in places(node.get("d"))]
    for node in picture.iter("circle"):
        x, y, r = (float(node.get(name)) for name in ("cx", "cy", "r"))
        drawn += [(x - r, y - r), (x + r, y + r)]
    rooms = list(boxes(picture)) if texts else []
    drawn += [corner for room in rooms for corner in (room[:2], room[2:])]
    for x, y in drawn:
        assert -0.11 <= x <= width + 0.11, (x, width)
        assert -0.11 <= y <= height + 0.11, (y, height)
    for one, other in combinations(rooms, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (one, other)
