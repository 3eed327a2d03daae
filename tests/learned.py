"""A small network that has learned something, trained once for all tests of a session."""

import io
from dataclasses import replace
from types import SimpleNamespace

import torch
from rich.console import Console
from test_transfer import TINY
from torch.nn import functional as F

import effcc
from effcc.nn import export, weights
from effcc.train import run

SETTINGS = TINY | {
    "recipe.epochs": 4,
    "recipe.warmup_epochs": 0,
    "data.batch_size": 32,
    "data.workers": 0,
    "trainer.accelerator": "cpu",
    "trainer.num_sanity_val_steps": 0,
}


def small(home):
    """A small variant, trained on digits: its record, checkpoint, network and spec; not to change.

    Tests ask for it as the fixture `learned`.
    """
    spec, source = run.prepare(effcc.load("cc_pico_4e", source="digits", settings=SETTINGS))
    record = run.fit(spec, source, home, Console(file=io.StringIO()), "effcc fit")
    checkpoint = weights.read(home.root / record.checkpoint["path"])
    model = export.network(spec, checkpoint)
    return SimpleNamespace(
        home=home, record=record, checkpoint=checkpoint, model=model, spec=spec, source=source
    )


def digits(source, size, count):
    """The first test images as a network takes them, at any size."""
    split = source.split("test")
    pixels = torch.stack([torch.as_tensor(split.pixels(i)) for i in range(count)])
    grey = pixels.float().mean(-1)[:, None].sub(127).div(128)
    whole = F.interpolate(grey, size=(size, size), mode="bilinear").expand(-1, 3, -1, -1)
    return whole.contiguous()


def at(spec, size):
    """The variant for images of another size."""
    return replace(spec, preprocessing=replace(spec.preprocessing, image_size=size))
