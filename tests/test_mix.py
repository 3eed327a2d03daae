"""Mixed images get the targets that their pixels have earned."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_augment import OFF
from torch.nn import functional as F

import effcc
from effcc.data import mix
from effcc.data.loader import Batch
from effcc.train.module import CondConvModule

CLASSES = 7


def batch(count=6, size=20, seed=0):
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=random)
    return images, torch.randint(0, CLASSES, (count,), generator=random)


def mixed(images, labels, seed=0, **settings):
    random = np.random.default_rng(seed)
    return mix.mix(images, labels, CLASSES, replace(OFF, **settings), random)


@pytest.mark.parametrize("settings", [{"mixup": 0.2}, {"cutmix": 1.0}, {"mixup": 1, "cutmix": 1}])
def test_targets_sum_to_one_and_the_form_stays(settings):
    images, labels = batch()
    before = images.clone()
    for seed in range(20):
        found, targets = mixed(images, labels, seed, **settings)
        assert found.shape == images.shape
        assert targets.shape == (6, CLASSES)
        assert targets.min() >= 0
        torch.testing.assert_close(targets.sum(1), torch.ones(6))
    assert images.equal(before)


def test_mixup_blends_images_as_it_blends_targets():
    """One image per class, so that the targets tell the blend."""
    images, labels = batch(CLASSES)[0], torch.arange(CLASSES)
    for seed in range(10):
        found, targets = mixed(images, labels, seed, mixup=1.0)
        expected = torch.einsum("bc,cxyz->bxyz", targets, images.float())
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3)


def test_a_share_of_cutmix_is_the_pixels_that_stayed():
    """Every image in one colour, so that its pixels can be counted."""
    labels = torch.arange(CLASSES)
    images = labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 19, 24)
    shares = set()
    for seed in range(50):
        found, targets = mixed(images, labels, seed, cutmix=1.0)
        assert found.dtype == torch.uint8
        counts = F.one_hot(found.long(), CLASSES).sum((1, 2, 3))
        torch.testing.assert_close(targets, counts / (3 * 19 * 24), rtol=0, atol=1e-7)
        shares |= set(targets.diagonal().tolist())
    assert len(shares) > 30


def test_rectangles_lie_inside_and_cover_at_most_what_is_due():
    random = np.random.default_rng(0)
    for share in (0.0, 0.3, 0.9, 1.0):
        areas = []
        for _ in range(200):
            rows, columns = mix.box(30, 40, share, random)
            assert 0 <= rows.start <= rows.stop <= 30
            assert 0 <= columns.start <= columns.stop <= 40
            areas.append((rows.stop - rows.start) * (columns.stop - columns.start) / 1200)
        assert max(areas) <= 1 - share
        assert max(areas) >= 0.8 * (1 - share)


def test_with_both_each_batch_takes_one():
    images, labels = batch()
    found = [mixed(images, labels, seed, mixup=0.5, cutmix=0.5)[0] for seed in range(200)]
    pasted = sum(one.dtype == torch.uint8 for one in found)
    assert 65 < pasted < 135


def test_mixing_is_drawn_from_its_generator_alone():
    images, labels = batch()
    torch.manual_seed(0)
    one = mixed(images, labels, 4, mixup=0.4)
    torch.manual_seed(1)
    same, other = (mixed(images, labels, seed, mixup=0.4) for seed in (4, 5))
    assert one[0].equal(same[0])
    assert one[1].equal(same[1])
    assert not one[0].equal(other[0])


def test_float_images_keep_their_scale():
    """As a resize that computes in float hands them out, beyond 0 and 255."""
    images = batch()[0].float() * 1.1 - 10
    for settings in ({"mixup": 1.0}, {"cutmix": 1.0}):
        found, _ = mixed(images, torch.arange(6), **settings)
        assert found.dtype == torch.float32
        assert images.min() <= found.min() < found.max() <= images.max()


def module(**settings):
    torch.manual_seed(0)
    tiny = {"network.depth": 0.3, "network.head": 64, "recipe.classifier_init": 3.0} | {
        f"recipe.augment.{name}": value for name, value in settings.items()
    }
    built = CondConvModule(
        effcc.load("cc_pico_4e", source="digits", settings=tiny).with_classes(CLASSES)
    )
    built._trainer = SimpleNamespace(current_epoch=2, global_rank=0)
    built.log = lambda *_, **__: None
    assert built.spec.network.dropout == built.spec.network.drop_path == 0  # nothing else is drawn
    return built


def as_batch():
    images, labels = batch(size=32)
    return Batch(images, labels, torch.zeros_like(labels), torch.zeros_like(labels).bool())


def test_the_loss_is_the_blend_of_both_labels_losses():
    trained, given = module(mixup=1.0), as_batch()
    with torch.no_grad():
        loss = trained.training_step(given, 3)
        random = np.random.default_rng((trained.spec.seed, 2, 3, 0, 1))
        share = random.beta(1.0, 1.0)
        partner = random.permutation(6)
        blend = share * given.images.float() + (1 - share) * given.images[partner].float()
        logits = trained(blend)
    smooth = trained.spec.recipe.label_smoothing
    assert smooth > 0
    own, others = (
        F.cross_entropy(logits, labels, label_smoothing=smooth)
        for labels in (given.labels, given.labels[partner])
    )
    assert 0.01 < share < 0.99
    torch.testing.assert_close(loss, share * own + (1 - share) * others)


@pytest.mark.parametrize("settings", [{"mixup": 0.2}, {"cutmix": 1.0}])
def test_a_step_repeats_itself_and_no_other(settings):
    trained, given = module(**settings), as_batch()
    with torch.no_grad():
        first, again = (trained.training_step(given, 1) for _ in range(2))
        others = [trained.training_step(given, 2)]
        for place in ({"current_epoch": 3}, {"global_rank": 1}):
            trained._trainer = SimpleNamespace(**{"current_epoch": 2, "global_rank": 0} | place)
            others.append(trained.training_step(given, 1))
    assert first.equal(again)
    assert len({first.item(), *(other.item() for other in others)}) == 4


def test_without_mixing_labels_stay_as_they_are():
    trained, given = module(), as_batch()
    trained._trainer = None  # no number is drawn, so nobody is asked where the step stands
    loss = trained.training_step(given, 0)
    smooth = trained.spec.recipe.label_smoothing
    expected = F.cross_entropy(trained(given.images), given.labels, label_smoothing=smooth)
    assert loss.equal(expected)


@pytest.mark.parametrize("settings", [{"mixup": 1.0}, {"cutmix": 1.0}])
def test_mixed_batches_are_learned_from(settings):
    trained = module(**settings)
    trained.training_step(as_batch(), 0).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained.parameters())


def test_half_precision_logits_take_soft_targets():
    trained, given = module(mixup=1.0), as_batch()
    with torch.no_grad():
        exact = trained.training_step(given, 0)
        with torch.autocast("cpu", torch.bfloat16):
            under_autocast = trained.training_step(given, 0)
        halved = trained.bfloat16().training_step(given, 0)
    for loss in (under_autocast, halved):
        torch.testing.assert_close(loss.float(), exact, rtol=0.05, atol=0.05)
