"""TensorFlow 1's bicubic: what TensorFlow computed, and the definition, pixel by pixel."""

import math

import numpy as np
import pytest
from golden import FOLDER, numbers
from PIL import Image

from effcc.data.tf_bicubic import centre_crop, resize


def noise(height, width, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def weight(distance):
    """The cubic of a = -0.75."""
    x, a = abs(distance), -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def definition(pixels, size):
    """Each pixel by itself: 16 neighbours of the place it came from, edges repeated."""
    height, width, _ = pixels.shape
    out = np.zeros((size, size, 3))
    for row in range(size):
        for column in range(size):
            y = np.float32(row) * (np.float32(height) / np.float32(size))
            x = np.float32(column) * (np.float32(width) / np.float32(size))
            top, left = math.floor(y), math.floor(x)
            down, right = round((y - top) * 1024) / 1024, round((x - left) * 1024) / 1024
            for i in range(-1, 3):
                for j in range(-1, 3):
                    at = min(max(top + i, 0), height - 1), min(max(left + j, 0), width - 1)
                    out[row, column] += weight(i - down) * weight(j - right) * pixels[at]
    return out


def test_tensorflows_own_preprocessing_is_met():
    golden = numbers("tf_preproc.npz")
    with Image.open(FOLDER / "tf_preproc.png") as image:
        pixels = np.asarray(image)
    crop = centre_crop(pixels, 224 / (224 + 32))
    top, left, side = golden["box"]
    assert np.array_equal(crop, pixels[top : top + side, left : left + side])
    found = resize(crop, 224)
    assert (found.shape, found.dtype) == ((224, 224, 3), np.float32)
    assert np.abs(found[::8] - golden["rows"]).max() < 1e-3
    # Not clipped, as there.
    assert golden["rows"].min() < -10
    assert golden["rows"].max() > 265


@pytest.mark.parametrize(("height", "width"), [(40, 50), (9, 7), (1, 1), (1, 30), (16, 16)])
def test_the_fast_form_is_the_definition(height, width):
    pixels = noise(height, width)
    assert np.abs(resize(pixels, 16) - definition(pixels, 16)).max() < 1e-3


def test_an_image_of_the_right_size_is_itself():
    pixels = noise(20, 20)
    assert np.array_equal(resize(pixels, 20), pixels)


def test_shrinking_averages_nothing():
    # Every second pixel is taken as it is: lines between them do not show.
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[1::2] = 255
    assert resize(pixels, 16).max() == 0


@pytest.mark.parametrize(
    ("height", "width", "share", "box"),
    [
        (300, 400, 0.875, (19, 69, 262)),
        (400, 300, 0.875, (69, 19, 262)),
        (256, 256, 0.875, (16, 16, 224)),
        (13, 10, 1.0, (2, 0, 10)),  # of three rows too many, two are above
        (1, 5, 0.875, (0, 2, 1)),
    ],
)
def test_the_crop_is_centred_and_its_side_rounded_down(height, width, share, box):
    pixels = noise(height, width)
    top, left, side = box
    found = centre_crop(pixels, share)
    assert np.array_equal(found, pixels[top : top + side, left : left + side])
