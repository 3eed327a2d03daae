"""The optimiser and schedule against TensorFlow's own numbers, and what checkpoints restore."""

import copy
import dataclasses

import golden
import numpy as np
import pytest
import torch
from torch import nn

import effcc
from effcc.ground.errors import UsageError
from effcc.nn.efficientnet import EfficientNet
from effcc.train.optim import (
    RMSpropTF,
    WarmupStaircase,
    _parts,
    check_same_groups,
    parameter_groups,
    parts,
)

# TensorFlow keeps these settings in single precision, whatever the variables are in.
AUTHORS = {
    "decay": float(np.float32(0.9)),
    "momentum": float(np.float32(0.9)),
    "eps": float(np.float32(1e-3)),
}
IMAGENET_STEPS = 1_281_167 / 2048  # per epoch


def trace(optimizer, w, record):
    """The weights after every step on the recorded problem."""
    curvature, target, noise = (
        torch.from_numpy(record[name]) for name in ("curvature", "target", "noise")
    )
    weights = []
    for step, lr in enumerate(record["lr"]):
        optimizer.param_groups[0]["lr"] = float(lr)
        w.grad = curvature * (w.detach() - target) + noise[step]
        optimizer.step()
        weights.append(w.detach().numpy().copy())
    return np.array(weights)


@pytest.fixture
def record():
    return golden.numbers("rmsprop.npz")


@pytest.fixture
def start(record):
    return nn.Parameter(torch.from_numpy(record["start"].copy()))


def test_rmsprop_is_tensorflows(record, start):
    optimizer = RMSpropTF([start], lr=0.0, weight_decay=1e-5, **AUTHORS)
    assert abs(trace(optimizer, start, record) - record["weights"]).max() < 1e-12


def test_torchs_rmsprop_is_another_algorithm(record, start):
    optimizer = torch.optim.RMSprop(
        [start], lr=0.0, alpha=0.9, eps=1e-3, momentum=0.9, weight_decay=1e-5
    )
    assert abs(trace(optimizer, start, record) - record["weights"]).max() > 0.1


@pytest.mark.parametrize(
    "changed", [{"decay": 0.99}, {"momentum": 0.8}, {"eps": 1e-2}, {"weight_decay": 1e-3}], ids=str
)
def test_every_setting_counts(record, start, changed):
    settings = AUTHORS | {"weight_decay": 1e-5} | changed
    found = trace(RMSpropTF([start], lr=0.0, **settings), start, record)
    assert abs(found - record["weights"]).max() > 1e-4


def test_tensors_do_not_depend_on_their_neighbours(record, start):
    random = torch.Generator().manual_seed(0)
    others = [nn.Parameter(torch.randn(2**17, generator=random).double()) for _ in range(2)]
    for other in others:
        other.grad = torch.randn(2**17, generator=random).double()
    unused = nn.Parameter(torch.ones(3))
    optimizer = RMSpropTF([others[0], start, unused, others[1]], lr=0.0, **AUTHORS)
    alone = nn.Parameter(start.detach().clone())
    assert (
        trace(optimizer, start, record) == trace(RMSpropTF([alone], lr=0, **AUTHORS), alone, record)
    ).all()
    assert (unused == 1).all()
    assert unused not in optimizer.state


def test_parts_hold_every_tensor_once_and_few_numbers():
    tensors = [torch.empty(n) for n in (3, 5, 90, 1, 1, 200, 4)]
    parts = list(_parts(tensors, numbers=100))
    assert [t.numel() for part in parts for t in part] == [3, 5, 90, 1, 1, 200, 4]
    assert all(len(part) == 1 or sum(t.numel() for t in part) <= 100 for part in parts)
    assert len(parts) == 3
    assert list(_parts([])) == []


def test_closure_is_evaluated_with_gradients(start):
    optimizer = RMSpropTF([start], lr=0.1, **AUTHORS)

    def closure():
        optimizer.zero_grad()
        loss = start.square().sum()
        loss.backward()
        return loss.item()

    before = start.square().sum().item()
    assert optimizer.step(closure) == before
    assert optimizer.step(closure) < before


def test_state_survives_its_state_dict(record, start):
    whole = trace(RMSpropTF([start], lr=0.0, weight_decay=1e-5, **AUTHORS), start, record)
    w = nn.Parameter(torch.from_numpy(record["start"].copy()))
    first = record | {name: record[name][:20] for name in ("lr", "noise")}
    rest = record | {name: record[name][20:] for name in ("lr", "noise")}
    optimizer = RMSpropTF([w], lr=0.0, weight_decay=1e-5, **AUTHORS)
    trace(optimizer, w, first)
    saved = copy.deepcopy(optimizer.state_dict())
    again = RMSpropTF([w], lr=0.0, weight_decay=1e-5, **AUTHORS)
    again.load_state_dict(saved)
    assert (trace(again, w, rest) == whole[20:]).all()


def staircase(peak=0.128, warmup=int(5 * IMAGENET_STEPS), every=2.4 * IMAGENET_STEPS):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=peak)
    return WarmupStaircase(optimizer, warmup_steps=warmup, decay_steps=every, decay_rate=0.97)


def test_learning_rates_are_the_authors():
    record, schedule = golden.numbers("schedule.npz"), staircase()
    found = [0.128 * schedule.factor(int(step)) for step in record["steps"]]
    assert found == pytest.approx(record["lr"].tolist(), rel=1e-5)  # in single precision


def test_staircase_counts_from_step_zero():
    # So the first rate after the warm-up is already two steps down.
    assert 0.128 * staircase().factor(3127) == pytest.approx(0.128 * 0.97**2)


def test_schedule_gives_the_optimizer_its_rates():
    schedule = staircase(peak=1.0, warmup=4, every=3)
    rates = []
    for _ in range(8):
        rates.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.optimizer.step()
        schedule.step()
    d = 0.97
    assert rates == pytest.approx([0, 0.25, 0.5, 0.75, d, d, d**2, d**2])
    assert schedule.get_last_lr() == pytest.approx([d**2])


def test_no_warmup_starts_at_the_peak():
    assert staircase(peak=1.0, warmup=0).get_last_lr() == [1.0]


def test_resuming_restores_the_step_alone():
    old, new = staircase(peak=1.0, warmup=2, every=3), staircase(peak=0.5, warmup=0, every=2)
    for _ in range(5):
        old.optimizer.step()
        old.step()
    assert old.state_dict() == {"last_epoch": 5, "steps_per_epoch": 1}
    new.load_state_dict(old.state_dict())
    assert new.last_epoch == 5
    assert new.optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * 0.97**2)
    new.optimizer.step()
    new.step()
    assert new.optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * 0.97**3)


def test_other_devices_go_on_at_the_same_part_of_an_epoch():
    def of(devices):
        parameters = [nn.Parameter(torch.zeros(1))]
        optimizer = torch.optim.SGD(parameters, lr=0.1)
        steps = 100 / devices
        settings = {"warmup_steps": 0, "decay_steps": 2.4 * steps, "decay_rate": 0.97}
        return WarmupStaircase(optimizer, **settings, steps_per_epoch=steps)

    one, four = of(1), of(4)
    one.load_state_dict({"last_epoch": 1200, "steps_per_epoch": 100})
    four.load_state_dict(one.state_dict())
    assert four.last_epoch == 300
    assert four.optimizer.param_groups[0]["lr"] == one.optimizer.param_groups[0]["lr"]
    four.load_state_dict({"last_epoch": 7})  # as it was written before devices could change
    assert four.last_epoch == 7


def test_decayed_are_all_but_batch_norm():
    spec = effcc.load("cc_b0_4e")
    with torch.device("meta"):
        model = EfficientNet(spec.network)
    names = {parameter: name for name, parameter in model.named_parameters()}
    decayed, exempt = parameter_groups(model, spec.recipe)
    authors = golden.numbers("train_step.json")["decayed"]
    assert sorted(names[p] for p in decayed["params"]) == sorted(authors)
    assert (len(decayed["params"]), len(exempt["params"])) == (131, 98)
    norms = {f"{n}." for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert all(names[p].rpartition(".")[0] + "." in norms for p in exempt["params"])
    assert (decayed["weight_decay"], exempt["weight_decay"]) == (1e-5, 0.0)


def test_frozen_parameters_are_in_no_group():
    spec = effcc.load("cc_b0_4e")
    with torch.device("meta"):
        model = EfficientNet(spec.network)
    model.conv_stem.requires_grad_(False)
    groups = parameter_groups(model, spec.recipe)
    assert [len(group["params"]) for group in groups] == [130, 98]


def fine(**settings):
    """cc_b0_4e without its tensors, its recipe changed, and its parameters' names."""
    recipe = dataclasses.replace(effcc.load("cc_b0_4e").recipe, **settings)
    with torch.device("meta"):
        model = EfficientNet(effcc.load("cc_b0_4e").network)
    return model, recipe, {parameter: name for name, parameter in model.named_parameters()}


def test_without_fine_tuning_there_are_two_groups_in_the_models_order():
    # Checkpoints number parameters by their place in the groups.
    model, recipe, names = fine()
    groups = parameter_groups(model, recipe, 0.3)
    assert [group["lr"] for group in groups] == [0.3, 0.3]
    order = [names[p] for p in model.parameters()]
    for group in groups:
        places = [order.index(names[p]) for p in group["params"]]
        assert places == sorted(places)


def test_parts_hold_every_parameter_once_from_the_classifier_to_the_stem():
    model, _, names = fine()
    found = [
        {names[p].split(".")[0] for module in part for p in module.parameters()}
        for part in parts(model)
    ]
    assert found[0] == {"classifier"}
    assert found[1] == {"blocks", "conv_head", "bn2"}
    assert found[-1] == {"conv_stem", "bn1"}
    assert len(found) == 9  # seven stages
    every = [names[p] for part in parts(model) for m in part for p in m.parameters()]
    assert sorted(every) == sorted(names.values())


def test_rates_fall_with_the_distance_from_the_classifier():
    model, recipe, names = fine(layer_decay=0.5, head_lr=10.0)
    groups = parameter_groups(model, recipe, 0.1)
    rates = {names[p]: group["lr"] for group in groups for p in group["params"]}
    assert len(rates) == len(names)
    assert rates["classifier.weight"] == rates["classifier.bias"] == 1.0
    for name in ("conv_head.weight", "bn2.weight", "blocks.6.0.conv_pw.weight"):
        assert rates[name] == pytest.approx(0.1 * 0.5)
    assert rates["blocks.5.0.bn1.bias"] == pytest.approx(0.1 * 0.5**2)
    assert rates["blocks.0.0.conv_dw.weight"] == pytest.approx(0.1 * 0.5**7)
    assert rates["conv_stem.weight"] == rates["bn1.weight"] == pytest.approx(0.1 * 0.5**8)
    decays = {names[p]: group["weight_decay"] for group in groups for p in group["params"]}
    plain = parameter_groups(*fine()[:2])
    assert sum(decay > 0 for decay in decays.values()) == len(plain[0]["params"])


def test_the_schedule_keeps_the_proportions_of_rates():
    model, recipe, _ = fine(layer_decay=0.5, head_lr=3.0)
    groups = parameter_groups(model, recipe, 0.1)
    optimizer = torch.optim.SGD(groups, lr=0.1)
    schedule = WarmupStaircase(optimizer, warmup_steps=4, decay_steps=3, decay_rate=0.9)
    full = [group["lr"] for group in parameter_groups(model, recipe, 0.1)]
    for _ in range(8):
        factor = schedule.factor(schedule.last_epoch)
        found = [group["lr"] for group in optimizer.param_groups]
        assert found == pytest.approx([factor * rate for rate in full])
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    "changed", [{"freeze_stages": 1}, {"layer_decay": 0.5}, {"head_lr": 2.0}], ids=str
)
def test_state_is_not_given_to_other_groups(changed):
    _, recipe, _ = fine()
    check_same_groups(dataclasses.asdict(recipe), recipe)
    check_same_groups({}, recipe)  # a run from before there was fine-tuning
    (name,) = changed
    with pytest.raises(UsageError, match=f"--recipe.{name} .* began with"):
        check_same_groups(dataclasses.asdict(recipe), dataclasses.replace(recipe, **changed))


def test_decay_is_the_gradient_of_the_authors_l2_term():
    spec = effcc.load("cc_b0_4e")
    model = golden.fill(effcc.create("cc_b0_4e"), "cc_b0_4e")
    group = parameter_groups(model, spec.recipe)[0]
    squares = sum(p.double().square().sum().item() for p in group["params"])
    term = golden.numbers("train_step.json")["l2_term"]
    assert group["weight_decay"] * squares / 2 == pytest.approx(term, rel=1e-9)
