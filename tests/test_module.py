"""One step of training and evaluation, and how a spec's numbers become the optimiser's."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

import effcc
from effcc.data.loader import Batch
from effcc.nn import weights
from effcc.train import trainer
from effcc.train.module import CondConvModule
from effcc.train.optim import RMSpropTF, WarmupStaircase, parameter_groups

TINY = {"network.depth": 0.3, "network.head": 64, "preprocessing.image_size": 32}


def spec(**settings):
    """A small variant on digits, with changed settings (`recipe__lr=1` is recipe.lr)."""
    changes = {name.replace("__", "."): value for name, value in settings.items()}
    return effcc.load("cc_pico_4e", source="digits", settings=TINY | changes).with_classes(10)


@pytest.fixture
def module():
    torch.manual_seed(0)
    return CondConvModule(spec(recipe__classifier_init=3.0), tuple("0123456789"))


def images(count, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=random)


def as_batch(images, labels):
    nothing = torch.zeros_like(labels)
    return Batch(images, labels, nothing, nothing.bool())


def attach(module, *, devices=1, accumulated=1, batches=40):
    """Stand the module in a trainer of several devices, without starting them."""
    stand_in = SimpleNamespace(
        world_size=devices,
        accumulate_grad_batches=accumulated,
        num_training_batches=batches,
        estimated_stepping_batches=batches,
    )
    module._trainer = stand_in
    return stand_in


def test_a_module_is_built_from_a_spec_alone():
    built = CondConvModule(effcc.load("cc_pico_4e"))
    assert built(images(2)).shape == (2, built.spec.network.num_classes)


def test_the_door_builds_the_same_module():
    built = effcc.create_module("cc_pico_4e", source="digits", num_classes=7, settings=TINY)
    assert isinstance(built, CondConvModule)
    assert built(images(2)).shape == (2, 7)
    assert built.spec.recipe.lr == effcc.load("cc_pico_4e", source="digits").recipe.lr


def test_images_are_normalised_as_the_authors_do(module):
    batch = images(3)
    before = batch.clone()
    module.double().eval()
    with torch.no_grad():
        found, expected = module(batch), module.model((batch.double() - 127) / 128)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert batch.equal(before)


def test_normalisation_takes_mean_and_deviation_per_channel():
    per_channel = {"preprocessing__mean": [0.1, 0.2, 0.3], "preprocessing__std": [0.4, 0.5, 0.6]}
    module = CondConvModule(spec(**per_channel)).eval()
    batch = images(2)
    mean = torch.tensor([0.1, 0.2, 0.3])[:, None, None]
    std = torch.tensor([0.4, 0.5, 0.6])[:, None, None]
    with torch.no_grad():
        expected = module.model((batch / 255 - mean) / std)
        torch.testing.assert_close(module(batch), expected, rtol=1e-3, atol=1e-4)


def test_checkpoints_hold_the_network_and_nothing_of_the_input(module):
    names = {f"model.{name}" for name in module.model.state_dict()}
    assert set(module.state_dict()) == names


def test_loss_is_cross_entropy_with_smoothed_labels(module, monkeypatch):
    logged = {}
    monkeypatch.setattr(module, "log", lambda name, value, **how: logged.update({name: value}))
    batch, labels = images(4), torch.tensor([3, 1, 4, 1])
    module.eval()  # so that logits can be had twice
    loss = module.training_step(as_batch(batch, labels), 0)
    logits = module(batch)
    share = torch.full((4, 10), 0.1 / 10)
    share[range(4), labels] += 0.9
    torch.testing.assert_close(loss, -(share * logits.log_softmax(1)).sum(1).mean())
    assert logged["train_loss"] is loss


@pytest.mark.parametrize("name", ["val", "test"])
def test_accuracies_count_images_and_loss_is_their_mean(module, name):
    batch = images(14)
    with torch.no_grad():
        logits = module.eval()(batch)
    # Mostly one class, and a last batch of two: means over classes or batches would differ.
    place = torch.tensor([0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 0])
    labels = logits.argsort(1, descending=True)[range(14), place]
    loader = DataLoader([as_batch(*one) for one in zip(batch, labels, strict=True)], batch_size=4)
    build = trainer.build({"enable_progress_bar": False, "accelerator": "cpu"}, [], None)
    run = build.validate if name == "val" else build.test
    values = run(module, loader, verbose=False)[0]
    assert values[f"{name}_top1"] == pytest.approx(4 / 14)
    assert values[f"{name}_top5"] == pytest.approx(8 / 14)
    assert values[f"{name}_loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert values[f"{name}_n"] == 14


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.parametrize("name", ["val", "test"])
def test_unreadable_images_are_counted_and_count_for_nothing(module, name):
    # Of batches of two: the second cannot be read at all, of the third one image.
    broken = torch.tensor([False, False, True, True, False, True, False, False])
    batch = images(8)
    batch[broken] = 0
    with torch.no_grad():
        logits = module.eval()(batch)
    order = logits.argsort(1, descending=True)
    labels = order[:, 0].clone()
    labels[0], labels[4] = order[0, 9], order[4, 2]
    samples = list(zip(batch, labels, torch.arange(8), broken, strict=True))
    loader = DataLoader([Batch(*one) for one in samples], batch_size=2)
    build = trainer.build({"enable_progress_bar": False, "accelerator": "cpu"}, [], None)
    run = build.validate if name == "val" else build.test
    values = run(module, loader, verbose=False)[0]
    assert (values[f"{name}_n"], values[f"{name}_unreadable"]) == (5, 3)
    assert values[f"{name}_top1"] == pytest.approx(3 / 5)
    assert values[f"{name}_top5"] == pytest.approx(4 / 5)
    expected = F.cross_entropy(logits[~broken], labels[~broken]).item()
    assert values[f"{name}_loss"] == pytest.approx(expected, rel=1e-5)


def test_five_classes_have_no_top_five():
    module = CondConvModule(spec().with_classes(5))
    assert set(module.val_metrics.keys()) == {"val_top1"}
    assert set(CondConvModule(spec()).test_metrics.keys()) == {"test_top1", "test_top5"}


def test_prediction_is_probabilities(module):
    module.eval()
    with torch.no_grad():
        found = module.predict_step(images(3), 0)
        torch.testing.assert_close(found, module(images(3)).softmax(1))
    torch.testing.assert_close(found.sum(1), torch.ones(3))


@pytest.mark.parametrize(
    ("batch_size", "devices", "accumulated", "factor"),
    [(None, 1, 1, 1), (64, 1, 1, 2), (8, 1, 1, 0.25), (None, 4, 1, 4), (8, 2, 8, 4)],
)
def test_learning_rate_follows_the_images_per_step(batch_size, devices, accumulated, factor):
    changed = {"data__batch_size": batch_size} if batch_size else {}
    module = CondConvModule(spec(recipe__lr=0.003, recipe__batch_size=32, **changed))
    stand_in = attach(module, devices=devices, accumulated=accumulated)
    assert module.effective_batch_size == 32 * factor
    assert module.peak_lr == pytest.approx(0.003 * factor)
    schedule = module.configure_optimizers()["lr_scheduler"]["scheduler"]
    assert schedule.base_lrs == pytest.approx([0.003 * factor] * 2)
    assert stand_in.world_size == devices


def test_the_schedule_counts_optimiser_steps():
    module = CondConvModule(spec(recipe__warmup_epochs=2, recipe__decay_epochs=0.5))
    stand_in = attach(module, accumulated=4, batches=40)
    chosen = module.configure_optimizers()
    schedule = chosen["lr_scheduler"]["scheduler"]
    assert isinstance(schedule, WarmupStaircase)
    assert chosen["lr_scheduler"]["interval"] == "step"
    assert (schedule.warmup_steps, schedule.decay_steps) == (20, 5)
    assert stand_in.num_training_batches == 40


def test_the_optimiser_has_the_recipes_settings():
    module = CondConvModule(
        spec(recipe__momentum=0.8, recipe__rmsprop_decay=0.7, recipe__rmsprop_eps=0.01)
    )
    stand_in = attach(module)
    optimizer = module.configure_optimizers()["optimizer"]
    assert isinstance(optimizer, RMSpropTF)
    decays = []
    for group in optimizer.param_groups:
        assert (group["momentum"], group["decay"], group["eps"]) == (0.8, 0.7, 0.01)
        decays.append(group["weight_decay"])
    assert decays == [module.spec.recipe.weight_decay, 0.0]
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len([*module.parameters()])
    assert stand_in.world_size == 1


def test_settings_of_now_win_over_those_of_the_checkpoint():
    old = CondConvModule(spec(recipe__lr=0.9, recipe__momentum=0.5, recipe__weight_decay=0.3))
    old_trainer = attach(old)
    saved = copy.deepcopy(old.configure_optimizers()["optimizer"].state_dict())
    new = CondConvModule(
        spec(
            recipe__lr=0.1,
            recipe__momentum=0.6,
            recipe__weight_decay=0.0,
            recipe__rmsprop_decay=0.7,
            recipe__rmsprop_eps=0.5,
            recipe__warmup_epochs=0,
        )
    )
    stand_in = attach(new)
    chosen = new.configure_optimizers()
    optimizer, schedule = chosen["optimizer"], chosen["lr_scheduler"]["scheduler"]
    stand_in.optimizers = [optimizer]
    # In the order in which a trainer resumes.
    optimizer.load_state_dict(saved)
    schedule.load_state_dict({"last_epoch": 0})
    new.on_train_start()
    for group in optimizer.param_groups:
        assert (group["momentum"], group["decay"], group["eps"]) == (0.6, 0.7, 0.5)
        assert group["weight_decay"] == 0.0
        assert group["lr"] == pytest.approx(0.1)
    assert old_trainer.world_size == 1


def test_frozen_stages_keep_weights_and_statistics_through_training_and_validation():
    torch.manual_seed(0)
    module = CondConvModule(spec(recipe__freeze_stages=2))
    before = {name: tensor.clone() for name, tensor in module.model.state_dict().items()}
    module.eval()
    module.train()  # as a trainer goes back and forth
    stem, last = module.model.bn1, module.model.bn2
    assert (stem.training, last.training, module.model.blocks[0].training) == (False, True, True)
    optimizer = RMSpropTF(
        parameter_groups(module.model, module.spec.recipe, 0.01),
        lr=0.01,
        decay=0.9,
        momentum=0.9,
        eps=1e-3,
    )
    for seed in range(2):
        module(images(4, seed)).sum().backward()
        optimizer.step()
    kept = ("conv_stem.", "bn1.", "blocks.0.", "blocks.1.")
    for name, tensor in module.model.state_dict().items():
        assert tensor.equal(before[name]) == name.startswith(kept), name


def test_nothing_is_frozen_unless_asked_for():
    module = CondConvModule(spec())
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert all(part.training for part in module.modules())


def test_resumed_groups_get_the_decays_and_rates_of_now():
    def resumed(**settings):
        module = CondConvModule(spec(recipe__layer_decay=0.5, recipe__head_lr=2, **settings))
        stand_in = attach(module)
        chosen = module.configure_optimizers()
        stand_in.optimizers = [chosen["optimizer"]]
        return module, chosen["optimizer"], chosen["lr_scheduler"]["scheduler"], stand_in

    _, old, _, _ = resumed(recipe__weight_decay=0.3, recipe__lr=0.9)
    saved = copy.deepcopy(old.state_dict())
    now = {"recipe__weight_decay": 0.1, "recipe__lr": 0.01, "recipe__warmup_epochs": 0}
    module, optimizer, schedule, kept = resumed(**now)
    optimizer.load_state_dict(saved)
    schedule.load_state_dict({"last_epoch": 0})
    module.on_train_start()
    expected = parameter_groups(module.model, module.spec.recipe, module.peak_lr)
    assert len(optimizer.param_groups) == len(expected) > 2
    for group, fresh in zip(optimizer.param_groups, expected, strict=True):
        assert group["weight_decay"] == fresh["weight_decay"]
        assert group["lr"] == pytest.approx(fresh["lr"])
    assert kept.optimizers == [optimizer]


def test_a_checkpoint_can_be_read_without_trusting_it(module, tmp_path):
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, tmp_path / "last.ckpt")
    ours = torch.load(tmp_path / "last.ckpt", weights_only=True)["effcc"]
    assert ours["variant"] == "cc_pico_4e"
    assert ours["classes"] == list("0123456789")
    assert ours["settings"] == module.spec.settings() | {"seed": module.spec.seed}
    fresh = CondConvModule(module.spec)
    weights.load(fresh.model, module.spec.network, weights.read(tmp_path / "last.ckpt"))
    assert fresh.eval()(images(2)).equal(module.eval()(images(2)))
