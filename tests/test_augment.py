"""Policies are the published ones, drawn as often as they say, and from the seed alone."""

import collections
import math
from dataclasses import replace

import golden
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import effcc
from effcc.catalog.spec import Augment
from effcc.data import augment
from effcc.data.loader import Batch, Shuffle, Training
from effcc.data.operations import OPERATIONS, SIGNED, argument
from effcc.sources.split import Arrays

OFF = Augment(
    crop_area=(0.08, 1.0),
    crop_aspect=(3 / 4, 4 / 3),
    hflip=0.5,
    policy=None,
    rand_layers=2,
    rand_magnitude=9.0,
    erase=0.0,
    mixup=0.0,
    cutmix=0.0,
)
POLICIES = ("v0", "original", "rand")


def drawn(count, **settings):
    random = np.random.default_rng(0)
    return [augment.draw(replace(OFF, **settings), random) for _ in range(count)]


def test_v0_is_the_authors_policy():
    policy = augment.load("v0")
    found = []
    for steps in policy.subpolicies:
        amounts = [argument(step.op, step.level, policy.reach) for step in steps]
        found.append(
            [
                [*step, [] if amount is None else [amount], step.op in SIGNED]
                for step, amount in zip(steps, amounts, strict=True)
            ]
        )
    assert found == golden.numbers("autoaugment_v0.json")


def test_the_papers_policy_is_another():
    original, v0 = augment.load("original"), augment.load("v0")
    assert len(original.subpolicies) == 25
    # The paper prints five of its pairs twice.
    assert len(set(original.subpolicies)) == 20
    assert not set(original.subpolicies) & set(v0.subpolicies)
    for step in (step for steps in original.subpolicies for step in steps):
        assert step.op in OPERATIONS
        assert step.probability in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
        assert step.level in range(10)
    bits = [argument("Posterize", level, original.reach) for level in range(11)]
    assert (bits[0], bits[-1]) == (4, 8)


def test_sub_policies_and_steps_come_as_often_as_they_should():
    policy, count = augment.load("v0"), 20_000
    probability = collections.Counter()
    for first, second in policy.subpolicies:
        a, b = (
            (step.op, argument(step.op, step.level, policy.reach)) if p else None
            for step, p in ((first, first.probability), (second, second.probability))
        )
        for took_a, took_b in ((0, 0), (0, 1), (1, 0), (1, 1)):
            p = (first.probability if took_a else 1 - first.probability) * (
                second.probability if took_b else 1 - second.probability
            )
            if p:
                steps = tuple(step for step, took in ((a, took_a), (b, took_b)) if took)
                probability[steps] += p / len(policy.subpolicies)
    found = collections.Counter(
        tuple(
            (op, abs(arguments[0]) if op in SIGNED else arguments[0] if arguments else None)
            for op, arguments in changes
        )
        for changes in drawn(count, policy="v0")
    )
    assert set(found) == set(probability)
    for steps, p in probability.items():
        assert abs(found[steps] - count * p) < 5 * math.sqrt(count * p), steps


def test_geometry_goes_both_ways_as_often():
    signs = [
        change.arguments[0] > 0
        for changes in drawn(4000, policy="v0")
        for change in changes
        if change.op in SIGNED and change.arguments[0]
    ]
    assert abs(sum(signs) - len(signs) / 2) < 5 * math.sqrt(len(signs)) / 2


@pytest.mark.parametrize(("layers", "magnitude"), [(1, 9.0), (3, 4.5), (2, 0.0)])
def test_rand_augment_takes_so_many_operations_of_one_magnitude(layers, magnitude):
    policy = augment.load("rand")
    some = drawn(2000, policy="rand", rand_layers=layers, rand_magnitude=magnitude)
    assert {len(changes) for changes in some} == {layers}
    counts = collections.Counter(change.op for changes in some for change in changes)
    assert set(counts) == set(policy.operations) == OPERATIONS.keys() - {"Erase"}
    expected = 2000 * layers / len(counts)
    assert max(abs(n - expected) for n in counts.values()) < 5 * math.sqrt(expected)
    for change in (change for changes in some for change in changes):
        amount = argument(change.op, magnitude, policy.reach)
        assert [abs(a) for a in change.arguments[:1]] == ([] if amount is None else [amount])


def test_erasing_has_the_papers_frequency_areas_and_shapes():
    some = drawn(4000, erase=0.25)
    erased = [changes[0].arguments for changes in some if changes]
    assert abs(len(erased) - 1000) < 5 * math.sqrt(750)
    for left, top, right, bottom, _ in erased:
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        width, height = right - left, bottom - top
        assert 0.02 - 1e-9 <= width * height <= 0.4 + 1e-9
        assert 0.3 - 1e-9 <= height / width <= 1 / 0.3 + 1e-9
    assert len({seed for *_, seed in erased}) == len(erased)


def test_what_is_off_draws_nothing():
    random, untouched = np.random.default_rng(3), np.random.default_rng(3)
    assert augment.draw(OFF, random) == ()
    assert random.bit_generator.state == untouched.bit_generator.state
    pixels = np.zeros((4, 4, 3), np.uint8)
    assert augment.apply(pixels, ()) is pixels


def samples(**settings):
    """Noisy images of 40 pixels as training samples of 32."""
    random = np.random.default_rng(0)
    images = list(random.integers(0, 256, (24, 40, 40, 3), dtype=np.uint8))
    spec = effcc.load(
        "cc_pico_4e",
        source="digits",
        settings={f"recipe.augment.{name}": value for name, value in settings.items()},
    )
    split = Arrays("train", images, [0] * len(images), "")
    return Training(split, spec.preprocessing, spec.recipe, spec.data, spec.seed)


def epoch(training, number, workers, batch_size=8):
    order = Shuffle(training.split, training.seed)
    order.set_epoch(number)
    loader = DataLoader(training, batch_size, sampler=order, num_workers=workers)
    return Batch(*(torch.cat(parts) for parts in zip(*loader, strict=True)))


@pytest.mark.parametrize("policy", POLICIES)
def test_workers_and_batches_change_no_augmentation(policy):
    training = samples(policy=policy, erase=0.5)
    one = epoch(training, 5, workers=0)
    for other in (epoch(training, 5, workers=2), epoch(training, 5, workers=0, batch_size=3)):
        assert other.images.equal(one.images)
        assert other.positions.equal(one.positions)
    assert not epoch(training, 6, workers=0).images.equal(one.images)


def test_an_augmented_sample_begins_with_the_same_crop():
    """Turning a policy on changes what happens to a crop, not the crop."""
    plain, augmented = samples(), samples(policy="v0")
    changed = 0
    for position in range(24):
        before, after = (s[2, position].images for s in (plain, augmented))
        assert (after.shape, after.dtype) == (before.shape, before.dtype)
        changed += not after.equal(before)
    assert 8 < changed < 24


def test_the_documented_recipe_has_v0_and_digits_have_no_policy():
    for name in effcc.list_variants():
        assert effcc.load(name).recipe.augment.policy == "v0"
        assert effcc.load(name, source="digits").recipe.augment.policy is None
