"""Measurements for a plan: what is counted is all that a run keeps, and nothing else."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

import effcc
from effcc.catalog.cost import count
from effcc.train import gauge, run
from effcc.train.gauge import Memory, Saved, Scaling
from effcc.train.module import CondConvModule

SETTINGS = {"network.depth": 0.5, "data.batch_size": 16, "trainer.accelerator": "cpu"}


def prepared(**settings):
    changes = {name.replace("__", "."): value for name, value in settings.items()}
    return run.prepare(effcc.load("cc_pico_4e", source="digits", settings=SETTINGS | changes))


@pytest.fixture(scope="module")
def measured():
    spec, source = prepared()
    return spec, gauge.step(spec, source.classes)


def test_a_step_is_measured_on_the_batch_it_is_for(measured):
    spec, step = measured
    assert (step.kind, step.images) == ("cpu", spec.batch_size)
    assert step.steps >= 3
    assert 0 < step.seconds < 10


def test_a_slow_processor_is_measured_on_fewer_images(monkeypatch):
    monkeypatch.setattr(gauge, "STEP_SECONDS", 1e-9)
    monkeypatch.setattr(gauge, "STEPS_SECONDS", 1e-9)
    spec, source = prepared()
    step = gauge.step(spec, source.classes)
    assert (step.images, step.steps) == (2, 3)  # which batch norm needs


def test_a_batch_that_does_not_fit_is_halved_until_it_does(monkeypatch):
    train = gauge._train

    def small(module, images, *rest):
        if images > 4:
            raise torch.OutOfMemoryError
        return train(module, images, *rest)

    monkeypatch.setattr(gauge, "_train", small)
    spec, source = prepared()
    assert gauge.step(spec, source.classes).images == 4


def test_weights_gradients_optimiser_and_averages_are_counted_on_the_tensors(measured):
    spec, step = measured
    cost = count(spec.network, spec.preprocessing.image_size)
    assert step.memory.gradients == 4 * cost.parameters
    assert step.memory.optimiser == 2 * 4 * cost.parameters
    normalisation = 2 * 3 * 4  # mean and deviation of three channels are no state
    assert step.memory.weights == step.memory.averages == cost.state_bytes + normalisation


def test_without_averages_there_is_no_second_set_of_weights():
    spec, source = prepared(recipe__ema_decay=0.0)
    assert gauge.step(spec, source.classes).memory.averages == 0


@pytest.mark.parametrize("images", [3, 24])
def test_activations_in_proportion_are_those_of_another_batch(measured, images):
    spec, step = measured
    module = CondConvModule(spec)
    own = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers())}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    batch = torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = F.cross_entropy(module(batch), torch.zeros(images, dtype=torch.int64))
    assert step.memory.at(images).activations == pytest.approx(sum(kept.values()), rel=0.1)
    loss.backward()


def test_what_a_forward_pass_keeps_is_counted_once_and_without_the_weights():
    module, saved = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)), Saved()
    x = torch.ones(7, 3)
    saved.on_train_batch_start(None, module, None, 0)
    y = module(x)
    saved.on_before_backward(None, module, y)
    # The input, and what the first layer gave the second: for ReLU's gradient and the second's.
    assert saved.bytes == 4 * 7 * (3 + 5)
    module(torch.ones(100, 3))
    assert saved.bytes == 4 * 7 * (3 + 5)


def test_only_activations_grow_with_the_batch():
    memory = Memory(1, 2, 3, 4, activations=100, images=4)
    assert memory.at(8) == dataclasses.replace(memory, activations=200, images=8)
    assert memory.total == 110


def test_loading_reads_images_of_the_source(monkeypatch):
    from effcc.sources.split import Arrays

    read, original = [], Arrays.pixels
    monkeypatch.setattr(Arrays, "pixels", lambda *a: read.append(a[1]) or original(*a))
    spec, source = prepared()
    found = gauge.loading(spec, source)
    assert found.images == gauge.LOADING_IMAGES
    assert len(set(read)) == len(read) == found.images + 8  # the first batch is not timed
    assert found.images_per_second == pytest.approx(found.images / found.seconds)


def test_averaging_costs_more_on_more_devices_but_less_than_twice_that_of_two():
    found = Scaling(devices=2, alone=1.0, together=1.5)
    assert found.efficiency == pytest.approx(2 / 3)
    assert [found.seconds(n) for n in (1, 2, 4)] == pytest.approx([0, 0.5, 0.75])
    assert found.seconds(10**9) == pytest.approx(1.0)


def test_noise_does_not_make_averaging_free_or_better():
    found = Scaling(devices=2, alone=1.0, together=0.9)
    assert (found.efficiency, found.seconds(8)) == (1, 0)


@pytest.mark.slow
def test_two_processes_are_measured_together():
    spec, source = prepared()
    alone = gauge.step(spec, source.classes)
    found = gauge.scaling(spec, source.classes, 2, alone)
    assert (found.devices, found.alone) == (2, alone.seconds)
    assert found.together > 0.3 * alone.seconds


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_an_accelerator_is_measured_on_the_whole_batch():
    spec, source = prepared(trainer__accelerator="auto")
    step = gauge.step(spec, source.classes)
    assert (step.kind, step.images) == ("cuda", spec.batch_size)
    assert step.memory.activations > 0
