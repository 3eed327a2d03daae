"""From splits to batches: order, shares of several devices, and no chance but the seed's."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import effcc
from effcc.data.loader import Batch, Evaluation, Shuffle, Training, Unlabelled
from effcc.data.resize import for_evaluation
from effcc.sources.decode import BadImage, MissingData
from effcc.sources.known import SOURCES
from effcc.sources.split import Arrays
from effcc.train.data import ImageData


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
        images, labels = whole.images[: self.count], whole.labels[: self.count]
        return Arrays(name, images, labels, whole.fingerprint)


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
    batch = Batch(*(torch.cat(parts) for parts in zip(*loader, strict=True)))
    return batch.images, batch.labels


def test_an_image_depends_on_seed_epoch_and_index_alone(digits):
    spec = effcc.load("cc_pico_4e", source="digits")

    def image(seed, epoch, position):
        split = digits.split("train")
        training = Training(split, spec.preprocessing, spec.recipe, spec.data, seed)
        return training[epoch, position].images

    first = image(0, 0, 5)
    assert image(0, 0, 5).equal(first)
    for other in ((1, 0, 5), (0, 1, 5), (0, 0, 6)):
        assert not image(*other).equal(first)


def test_evaluation_is_in_order_and_free_of_chance(digits):
    spec, split = effcc.load("cc_pico_4e", source="digits"), digits.split("val")
    samples = Evaluation(split, range(len(split)), spec.preprocessing, spec.data)
    found = [samples[i] for i in range(len(samples))]
    assert [int(one.labels) for one in found] == split.labels.tolist()
    assert [int(one.positions) for one in found] == list(range(len(split)))
    assert samples[3].images.equal(found[3].images)


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
        shuffle = Shuffle(Arrays("x", [], [0] * 100, ""), seed=5, rank=rank, ranks=ranks)
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
    return [loader.dataset[i].images.numpy().tobytes() for i in range(len(loader.dataset))]


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
    assert [len(batch.labels) for batch in data.train_dataloader()] == [8, 8]
    assert [len(batch.labels) for batch in data.val_dataloader()] == [8, 8, 4]
    assert [len(batch.labels) for batch in data.test_dataloader()] == [8, 8, 4]


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
    how = effcc.load("cc_pico_4e", source="digits").preprocessing
    path = tmp_path / "image.png"
    noise = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    files = Unlabelled([path, path], how)
    assert len(files) == 2
    assert files[0].equal(for_evaluation(noise, how))
    path.write_text("no image")
    with pytest.raises(BadImage, match=r"image\.png"):
        files[1]
