"""Routing is summed without an error, whatever the order; and a run keeps how it drifted."""

import io
import itertools
import json
import math

import images
import numpy as np
import pytest
import records
import torch
from rich.console import Console
from torch.nn import functional as F

import effcc
from effcc import cli
from effcc.catalog import routings
from effcc.catalog.spec import layout
from effcc.ground.errors import UsageError
from effcc.ground.home import Home
from effcc.nn import weights
from effcc.nn.routing import TOP, Tally, entropy, on_grid
from effcc.sources.decode import BadImage
from effcc.train import routing, run
from effcc.train.guard import NotFinite
from effcc.train.module import CondConvModule

IMAGES, CLASSES, EXPERTS = 137, 5, 3
SHORT = {
    "recipe.epochs": 2,
    "recipe.warmup_epochs": 0,
    "data.batch_size": 16,
    "network.depth": 0.5,
    "trainer.accelerator": "cpu",
    "trainer.limit_train_batches": 3,
    "trainer.limit_val_batches": 2,
    "trainer.limit_test_batches": 3,
}


# Sums


@pytest.fixture(scope="module")
def stored():
    """Logits that nearly reach 0 and 1, labels of all classes but one, positions."""
    random = torch.Generator().manual_seed(3)
    logits = 6 * torch.randn(IMAGES, EXPERTS, generator=random)
    labels = torch.randint(0, CLASSES - 1, (IMAGES,), generator=random)
    logits[:, 1] += 3.0 * labels  # an expert that knows classes
    return logits, labels, torch.arange(IMAGES)


def tallied(stored, sizes, order=None):
    order = torch.arange(IMAGES) if order is None else order
    tally, at = Tally(CLASSES, EXPERTS), 0
    for size in itertools.cycle(sizes):
        if at >= IMAGES:
            return tally
        tally.add(*(values[order[at : at + size]] for values in stored))
        at += size


def same(one, other):
    for name in ("counts", "sums", "squares", "bits"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    first, second = one.figures(), other.figures()
    assert torch.equal(first.top_weights, second.top_weights)
    assert torch.equal(first.top_positions, second.top_positions)


def test_sums_are_those_of_a_loop_over_stored_weights_exactly(stored):
    """In fractions, where nothing is ever rounded."""
    from fractions import Fraction

    logits, labels, _ = stored
    found = tallied(stored, [17])
    exact = on_grid(logits.double().sigmoid())
    squares = on_grid(logits.double().sigmoid().square())
    for label, expert in itertools.product(range(CLASSES), range(EXPERTS)):
        mine = [n for n in range(IMAGES) if labels[n] == label]
        assert found.counts[label] == len(mine)
        for values, sums in ((exact, found.sums), (squares, found.squares)):
            by_hand = sum((Fraction(float(values[n, expert])) for n in mine), Fraction(0))
            assert Fraction(float(sums[label, expert])) == by_hand


@pytest.mark.parametrize("sizes", [[1], [64], [3, 50, 7], [IMAGES]])
def test_sums_do_not_depend_on_the_batches(stored, sizes):
    same(tallied(stored, sizes), tallied(stored, [16]))


def test_sums_do_not_depend_on_the_order(stored):
    order = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(1))
    same(tallied(stored, [16], order), tallied(stored, [16]))


def test_figures_are_what_their_definitions_say(stored):
    logits, labels, _ = stored
    weights_ = logits.double().sigmoid()
    found = tallied(stored, [20]).figures()
    near = {"rtol": 0, "atol": 1e-8}
    torch.testing.assert_close(found.mean, weights_.mean(0), **near)
    torch.testing.assert_close(found.spread, weights_.std(0, correction=0), **near)
    assert found.entropy == pytest.approx(float(entropy(logits.double()).mean()), abs=1e-8)
    rows = [weights_[labels == label] for label in range(CLASSES - 1)]
    for label, row in enumerate(rows):
        torch.testing.assert_close(found.means[label], row.mean(0), **near)
        torch.testing.assert_close(found.spreads[label], row.std(0, correction=0), **near)
    assert found.means[-1].isnan().all()  # a class without images has no mean
    pairs = [
        float((a.mean(0) - b.mean(0)).abs().mean()) for a, b in itertools.combinations(rows, 2)
    ]
    assert found.distance == pytest.approx(sum(pairs) / len(pairs), abs=1e-8)
    within = sum(len(row) * row.var(0, correction=0) for row in rows) / IMAGES
    shares = 1 - within / weights_.var(0, correction=0)
    torch.testing.assert_close(found.share, shares, rtol=0, atol=1e-6)
    assert int(found.share.argmax()) == 1


def test_the_images_that_weigh_most_are_kept_and_of_equal_ones_the_first(stored):
    logits, _, _ = stored
    found = tallied(stored, [9]).figures()
    for expert in range(EXPERTS):
        values = logits[:, expert].double().sigmoid().tolist()
        best = sorted(range(IMAGES), key=lambda n: (-values[n], n))[:TOP]
        assert found.top_positions[expert].tolist() == best
    tied = Tally(2, 1)
    for first in (40, 0, 80):  # a saturated expert
        tied.add(torch.full((20, 1), 99.0), torch.zeros(20).long(), torch.arange(first, first + 20))
    assert tied.figures().top_positions.tolist() == [list(range(TOP))]


def test_a_weight_that_never_moves_knows_nothing_of_classes():
    tally = Tally(2, 1)
    tally.add(torch.full((31, 1), 0.3), torch.arange(31) % 2, torch.arange(31))
    found = tally.figures()
    assert (float(found.share), found.distance) == (0.0, 0.0)
    assert float(found.spread) < 1e-4


# A run


def fit(home, *, checkpoint=None, **settings):
    changed = SHORT | {name.replace("__", "."): value for name, value in settings.items()}
    spec, source = run.prepare(effcc.load("cc_pico_4e", source="digits", settings=changed))
    console = Console(file=io.StringIO())
    record = run.fit(spec, source, home, console, "effcc fit", checkpoint)
    return spec, source, weights.read(home.root / record.checkpoint["path"])


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home").resolve())
    return home, *fit(home)


def measured(fitted, **how):
    home, spec, source, checkpoint = fitted
    return routing.measure(spec, source, home, "effcc routing", checkpoint, **how)


def test_a_record_says_what_every_image_of_the_split_was_given(fitted):
    """Beside a plain loop over the validation split, an image at a time."""
    home, _, source, checkpoint = fitted
    spec = effcc.load(
        "cc_pico_4e", source="digits", settings=SHORT | {"trainer.limit_val_batches": 1.0}
    ).with_classes(10)
    made = measured((home, spec, source, checkpoint), split="val")
    split = source.split("val")
    module = CondConvModule(spec, fresh=False)
    weights.load(module.model, spec.network, checkpoint)
    module.eval()
    heard = {}
    for name, layer in module.named_modules():
        if name.endswith("routing_fn"):
            block = name.removeprefix("model.").removesuffix(".routing_fn")
            heard[block] = []
            layer.register_forward_hook(
                lambda m, i, logits, to=heard[block]: to.append(logits.double().sigmoid()[0])
            )
    from effcc.data import resize

    with torch.no_grad():
        for at in range(len(split)):
            shown = resize.for_evaluation(split.pixels(at), spec.preprocessing)
            module(shown[None])
    assert [block.name for block in made.blocks] == list(heard)
    assert made.counts == tuple(np.bincount(split.labels, minlength=10).tolist())
    assert made.images == len(split) == made.dataset.images
    for block in made.blocks:
        every = torch.stack(heard[block.name])
        for label, (mean, spread) in enumerate(zip(block.means, block.spreads, strict=True)):
            of_class = every[torch.from_numpy(split.labels == label)]
            assert mean == pytest.approx(of_class.mean(0).tolist(), abs=1e-4)
            assert spread == pytest.approx(of_class.std(0, correction=0).tolist(), abs=1e-4)
    for each in made.specialists:
        every = torch.stack(heard[each.block])[:, each.expert]
        assert [e.weight for e in each.examples] == pytest.approx(
            every.sort(descending=True).values[:TOP].tolist(), abs=1e-4
        )
        assert all(e.label == split.labels[e.position] for e in each.examples)


@pytest.mark.slow
def test_batches_of_another_size_give_the_same_record_up_to_rounding(fitted):
    home, _, source, checkpoint = fitted
    every = SHORT | {"trainer.limit_test_batches": 1.0}
    found = []
    for size in (7, 360):
        settings = every | {"data.batch_size": size}
        spec = effcc.load("cc_pico_4e", source="digits", settings=settings).with_classes(10)
        found.append(measured((home, spec, source, checkpoint)))
    one, other = found
    assert one.counts == other.counts
    for a, b in zip(one.blocks, other.blocks, strict=True):
        assert a.distance == pytest.approx(b.distance, abs=1e-5)
        assert sum(a.means, ()) == pytest.approx(sum(b.means, ()), abs=1.1e-4)


def test_free_images_are_shown_and_others_only_if_somebody_asks(fitted, tmp_path):
    assert all(e.picture for s in measured(fitted).specialists for e in s.examples)
    home, _, _, _ = fitted
    root = images.photographs(tmp_path / "images", train=12, val=4)
    where = {"data.source": "folder", "data.root": str(root), "data.workers": 0}
    spec, source = run.prepare(effcc.load("cc_pico_4e", source="folder", settings=SHORT | where))
    module = CondConvModule(spec, source.classes)
    torch.save(module.model.state_dict(), home.root / "fresh.pt")
    checkpoint = weights.read(home.root / "fresh.pt")
    quiet, shown = (
        measured((home, spec, source, checkpoint), split="val", images=asked)
        for asked in (False, True)
    )
    for each in quiet.specialists:
        assert [e.picture for e in each.examples] == [""] * len(each.examples)
        assert all(e.name.startswith("val/") for e in each.examples)
        assert all((root / e.name).is_file() for e in each.examples)
    assert all(
        e.picture.startswith("data:image/png") for s in shown.specialists for e in s.examples
    )


def test_images_that_cannot_be_decoded_do_not_count(fitted, tmp_path, capsys):
    home, _, _, _ = fitted
    root = images.photographs(tmp_path / "images", train=12, val=4)
    (root / "val" / "dog" / "1.jpg").write_bytes(b"no image")
    where = {"data.source": "folder", "data.root": str(root), "data.workers": 0}
    settings = SHORT | where | {"data.on_error": "skip", "trainer.limit_val_batches": 1.0}
    spec, source = run.prepare(effcc.load("cc_pico_4e", source="folder", settings=settings))
    torch.save(CondConvModule(spec, source.classes).model.state_dict(), home.root / "fresh.pt")
    checkpoint = weights.read(home.root / "fresh.pt")
    made = measured((home, spec, source, checkpoint), split="val")
    assert (made.counts, made.dataset.unreadable, made.dataset.images) == ((4, 3, 4), 1, 12)
    for path in (root / "val").rglob("*.*"):
        path.write_bytes(b"no image")
    with pytest.raises(BadImage, match="none of 12 val images"):
        measured((home, *run.prepare(spec), checkpoint), split="val")


def test_dead_experts_and_those_that_are_always_on_are_found(fitted):
    home, spec, source, checkpoint = fitted
    made = dict(checkpoint.weights)
    first, second = [block.name for block in layout(spec.network) if block.experts][:2]
    for block, expert, bias in ((first, 2, -50.0), (second, 0, 50.0)):
        made[f"{block}.routing_fn.bias"] = made[f"{block}.routing_fn.bias"].clone()
        made[f"{block}.routing_fn.bias"][expert] = bias
    torch.save(made, home.root / "made.pt")
    found = measured((home, spec, source, weights.read(home.root / "made.pt")))
    dead = {block.name: block.dead for block in found.blocks if block.dead}
    always = {block.name: block.always_on for block in found.blocks if block.always_on}
    assert (dead, always) == ({first: [2]}, {second: [0]})


def test_a_diverged_network_is_refused(fitted):
    home, spec, source, checkpoint = fitted
    made = dict(checkpoint.weights)
    made["blocks.4.0.routing_fn.bias"] = torch.full((4,), math.nan)
    torch.save(made, home.root / "made.pt")
    with pytest.raises(NotFinite, match="a routing weight is no number"):
        measured((home, spec, source, weights.read(home.root / "made.pt")))


def test_a_network_without_conditional_blocks_has_nothing_to_measure(fitted):
    home, _, source, _ = fitted
    plain = [
        {"repeats": 1, "kernel": 3, "stride": 2, "expand": 1, "out": 16},
        {"repeats": 1, "kernel": 3, "stride": 2, "expand": 6, "out": 24},
    ]
    spec = effcc.load("cc_pico_4e", source="digits", settings={"network.stages": plain})
    spec = spec.with_classes(10)
    torch.save(CondConvModule(spec).model.state_dict(), home.root / "plain.pt")
    with pytest.raises(UsageError, match="no conditional block"):
        measured((home, spec, source, weights.read(home.root / "plain.pt")))


# Drift


def test_a_run_keeps_each_experts_mean_after_every_epoch(fitted):
    """The last epoch's is what the record of the same weights on the same images says."""
    _, spec, _, checkpoint = fitted
    drift = checkpoint.drift
    assert drift.epochs == (1, 2)
    assert list(drift.means) == [block.name for block in layout(spec.network) if block.experts]
    made = measured(fitted, split="val")
    for block in made.blocks:
        assert drift.means[block.name][-1] == pytest.approx(
            [expert.mean for expert in block.experts], abs=2e-6
        )
        assert drift.means[block.name][0] != drift.means[block.name][1]
    assert made.drift == drift


def test_drift_survives_a_run_that_goes_on(fitted, tmp_path):
    _, _, _, whole = fitted
    home = Home(tmp_path.resolve())
    _, _, first = fit(home, trainer__max_epochs=1)
    assert first.drift.epochs == (1,)
    _, _, second = fit(home, checkpoint=first.path)
    assert second.drift.epochs == (1, 2)
    for block, rows in second.drift.means.items():
        assert rows[0] == first.drift.means[block][0]
    assert second.drift == whole.drift  # that of a run which nobody stopped


def test_a_checkpoint_from_before_has_no_drift_and_its_run_goes_on(fitted, tmp_path):
    home, spec, source, checkpoint = fitted
    data = torch.load(checkpoint.path, weights_only=True)
    del data["routing"]
    torch.save(data, home.root / "old.ckpt")
    old = weights.read(home.root / "old.ckpt")
    assert old.drift is None
    assert measured((home, spec, source, old)).drift is None
    _, _, later = fit(Home(tmp_path.resolve()), checkpoint=old.path, recipe__epochs=3)
    assert later.drift.epochs == (3,)


@pytest.mark.parametrize(
    "kept",
    [{}, {"x": 1}, {1: {"blocks.4.0": "abc"}}, {1: {"blocks.4.0": [None]}}, {1: {}}, {1: []}],
)
def test_what_is_no_drift_is_none(kept):
    assert routings.Drift.of(kept) is None


def test_epochs_that_heard_other_blocks_are_left_out():
    kept = {1: {"blocks.4.0": [0.5]}, 2: {"blocks.4.0": [0.5, 0.6]}, 3: {"blocks.4.0": [0.1, 0.2]}}
    drift = routings.Drift.of(kept)
    assert drift.epochs == (2, 3)
    assert drift.means == {"blocks.4.0": ((0.5, 0.6), (0.1, 0.2))}


@pytest.mark.parametrize("odd", [float("nan"), 1.5, -0.1])
def test_epochs_of_a_network_that_diverged_are_left_out(odd):
    kept = {1: {"blocks.4.0": [0.5, 0.5]}, 2: {"blocks.4.0": [0.5, odd]}}
    assert routings.Drift.of(kept).epochs == (1,)
    assert routings.Drift.of({2: kept[2]}) is None


# The verb


def test_the_verb_measures_prints_records_and_shows(project, capsys):
    words = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "3"]
    words += ["--network.depth", "0.5", "--trainer.accelerator", "cpu"]
    config = ["--config", "registry/cc_pico_4e.yaml"]
    assert cli.main(["fit", *config, *words]) == 0
    capsys.readouterr()
    asked = ["routing", *config, *words[-4:], "--ckpt_path", "last"]
    assert cli.main([*asked, "--no-record"]) == 0
    assert "not recorded" in capsys.readouterr().out
    assert records.load(routings, project, "cc_pico_4e") == []
    assert cli.main(asked) == 0
    out = capsys.readouterr().out
    (made,) = records.load(routings, project, "cc_pico_4e")
    assert f"registry/results/cc_pico_4e/{made.id}.json, " in out
    assert made.overrides["network.depth"] == 0.5
    (fit_record,) = project.results.glob("*/*-fit-*.json")
    assert made.measured_by == fit_record.stem
    assert made.checkpoint["sha256"] == json.loads(fit_record.read_text())["checkpoint"]["sha256"]
    for block in made.blocks:
        (line,) = [line for line in out.splitlines() if line.startswith(block.name)]
        assert f"{block.entropy:.3f}" in line
        assert f"{block.distance:.3f}" in line
    assert max(map(len, out.partition("\nweights")[0].splitlines())) <= 80
    assert cli.main(["check"]) == 0
    assert cli.main(["results", "show", made.id]) == 0
    assert f"{made.id}: sealed" in capsys.readouterr().out
    assert cli.main(["results", "list", "--json"]) == 0
    rows = {row["verb"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["routing"]["classes_apart"].keys() == {block.name for block in made.blocks}


def test_the_verb_needs_weights(project, capsys):
    assert cli.main(["routing", "--config", "registry/cc_pico_4e.yaml"]) == 2
    assert "name weights with --ckpt_path" in capsys.readouterr().err


def test_listening_leaves_the_loss_and_the_weights_alone(fitted):
    """A hook that changed a value would change what is measured."""
    _, spec, _, checkpoint = fitted
    module = CondConvModule(spec, fresh=False)
    weights.load(module.model, spec.network, checkpoint)
    module.eval()
    shown = torch.randint(0, 256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = module(shown)
        listener = routing.Listener(10)
        listener.on_test_start(None, module)
        listener._batch = routing.Batch(
            shown, torch.arange(4), torch.arange(4), torch.zeros(4).bool()
        )
        assert torch.equal(F.softmax(module(shown), 1), F.softmax(before, 1))
        listener.on_test_end(None, module)
    assert all(not part._forward_hooks for part in module.modules())
