"""A trained network that was saved, exported and read again is right on as many images.

Of drawn variants: what holds for the registered ones alone is no promise to those who write their
own.
"""

import io
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from agreement import ULPS, assert_agree, graph
from conftest import ROOT
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from rich.console import Console
from test_transfer import TINY

import effcc
from effcc import exchange
from effcc.ground.home import Home
from effcc.nn import export, weights
from effcc.nn.engines import DEFAULT
from effcc.report import hub
from effcc.train import run
from effcc.train.data import ImageData
from effcc.train.module import CondConvModule

FEW = {
    "recipe.epochs": 1,
    "recipe.warmup_epochs": 0,
    "recipe.lr": 0.05,
    "recipe.classifier_init": 30.0,  # logits as large as those of a network that learned for long
    "data.batch_size": 32,
    "data.workers": 0,
    "trainer.accelerator": "cpu",
    "trainer.num_sanity_val_steps": 0,
    "trainer.limit_train_batches": 6,
    "trainer.limit_val_batches": 0,
    "trainer.limit_test_batches": 3,
}

plain = {
    "repeats": st.integers(1, 2),
    "kernel": st.sampled_from([1, 3, 5, 7, 9]),
    "stride": st.sampled_from([1, 2]),
    "expand": st.integers(1, 3),
    "out": st.integers(8, 40),
}
conditional = plain | {"expand": st.integers(2, 3), "conditional": st.just(True)}
stages = st.fixed_dictionaries(plain) | st.fixed_dictionaries(conditional)
variants = st.fixed_dictionaries(
    {
        "network.stages": st.lists(stages, min_size=1, max_size=3),
        "network.experts": st.integers(1, 5),
        "network.width": st.sampled_from([0.5, 1.0, 1.3]),
        "network.depth": st.sampled_from([0.5, 1.0, 1.4]),
        "network.stem": st.integers(8, 24),
        "network.head": st.integers(8, 80),
        "network.in_channels": st.sampled_from([1, 3]),
        "network.padding": st.sampled_from(["same", "symmetric"]),
        "network.bn_eps": st.sampled_from([1e-5, 1e-3, 1e-2]),
        "network.bn_momentum": st.sampled_from([0.01, 0.1, 0.5]),
        "network.dropout": st.sampled_from([0.0, 0.4]),
        "network.drop_path": st.sampled_from([0.0, 0.3]),
        "recipe.ema_decay": st.sampled_from([0.0, 0.5]),
        "preprocessing.image_size": st.integers(16, 41),
    }
)
LIKE_OURS = TINY | {
    "network.experts": 4,
    "network.in_channels": 3,
    "recipe.ema_decay": 0.5,
    "preprocessing.image_size": 33,
}


# Each example trains, so a failing one is told as it was drawn: to make it smaller takes minutes.
HOW = {
    "deadline": None,
    "derandomize": True,
    "phases": [Phase.explicit, Phase.generate],
    "suppress_health_check": [HealthCheck.too_slow],
}


@settings(max_examples=2, **HOW)
@example(LIKE_OURS)
@given(variants)
def test_what_comes_back_is_right_on_as_many_images(drawn):
    come_back(drawn)


@pytest.mark.slow
@settings(max_examples=40, **HOW)
@given(variants)
def test_of_many_variants_what_comes_back_is_right_on_as_many_images(drawn):
    come_back(drawn)


def come_back(drawn):
    """Train, save in every format, read it again, and hold bits and counts to those before."""
    spec, source = run.prepare(effcc.load("cc_pico_4e", source="digits", settings=FEW | drawn))
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder).resolve())
        shutil.copytree(ROOT / "model-index", home.model_index)
        record = run.fit(spec, source, home, Console(file=io.StringIO()), "effcc fit")
        path = home.root / record.checkpoint["path"]
        checkpoint = weights.read(path)
        model = export.network(spec, checkpoint)
        images = batches(spec, source, model)
        with torch.inference_mode():
            before = torch.cat([model(each) for each, _ in images])
        labels = torch.cat([each for _, each in images])
        right = int((before.argmax(1) == labels).sum())
        assert len(before.argmax(1).unique()) > 1 or drawn is not LIKE_OURS  # it tells images apart
        assert (right, len(labels)) == (record.metrics["top1"].correct, record.metrics["top1"].n)
        for file in exported(spec, checkpoint, home):
            exactly(spec, source, home, file, model, images, before, right)
        runtime = graph("any", model, spec, home.root / "net.onnx")
        with torch.inference_mode():
            found = torch.cat([runtime(each) for each, _ in images])
        assert_agree(found, before, ULPS["ONNX file"]["random"])
        assert int((found.argmax(1) == labels).sum()) == right
        measured = run.evaluate(spec, source, home, "x", checkpoint, engine=DEFAULT)
        assert measured.metrics["top1"] == record.metrics["top1"]
        assert measured.metrics["top5"] == record.metrics["top5"]


def batches(spec, source, model):
    """The test images as the network takes them, with their classes; as many as were measured."""
    module = CondConvModule(spec, fresh=False)
    loader = ImageData(spec, source).test_dataloader()
    limit = FEW["trainer.limit_test_batches"]
    found = [next(each) for each in [iter(loader)] for _ in range(limit)]
    return [(module.normalise(batch.images), batch.labels) for batch in found]


def exported(spec, checkpoint, home):
    """The checkpoint itself, and its weights in each format that keeps every bit."""
    yield checkpoint.path
    formats = {"safetensors", "timm", "hub"}
    said = list(exchange.written(spec, checkpoint, home, home.root / "out", formats))
    assert len(said) == len(formats)
    for line in said:
        path = Path(line.removeprefix("wrote "))
        yield path / hub.WEIGHTS if path.is_dir() else path


def exactly(spec, source, home, file, model, images, before, right):
    """A file that keeps every bit: weights, logits, and how many images are right."""
    read = weights.read(file)
    again = export.network(spec, read)
    state, first = again.state_dict(), model.state_dict()
    assert state.keys() == first.keys()
    assert all(tensor.equal(first[name]) for name, tensor in state.items())
    begun = effcc.create(
        "cc_pico_4e", pretrained=file, num_classes=10, settings=spec_settings(spec)
    ).eval()
    with torch.inference_mode():
        for network in (again, begun):
            assert torch.cat([network(each) for each, _ in images]).equal(before)
    found = run.evaluate(spec, source, home, "x", read)
    assert found.metrics["top1"].correct == right


def spec_settings(spec):
    """The network's settings, to build it anew by name."""
    network = spec.settings()["network"]
    return {f"network.{key}": value for key, value in network.items() if key != "num_classes"}
