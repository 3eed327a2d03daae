"""A network is drawn to scale, block by block, and told in words."""

from dataclasses import replace

import pytest
from drawings import assert_inside, parsed, paths, places, said, words
from hypothesis import given, settings
from hypothesis import strategies as st

import effcc
from effcc.catalog.spec import Stage, layout
from effcc.report import blueprint

NETWORK = effcc.load("cc_b0_4e").network


def drawn(network=NETWORK, size=224):
    (picture,) = parsed(blueprint.draw(network, size))
    return picture


def sides(commands):
    """Width and height of what a path of boxes covers."""
    xs, ys = zip(*places(commands), strict=True)
    return max(xs) - min(xs), max(ys) - min(ys)


def test_a_box_is_as_high_as_its_output_and_as_wide_as_its_channels():
    _, *plain = paths(drawn(), "computed")  # after the legend's
    _, *conditional = paths(drawn(), "conditional")
    in_order = [sides(d) for d in (*plain[:5], *conditional, plain[5])]
    pixels = [112, 112, 56, 28, 14, 14, 7, 7, 7]
    widths = [32**0.5, 16**0.5, 2 * 24**0.5, 2 * 40**0.5, 3 * 80**0.5, 3 * 112**0.5, 4 * 192**0.5,
              320**0.5, 1280**0.5]  # fmt: skip
    scale = in_order[-1][0] / widths[-1]
    for (wide, high), width, side in zip(in_order, widths, pixels, strict=True):
        assert high == pytest.approx(96 * side / 112, abs=0.11)
        assert wide == pytest.approx(scale * width, abs=0.45)  # as many rounded boxes


def test_a_block_is_a_box():
    blocks = sum(d.count("M") for kind in ("computed", "conditional") for d in paths(drawn(), kind))
    assert blocks == len(layout(NETWORK)) + 2 + 2  # stem and head, and two in the legend


def test_channels_and_pixels_stand_under_each_stage():
    text = words(drawn())
    assert text[text.index("stage") : text.index("stage") + 3] == ["stage", "channels", "pixels"]
    assert text[-3:] == ["head", "1280", "7"]
    assert "conditional, 4 experts" in text


def test_it_is_told_in_words_from_the_image_on():
    told = said(drawn())
    assert told.startswith(
        "The network at 224 px, from the image on: stem, 32 channels at 112 px; "
    )
    assert "stage 4, 3 blocks of 112 channels at 14 px, 4 experts; " in told
    assert told.endswith("head, 1,280 channels at 7 px")


def test_a_network_without_experts_speaks_of_none():
    stages = tuple(replace(stage, conditional=False) for stage in NETWORK.stages)
    plain = drawn(replace(NETWORK, stages=stages))
    assert paths(plain, "conditional") == []
    assert "expert" not in said(plain) + " ".join(words(plain))


@pytest.mark.parametrize("size", [8, 32, 225, 4096])
def test_the_sides_are_those_that_padding_rounds_up(size):
    blocks = layout(NETWORK)
    side = -(-size // 2)
    expected = [side]
    for stage in range(len(NETWORK.stages)):
        side = -(-side // next(b.stride for b in blocks if b.stage == stage))
        expected.append(side)
    found = blueprint.parts(NETWORK, size)
    assert [part.pixels for part in found] == [*expected, side]


stage = st.builds(
    Stage,
    repeats=st.integers(1, 100),
    kernel=st.just(3),
    stride=st.integers(1, 2),
    expand=st.integers(1, 6),
    out=st.integers(8, 10_000),
    conditional=st.booleans(),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(stage, min_size=1, max_size=60), st.integers(8, 4096), st.floats(0.05, 10.0))
def test_any_network_stays_inside_its_frame_and_its_words_apart(stages, size, width):
    network = replace(NETWORK, stages=tuple(stages), width=width)
    assert_inside(drawn(network, size))


def test_drawing_twice_gives_the_same_picture():
    assert blueprint.draw(NETWORK, 224) == blueprint.draw(NETWORK, 224)
