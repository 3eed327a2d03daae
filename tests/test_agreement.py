"""Whoever computes a network's logits, they are the same, within tolerances that stand once."""

import re

import golden
import pytest
import torch
from agreement import ULPS, assert_agree, undecided, ways
from conftest import ROOT
from learned import at, digits
from test_inference import trained as seasoned
from test_transfer import TINY

import effcc
from effcc.nn import native

EAGER = [way for way in ULPS if way not in ("compiled", "safetensors", "timm")]


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Hold every way to the network: (model, spec, batches of images, kind of weights)."""

    def every(model, spec, batches, weights, compiled=False):
        with torch.inference_mode():
            expected = [model(images) for images in batches]
            seen = []
            for way, compute in ways(model, spec, tmp_path, monkeypatch, compiled):
                for images, logits in zip(batches, expected, strict=True):
                    assert_agree(compute(images), logits, ULPS[way][weights])
                seen.append(way)
        assert seen == EAGER + ["compiled"] * compiled
        return expected

    return every


@pytest.mark.parametrize("size", [32, 33, 57])
def test_a_trained_network_is_the_same_whoever_computes(learned, check, size):
    """Images of odd sizes and batches of 1, 7 and 32; the digits it has learned to tell apart."""
    images = digits(learned.source, size, 40)
    logits = check(learned.model, at(learned.spec, size), images.split([1, 7, 32]), "trained")
    # So the counts of right ones are the same as well, not only where it happens to be clear.
    assert not any(undecided(each, 64).any() for each in logits)


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({"network.experts": 1}, 40),
        ({"network.padding": "symmetric", "network.experts": 3}, 31),
        ({"network.in_channels": 1, "network.bn_eps": 1e-2}, 34),
        ({"network.width": 1.7, "network.depth": 2.0, "network.stem": 20}, 45),
    ],
    ids=str,
)
def test_networks_that_nobody_registered_are_the_same_whoever_computes(check, settings, size):
    settings = TINY | settings
    channels = settings.get("network.in_channels", 3)
    batches = [torch.randn(count, channels, size, size) for count in (2, 9)]
    model = seasoned("cc_pico_4e", batches[1], **settings)
    spec = effcc.load("cc_pico_4e", settings=settings).with_classes(7)
    check(model, at(spec, size), batches, "random")


@pytest.mark.parametrize(
    "variant",
    [
        "cc_b0_4e",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("cc_b0_8e", "cc_b1_8e")),
    ],
)
def test_the_published_networks_are_the_same_whoever_computes(check, variant):
    """On the images and weights on which they equal the authors' own."""
    model, spec = golden.fill(effcc.create(variant), variant).eval(), effcc.load(variant)
    images = golden.inputs(spec.preprocessing.image_size, torch.float32)
    check(model, spec, [images], "random")


@pytest.mark.slow  # torch's compiler takes half a minute for each
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # that it uses what torch deprecates
@pytest.mark.parametrize("size", [32, 33])
def test_compiled_it_is_the_same_too(learned, check, size):
    images = digits(learned.source, size, 40)
    check(learned.model, at(learned.spec, size), images.split([7, 33]), "trained", compiled=True)


def test_a_wrong_logit_would_have_been_noticed():
    """The measure itself: it refuses what is off by more, and knows what rounding cannot change."""
    logits = torch.tensor([[1.0, -8.0, 3.0], [0.5, 0.25, 8.0]])
    off = logits.clone()
    off[0, 1] += 65 * 2**-20  # of 8, whose last place is 2**-20
    with pytest.raises(AssertionError):
        assert_agree(off, logits, 64)
    assert_agree(off, logits, 65)
    near = torch.tensor([[8.0, 8 - 100 * 2**-20, 0.0]])
    assert undecided(near, 64).all()
    assert not undecided(near, 32).any()


@pytest.mark.skipif(native.library() is None, reason=native.missing() or "compiled")
def test_without_layers_in_c_something_else_computes(learned, tmp_path, monkeypatch):
    """Else a way would stand for another one."""
    kinds = {
        way: type(compute).__name__
        for way, compute in ways(learned.model, learned.spec, tmp_path, monkeypatch)
        if way.startswith("optimized")
    }
    assert kinds == {"optimized": "Folded", "optimized, without layers in C": "EfficientNet"}


def test_the_page_states_the_tolerances_that_tests_hold():
    page = (ROOT / "docs" / "numbers.md").read_text("utf-8")
    row = r"^\| ([^|]+) \| (\d+) \| (\d+|not tested) \| [^|]+ \| [^|]+ \|$"
    stated = {
        way: {"trained": int(trained)} | ({} if random == "not tested" else {"random": int(random)})
        for way, trained, random in re.findall(row, page, re.MULTILINE)
    }
    assert stated == ULPS
