"""What a run may lose on its way: its images, or the memory for a step."""

import os
import re
import shutil
from functools import partial

import faults
import pyarrow as pa
import pytest
from child import Command
from images import photographs, source
from pyarrow import parquet
from test_run import content

from effcc.catalog import results
from effcc.sources import pack
from effcc.train import checkpoints

PICO = "cc_pico_4e"
# Fifteen steps an epoch, of which the tests keep every one.
FIT = [
    *("fit", "--config", f"registry/{PICO}.yaml", "--network.depth", "0.3", "--network.head", "64"),
    *("--data.batch_size", "6", "--preprocessing.image_size", "32", "--trainer.max_epochs", "400"),
    *("--trainer.accelerator", "cpu", "--recipe.warmup_epochs", "0"),
]


def folder(photos, to):
    shutil.copytree(photos, to)


def shards(photos, to):
    images = pack.opened("folder", str(photos))
    pack.pack(images, pack.splits(images), to, lambda *_: None, per_shard=1)


def huggingface(photos, to):
    to.mkdir()
    images = source("folder", photos)
    for name in ("train", "val"):
        split = images.split(name)
        encoded = [split.path(i).read_bytes() for i in range(len(split))]
        columns = {"image": encoded, "label": split.labels.tolist()}
        for part in range(20):  # more files than are kept open
            rows = {key: values[part::20] for key, values in columns.items()}
            parquet.write_table(pa.table(rows), to / f"{name}-{part:05d}-of-00020.parquet")


@pytest.mark.parametrize(
    "kind",
    [
        folder,
        pytest.param(shards, marks=pytest.mark.slow),
        pytest.param(huggingface, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("on_error", ["fail", pytest.param("skip", marks=pytest.mark.slow)])
def test_images_that_vanish_end_the_run_with_how_to_go_on(project, tmp_path, kind, on_error):
    photos = photographs(tmp_path / "photos", train=30, val=10)
    data, gone = tmp_path / "data", tmp_path / "gone"
    kind(photos, data)
    words = ["--data.source", kind.__name__, "--data.root", str(data), "--data.workers", "1"]
    words += ["--data.on_error", on_error]
    command = Command(project, *FIT, *words, always=True)
    assert command.until("previous.ckpt"), command.said
    data.rename(gone)  # as a disk that is unplugged: open files stay, nothing else does
    code, said = command.wait(), command.said
    last = said.splitlines()[-1]
    assert code == 3, said
    assert str(data) in last
    found = re.search(r"; go on with --ckpt_path (\S+)$", last)
    assert found, said
    assert "Traceback" not in said
    kept = project.root / found[1]
    assert content(kept)["global_step"] >= 1
    assert not results.load(project, PICO)
    gone.rename(data)
    epochs = str(content(kept)["epoch"] + 2)
    again = Command(project, *FIT, *words, "--ckpt_path", "last", "--trainer.max_epochs", epochs)
    assert again.wait() == 0, again.said
    (made,) = results.load(project, PICO)
    assert made.steps == int(epochs) * 15
    assert (made.metrics["top1"].n, made.dataset.unreadable) == (30, 0)


def test_a_step_that_does_not_fit_into_memory_names_the_batch_size(project):
    big = ("--data.batch_size", "1000", "--preprocessing.image_size", "224")
    command = Command(project, *FIT, *big, first=partial(faults.little_memory, 2**29))
    assert command.wait() == 5, command.said
    assert command.said.splitlines()[-1] == (
        "out of memory with 1,000 images at a time on a device; lower --data.batch_size "
        "(--trainer.accumulate_grad_batches keeps the images of a step); nothing was kept"
    )
    assert "Traceback" not in command.said
    assert checkpoints.newest(project.runs / PICO) is None
    assert not os.listdir(project.runs / PICO)
