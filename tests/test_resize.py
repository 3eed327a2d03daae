"""Crops and resizes, random and for evaluation."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from effcc.catalog.spec import Augment, Preprocessing
from effcc.data.resize import crop_box, for_evaluation, for_training, tensor

NONE = {
    "policy": None,
    "rand_layers": 2,
    "rand_magnitude": 9.0,
    "erase": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
}
PUBLISHED = Augment(crop_area=(0.08, 1.0), crop_aspect=(3 / 4, 4 / 3), hflip=0.5, **NONE)
WHOLE = Augment(crop_area=(1.0, 1.0), crop_aspect=(1.0, 1.0), hflip=0.0, **NONE)


def how(image_size=32, crop_pct=0.875, interpolation="bicubic"):
    half = (0.5, 0.5, 0.5)
    return Preprocessing(image_size, crop_pct, None, interpolation, half, half)


def noise(width, height, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_crops_stay_inside_the_image_and_the_ranges():
    random = np.random.default_rng(0)
    areas, aspects = [], []
    for width, height in ((8, 8), (500, 333), (50, 200), (64, 48)):
        for _ in range(500):
            left, top, right, bottom = crop_box(width, height, PUBLISHED, random)
            assert 0 <= left < right <= width + 1e-9
            assert 0 <= top < bottom <= height + 1e-9
            areas.append((right - left) * (bottom - top) / (width * height))
            aspects.append((right - left) / (bottom - top))
    assert min(areas) > 0.08 - 1e-9
    assert min(aspects) > 3 / 4 - 1e-9
    assert max(aspects) < 4 / 3 + 1e-9
    # The whole of both ranges is used.
    assert (min(areas) < 0.1, max(areas) > 0.9) == (True, True)
    assert (min(aspects) < 0.78, max(aspects) > 1.3) == (True, True)


def test_an_image_longer_than_any_crop_gives_its_centre():
    wide = dataclasses.replace(PUBLISHED, crop_area=(0.9, 1.0))
    assert crop_box(1000, 10, wide, np.random.default_rng(0)) == (495, 0, 505, 10)
    assert crop_box(10, 1000, wide, np.random.default_rng(0)) == (0, 495, 10, 505)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (1, 1), (1, 90), (31, 33)], ids=str)
def test_training_images_are_uint8_of_the_networks_size(size):
    image = for_training(noise(*size), how(), PUBLISHED, np.random.default_rng(0))
    assert (image.shape, image.dtype) == ((32, 32, 3), np.uint8)


def test_mirroring_mirrors():
    image, always = noise(32, 32), dataclasses.replace(WHOLE, hflip=1.0)
    plain = for_training(image, how(), WHOLE, np.random.default_rng(0))
    mirrored = for_training(image, how(), always, np.random.default_rng(0))
    assert np.array_equal(plain, image)
    assert np.array_equal(mirrored, plain[:, ::-1])


def test_half_the_images_are_mirrored_at_one_half():
    image, half = noise(4, 4), dataclasses.replace(WHOLE, hflip=0.5)
    plain = for_training(image, how(4), WHOLE, np.random.default_rng(0))
    same = sum(
        np.array_equal(for_training(image, how(4), half, np.random.default_rng(seed)), plain)
        for seed in range(1000)
    )
    assert 420 < same < 580


@pytest.mark.parametrize(
    ("size", "resized", "box"),
    [
        ((300, 200), (384, 256), (80, 16, 304, 240)),
        ((200, 300), (256, 384), (16, 80, 240, 304)),
        ((1000, 800), (320, 256), (48, 16, 272, 240)),
        ((100, 100), (256, 256), (16, 16, 240, 240)),
    ],
    ids=str,
)
def test_evaluation_crops_the_centre_of_the_resized_image(size, resized, box):
    image = noise(*size)
    expected = Image.fromarray(image).resize(resized, Image.Resampling.BICUBIC).crop(box)
    found = for_evaluation(image, how(224, 0.875))
    assert found.equal(tensor(expected))


def test_evaluation_at_crop_one_is_the_image_itself():
    image = noise(32, 32)
    assert for_evaluation(image, how(32, 1.0)).equal(tensor(image))


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (999, 3), (33, 32)], ids=str)
@pytest.mark.parametrize("crop_pct", [0.875, 0.882, 1.0])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_every_image_can_be_evaluated(size, crop_pct, interpolation):
    image = for_evaluation(noise(*size), how(32, crop_pct, interpolation))
    assert (image.shape, image.dtype) == ((3, 32, 32), torch.uint8)


def test_interpolation_is_the_one_named():
    image = noise(50, 40)
    names = ("nearest", "bilinear", "bicubic", "lanczos")
    found = [for_evaluation(image, how(32, 0.875, name)) for name in names]
    assert all(not a.equal(b) for a, b in itertools.combinations(found, 2))
