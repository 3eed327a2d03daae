"""Each operation against TensorFlow's output or its definition, and against bad luck."""

import math

import golden
import numpy as np
import pytest
from PIL import Image

from effcc.data import augment
from effcc.data.augment import Change
from effcc.data.operations import FILL, OPERATIONS, SIGNED, argument

POLICIES = ("v0", "original", "rand")
TENSORFLOW = {
    "equalize": ("Equalize",),
    "autocontrast": ("AutoContrast",),
    "invert": ("Invert",),
    "color_0p1": ("Color", 0.1),
    "color_1p72": ("Color", 1.72),
    "solarize_51": ("Solarize", 51),
    "solarize_add_77": ("SolarizeAdd", 77),
    "posterize_2": ("Posterize", 2),
    "posterize_0": ("Posterize", 0),
}


@pytest.fixture(scope="module")
def tensorflow():
    return golden.numbers("autoaugment_ops.npz")


def noise(height, width, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def do(pixels, op, *arguments):
    return augment.apply(pixels, [Change(op, arguments)])


def test_every_output_of_tensorflow_is_compared(tensorflow):
    assert {*TENSORFLOW, "photo"} == set(tensorflow)


@pytest.mark.parametrize("name", TENSORFLOW)
def test_colours_are_tensorflows_within_one_level(tensorflow, name):
    found = do(tensorflow["photo"], *TENSORFLOW[name]).astype(int)
    assert np.abs(found - tensorflow[name]).max() <= 1


@pytest.mark.parametrize("bits", range(9))
def test_posterize_keeps_the_first_bits_and_never_less_than_one(bits):
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    kept = max(bits, 1)
    assert (do(ramp, "Posterize", bits) == ramp >> (8 - kept) << (8 - kept)).all()


def test_solarize_inverts_from_its_threshold_on():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    for threshold in (0, 77, 256):
        expected = np.where(ramp < threshold, ramp, 255 - ramp)
        assert (do(ramp, "Solarize", threshold) == expected).all()


def test_enhancing_by_one_changes_nothing_and_by_less_goes_towards_the_plain_image():
    pixels = noise(30, 40)
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    inner = (slice(1, -1), slice(1, -1))
    neighbours = [
        (4 * (y == x == 1) + 1) / 13 * pixels[y : y + 28, x : x + 38].astype(float)
        for y in range(3)
        for x in range(3)
    ]
    plain = {
        "Color": np.repeat(grey[:, :, None], 3, axis=2),
        "Contrast": np.full(pixels.shape, grey.mean()),
        "Brightness": np.zeros(pixels.shape),
        "Sharpness": pixels.astype(float),
    }
    plain["Sharpness"][inner] = sum(neighbours)
    for op, expected in plain.items():
        assert (do(pixels, op, 1.0) == pixels).all()
        for factor in (0.1, 0.82, 1.9):
            blended = np.clip(expected + factor * (pixels - expected), 0, 255)
            assert np.abs(do(pixels, op, factor) - blended).max() < 2


def moved(pixels, matrix):
    """TensorFlow's definition, pixel by pixel: (y, x, colour), left out where two are as near."""
    a, b, c, d, e, f = matrix
    height, width, _ = pixels.shape
    for y in range(height):
        for x in range(width):
            left, top = a * x + b * y + c, d * x + e * y + f
            if any(abs(at % 1 - 0.5) < 1e-3 for at in (left, top)):
                continue
            left, top = round(left), round(top)
            inside = 0 <= left < width and 0 <= top < height
            yield y, x, pixels[top, left] if inside else FILL


def turned(degrees, height, width):
    """contrib.image's matrix of a counterclockwise rotation about the centre."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x = ((width - 1) - (cos * (width - 1) - sin * (height - 1))) / 2
    y = ((height - 1) - (sin * (width - 1) + cos * (height - 1))) / 2
    return cos, -sin, x, sin, cos, y


@pytest.mark.parametrize(("height", "width"), [(23, 37), (40, 40), (1, 9)])
def test_geometry_takes_the_pixels_that_tensorflow_takes(height, width):
    pixels = noise(height, width)
    cases = [("Rotate", degrees, turned(degrees, height, width)) for degrees in (0, 6, -21, 27)]
    for slope in (0.0, 0.12, -0.27):
        cases += [("ShearX", slope, (1, slope, 0, 0, 1, 0))]
        cases += [("ShearY", slope, (1, 0, 0, slope, 1, 0))]
    for shift in (0.0, 5.0, -7.0, 225.0):
        cases += [("TranslateX", shift, (1, 0, shift, 0, 1, 0))]
        cases += [("TranslateY", shift, (1, 0, 0, 0, 1, shift))]
    assert {op for op, _, _ in cases} == SIGNED
    for op, amount, matrix in cases:
        found, expected = do(pixels, op, amount), [*moved(pixels, matrix)]
        assert len(expected) > 0.9 * height * width
        assert all((found[y, x] == colour).all() for y, x, colour in expected), (op, amount)


def test_geometry_moves_the_right_way():
    pixels = np.zeros((41, 41, 3), np.uint8)
    pixels[20, 35] = 255  # right of the centre

    def bright(op, amount):
        rows, columns = np.nonzero(do(pixels, op, amount)[:, :, 0] == 255)
        return rows.mean(), columns.mean()

    assert bright("TranslateX", 10) == (20, 25)
    assert bright("TranslateY", 10) == (10, 35)
    assert bright("TranslateX", -3) == (20, 38)
    assert bright("Rotate", 90) == (5, 20)  # counterclockwise: from the right to the top
    assert bright("ShearX", 0.2) == (20, 31)
    assert bright("ShearY", -0.2) == (27, 35)


def test_what_was_moved_away_or_cut_out_is_grey():
    white = np.full((20, 30, 3), 255, np.uint8)
    assert (do(white, "TranslateX", 30) == FILL).all()
    found = do(white, "Cutout", 4, 0.5, 0.5)
    expected = white.copy()
    expected[6:14, 11:19] = FILL
    assert (found == expected).all()
    corner = do(white, "Cutout", 4, 0.0, 0.999)
    assert (corner[15:, :4] == FILL).all()
    assert (corner == 255).all(axis=2).sum() == 20 * 30 - 5 * 4


def test_a_rectangle_is_erased_with_noise_and_nothing_else_is():
    grey = np.full((40, 40, 3), 128, np.uint8)
    erased = do(grey, "Erase", 0.25, 0.5, 0.75, 1.0, 7).copy()
    assert len(np.unique(erased[20:, 10:30])) > 200
    erased[20:, 10:30] = 128
    assert (erased == grey).all()


def amounts():
    """Every operation with every argument that a policy could give it, once."""
    found = {("Cutout", 0, 0.3, 0.9), ("Erase", 0.4, 0.4, 0.5, 0.5, 1), ("Erase", 0, 0, 1, 1, 1)}
    for name in POLICIES:
        for op in OPERATIONS.keys() - {"Erase"}:
            for level in np.linspace(0, 10, 21):
                amount = argument(op, level, augment.load(name).reach)
                place = (0.0, 0.99) if op == "Cutout" else ()
                signs = (1, -1) if op in SIGNED else (1,)
                found |= {(op, *(() if amount is None else (s * amount, *place))) for s in signs}
    return sorted(found)


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((1, 1, 3), 200, np.uint8),
        np.full((60, 50, 3), 128, np.uint8),
        np.repeat(noise(33, 47)[:, :, :1], 3, axis=2),
        noise(1, 300),
        noise(240, 300),
    ],
    ids=["one pixel", "plain", "grey", "a line", "large"],
)
def test_no_level_of_no_operation_raises_or_changes_the_form(pixels):
    before = pixels.copy()
    for op, *arguments in amounts():
        found = do(pixels, op, *arguments)
        assert (found.shape, found.dtype) == (pixels.shape, np.uint8), (op, arguments)
    assert (pixels == before).all()


def test_operations_take_and_give_rgb():
    image = Image.fromarray(noise(8, 8))
    for op, *arguments in amounts():
        assert OPERATIONS[op](image, *arguments).mode == "RGB"
