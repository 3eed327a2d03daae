"""Crops and resizes, random and for evaluation."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image

import effcc
from effcc.catalog.spec import Augment, Preprocessing
from effcc.data import resize, tf_bicubic
from effcc.data.resize import blank, crop_box, for_evaluation, for_training, tensor
from effcc.sources.known import SOURCES

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


def how(image_size=32, crop_pct=0.875, interpolation="bicubic", crop_padding=None):
    half = (0.5, 0.5, 0.5)
    return Preprocessing(image_size, crop_pct, crop_padding, interpolation, half, half)


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


def test_a_crop_padding_of_32_resizes_to_the_size_and_32_more():
    # Whatever crop_pct says; and 224 / (224 / 256) would not always be 256.
    image = noise(300, 200)
    for size in (224, 240, 260):
        pillow = Image.fromarray(image)
        long = round(300 * (size + 32) / 200)
        left = (long - size) // 2
        expected = pillow.resize((long, size + 32), Image.Resampling.BICUBIC)
        expected = expected.crop((left, 16, left + size, 16 + size))
        assert for_evaluation(image, how(size, 0.5, crop_padding=32)).equal(tensor(expected))


def test_evaluation_as_the_authors_do_crops_first_and_rounds_nothing():
    image = noise(300, 200)
    found = for_evaluation(image, how(224, 0.5, "tf_bicubic", crop_padding=32))
    crop = image[13 : 13 + 175, 63 : 63 + 175]  # 175 is 7/8 of 200
    assert (found.shape, found.dtype) == ((3, 224, 224), torch.float32)
    assert found.equal(tensor(tf_bicubic.resize(crop, 224)))
    assert not found.equal(found.round())
    share = for_evaluation(image, how(224, 0.875, "tf_bicubic"))
    assert found.equal(share)  # 224 / 256


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (999, 3), (33, 32)], ids=str)
def test_every_image_can_be_resized_as_tensorflow_does(size):
    settings = how(32, 0.875, "tf_bicubic")
    assert for_evaluation(noise(*size), settings).shape == (3, 32, 32)
    for seed in range(20):
        random = np.random.default_rng(seed)
        image = for_training(noise(*size), settings, PUBLISHED, random)
        assert (image.shape, image.dtype) == ((32, 32, 3), np.uint8)


def test_training_as_tensorflow_does_clips_what_overshoots():
    edges = np.zeros((40, 40, 3), np.uint8)
    edges[:, 20:] = 255
    found = for_training(edges, how(64, 1.0, "tf_bicubic"), WHOLE, np.random.default_rng(0))
    exact = tf_bicubic.resize(edges, 64)
    assert (exact.min() < -5, exact.max() > 260) == (True, True)
    assert np.array_equal(found, exact.clip(0, 255).round())


def test_black_stands_in_as_what_it_stands_in_for():
    for name in ("bicubic", "tf_bicubic"):
        image = for_evaluation(noise(40, 40), how(interpolation=name))
        black = blank(how(interpolation=name))
        assert (black.shape, black.dtype, black.any().item()) == (image.shape, image.dtype, False)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_fast_resize_is_pillows_within_one_level(interpolation, monkeypatch):
    """Of noise, where it is hardest, with the same whole pixels and columns first: one level.

    Resizing both ways at once, Pillow 13 takes the rows first where a crop is much higher than
    wide; what is clipped in between then differs by up to 7 levels on 0.06 % of a photograph.
    """
    straight = dataclasses.replace(PUBLISHED, hflip=0.0)
    named, crops = getattr(Image.Resampling, interpolation.upper()), []
    cut = resize._crop
    monkeypatch.setattr(resize, "_crop", lambda *given: crops.append(cut(*given)) or crops[-1])
    for seed in range(60):
        image = noise(*np.random.default_rng(seed).integers(49, 200, 2), seed=seed)
        random, settings = np.random.default_rng(seed), how(48, interpolation=interpolation)
        found = for_training(image, settings, straight, random, fast=True)
        crop = Image.fromarray(np.ascontiguousarray(crops[seed]))
        expected = crop.resize((48, crop.height), named).resize((48, 48), named)
        assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 1


def test_the_fast_crop_has_the_same_place_on_whole_pixels():
    # A slope: its levels say where a pixel came from.
    slope = np.repeat(np.arange(250, dtype=np.uint8)[None, :, None], 200, 0).repeat(3, 2)
    for seed in range(30):
        pair = [
            for_training(slope, how(48), PUBLISHED, np.random.default_rng(seed), fast=fast)
            for fast in (False, True)
        ]
        # Edges move by half a pixel at most, and the filter sees no further than they are.
        assert np.abs(pair[0].astype(int) - pair[1]).max() <= 3


@pytest.mark.parametrize("size", [(48, 60), (60, 48), (20, 20)], ids=str)
def test_an_image_no_larger_than_the_input_is_pillows_whatever_is_installed(size):
    for seed in range(20):
        pair = [
            for_training(noise(*size, seed), how(48), PUBLISHED, np.random.default_rng(seed), fast)
            for fast in (False, True)
        ]
        assert np.array_equal(*pair)


def test_digits_are_the_same_whatever_is_installed():
    spec = effcc.load("cc_pico_4e", source="digits")
    split = SOURCES["digits"](spec.data).split("train")
    for size in (8, spec.preprocessing.image_size):
        for position in range(20):
            pair = [
                for_training(
                    split.pixels(position),
                    dataclasses.replace(spec.preprocessing, image_size=size),
                    spec.recipe.augment,
                    np.random.default_rng(position),
                    fast=fast,
                )
                for fast in (False, True)
            ]
            assert np.array_equal(*pair)


@pytest.mark.parametrize("interpolation", ["nearest", "lanczos"])
def test_what_torch_has_no_filter_for_is_pillows(interpolation):
    settings = how(32, interpolation=interpolation)
    pair = [
        for_training(noise(99, 90), settings, WHOLE, np.random.default_rng(0), fast=fast)
        for fast in (False, True)
    ]
    assert np.array_equal(*pair)


@pytest.mark.parametrize("filter_", ["bicubic", "bilinear", "lanczos", "nearest"])
@pytest.mark.parametrize(("length", "size", "crop"), [(8, 32, 1.0), (8, 32, 0.875), (40, 32, 0.9)])
def test_the_matrix_of_a_resize_does_to_the_bit_what_pillow_does(filter_, length, size, crop):
    """In this form a page's script resizes what was drawn on it."""
    chosen = how(size, crop, filter_)
    weights = resize.matrix(length, chosen)

    def along(levels):  # each row of it
        return ((levels @ weights.T + resize.UNIT // 2) // resize.UNIT).clip(0, 255)

    for seed in range(100):
        image = noise(length, length, seed)
        levels = image[:, :, 0].astype(np.int64)
        assert np.array_equal(along(along(levels).T).T, for_evaluation(image, chosen)[0].numpy())


def test_a_resize_without_rounding_has_no_such_matrix():
    with pytest.raises(ValueError, match="tf_bicubic"):
        resize.matrix(8, how(interpolation="tf_bicubic"))


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(700, 9), (3, 500), (1, 300)])
def test_of_a_very_long_image_the_middle_is_the_same(name, size):
    """As of all of it, in one of the two orders of its passes: Pillow takes what costs it less."""
    pixels, to = noise(*size), how(24, interpolation=name)
    shorter = math.floor(24 / to.crop_pct)
    width, height = (round(side * shorter / min(size)) for side in size)
    assert max(height, width) > 16 * 24
    found = for_evaluation(pixels, to).int()
    image, filter_ = Image.fromarray(pixels), resize._FILTERS[name]
    differences = []
    for first in ((width, image.height), (image.width, height)):
        whole = image.resize(first, filter_).resize((width, height), filter_)
        left, top = (width - 24) // 2, (height - 24) // 2
        middle = tensor(np.asarray(whole.crop((left, top, left + 24, top + 24)))).int()
        differences.append((found - middle).abs().max())
    assert min(differences) <= 1


def test_a_line_of_pixels_takes_no_more_memory_than_a_picture():
    line = np.full((1, 65_535, 3), 7, np.uint8)
    assert (for_evaluation(line, how(224)) == 7).all()
