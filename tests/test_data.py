"""From images to batches: crops, order, shares of several devices, and no chance but the seed's."""

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import effcc
from effcc.catalog.spec import Augment, Preprocessing
from effcc.train.data import (
    Files,
    ImageData,
    Images,
    Shuffle,
    crop_box,
    for_evaluation,
    for_training,
)
from effcc.train.sources import SOURCES, BadImage, MissingData

PUBLISHED = Augment(crop_area=(0.08, 1.0), crop_aspect=(3 / 4, 4 / 3), hflip=0.5)
WHOLE = Augment(crop_area=(1.0, 1.0), crop_aspect=(1.0, 1.0), hflip=0.0)


def how(image_size=32, crop_pct=0.875, interpolation="bicubic"):
    half = (0.5, 0.5, 0.5)
    return Preprocessing(image_size, crop_pct, interpolation, half, half)


def noise(width, height, seed=0):
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def digits():
    return SOURCES["digits"](effcc.load("cc_pico_4e", source="digits").data)


class Few:
    """The first images of each split of another source."""

    name, title = "few", "a few digits"

    def __init__(self, source, count):
        self.source, self.count, self.classes = source, count, source.classes

    def split(self, name):
        whole = self.source.split(name)
        return dataclasses.replace(whole, items=whole.items[: self.count])


def loaders(source, *, rank=0, ranks=1, **settings):
    """The data of a spec over a source, as one of several devices sees it."""
    settings = {f"data.{name}": value for name, value in settings.items() if name != "seed"} | {
        name: value for name, value in settings.items() if name == "seed"
    }
    data = ImageData(effcc.load("cc_pico_4e", source="digits", settings=settings), source)
    if ranks > 1:
        data.trainer = SimpleNamespace(global_rank=rank, world_size=ranks)
    return data


def epoch(data, number):
    """All training images and labels of an epoch."""
    loader = data.train_dataloader()
    loader.sampler.set_epoch(number)
    images, labels = zip(*loader, strict=True)
    return torch.cat(images), torch.cat(labels)


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
    assert (image.shape, image.dtype) == ((3, 32, 32), torch.uint8)


def test_mirroring_mirrors():
    image, always = noise(32, 32), dataclasses.replace(WHOLE, hflip=1.0)
    plain = for_training(image, how(), WHOLE, np.random.default_rng(0))
    mirrored = for_training(image, how(), always, np.random.default_rng(0))
    assert plain.equal(torch.from_numpy(np.array(image)).permute(2, 0, 1))
    assert mirrored.equal(plain.flip(2))


def test_half_the_images_are_mirrored_at_one_half():
    image, half = noise(4, 4), dataclasses.replace(WHOLE, hflip=0.5)
    plain = for_training(image, how(4), WHOLE, np.random.default_rng(0))
    same = sum(
        for_training(image, how(4), half, np.random.default_rng(seed)).equal(plain)
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
    expected = image.resize(resized, Image.Resampling.BICUBIC).crop(box)
    found = for_evaluation(image, how(224, 0.875))
    assert found.equal(torch.from_numpy(np.array(expected)).permute(2, 0, 1))


def test_evaluation_at_crop_one_is_the_image_itself():
    image = noise(32, 32)
    expected = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    assert for_evaluation(image, how(32, 1.0)).equal(expected)


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


def test_an_image_depends_on_seed_epoch_and_index_alone(digits):
    split = digits.split("train")

    def image(seed, epoch, position):
        return Images(split, how(16), PUBLISHED, seed)[epoch, position][0]

    first = image(0, 0, 5)
    assert image(0, 0, 5).equal(first)
    for other in ((1, 0, 5), (0, 1, 5), (0, 0, 6)):
        assert not image(*other).equal(first)


def test_evaluation_is_in_order_and_free_of_chance(digits):
    images = Images(digits.split("val"), how(16))
    labels = [images[i][1] for i in range(len(images))]
    assert labels == [label for _, label in digits.split("val").items]
    assert images[3][0].equal(images[3][0])


def test_workers_change_nothing(digits):
    few = Few(digits, 40)
    with_none = epoch(loaders(few, batch_size=8, workers=0), 3)
    with_two = epoch(loaders(few, batch_size=8, workers=2), 3)
    assert all(a.equal(b) for a, b in zip(with_none, with_two, strict=True))


def test_batch_size_changes_nothing(digits):
    few = Few(digits, 48)
    small, large = (epoch(loaders(few, batch_size=size), 1) for size in (6, 16))
    assert all(a.equal(b) for a, b in zip(small, large, strict=True))


def test_every_epoch_and_seed_has_its_own_order(digits):
    few = Few(digits, 48)
    first, second = (epoch(loaders(few, batch_size=48), number)[1] for number in (0, 1))
    other = epoch(loaders(few, batch_size=48, seed=9), 0)[1]
    assert not first.equal(second)
    assert not first.equal(other)
    assert sorted(first.tolist()) == sorted(second.tolist()) == sorted(other.tolist())


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_every_device_trains_on_other_images(ranks):
    shares = []
    for rank in range(ranks):
        shuffle = Shuffle(100, seed=5, rank=rank, ranks=ranks)
        shuffle.set_epoch(2)
        share = list(shuffle)
        assert len(share) == len(shuffle) == 100 // ranks
        assert {number for number, _ in share} == {2}
        shares += [position for _, position in share]
    assert len(set(shares)) == len(shares)
    assert set(shares) <= set(range(100))


@pytest.mark.parametrize("ranks", [2, 3])
def test_devices_share_the_evaluation_images_without_overlap(digits, ranks):
    few = Few(digits, 25)
    for name in ("val_dataloader", "test_dataloader"):
        everything = contents(getattr(loaders(few), name)())
        devices = [loaders(few, rank=rank, ranks=ranks) for rank in range(ranks)]
        shares = [contents(getattr(data, name)()) for data in devices]
        seen = [image for share in shares for image in share]
        assert len(seen) == len(set(seen)) == 25
        assert set(seen) == set(everything)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def contents(loader):
    return [image.numpy().tobytes() for image, _ in loader.dataset]


def test_training_loaders_of_several_devices_do_not_overlap(digits):
    few = Few(digits, 20)
    positions = []
    for rank in range(2):
        loader = loaders(few, rank=rank, ranks=2, batch_size=5).train_dataloader()
        assert len(loader) == 2
        positions += [position for _, position in loader.sampler]
    assert sorted(positions) == list(range(20))


def test_the_last_smaller_batch_is_left_out_of_training_only(digits):
    few = Few(digits, 20)
    data = loaders(few, batch_size=8)
    assert [len(labels) for _, labels in data.train_dataloader()] == [8, 8]
    assert [len(labels) for _, labels in data.val_dataloader()] == [8, 8, 4]
    assert [len(labels) for _, labels in data.test_dataloader()] == [8, 8, 4]


def test_a_batch_larger_than_the_data_says_what_to_do(digits):
    few = Few(digits, 20)
    with pytest.raises(
        MissingData, match=r"batch of 21 .* 20 training images; .*--data\.batch_size"
    ):
        loaders(few, batch_size=21).train_dataloader()
    with pytest.raises(MissingData, match=r"batch of 11 on each of 2 device"):
        loaders(few, batch_size=11, ranks=2).train_dataloader()
    assert len(loaders(few, batch_size=20).train_dataloader()) == 1


def test_the_recipes_batch_size_is_taken_unless_the_data_says_otherwise(digits):
    few = Few(digits, 64)
    assert loaders(few).train_dataloader().batch_size == 64  # pico's own, in its digits profile
    assert loaders(few, batch_size=7).train_dataloader().batch_size == 7


def test_files_are_prepared_as_for_evaluation(tmp_path):
    path = tmp_path / "image.png"
    noise(50, 40).save(path)
    files = Files([path, path], how())
    assert len(files) == 2
    assert files[0].equal(for_evaluation(noise(50, 40), how()))
    path.write_text("no image")
    with pytest.raises(BadImage, match=r"image\.png"):
        files[1]
