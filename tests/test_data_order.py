"""How many processes load the images shows in no batch: not in the order, not in a pixel.

From every kind of source, with everything that draws by chance, over epochs, and from the middle of
one on.
"""

import hashlib
import io
import shutil
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from images import photographs, source
from rich.console import Console
from test_transfer import TINY

import effcc
from effcc.data import mix
from effcc.ground.home import Home
from effcc.nn import weights
from effcc.sources import pack
from effcc.sources.known import SOURCES
from effcc.sources.split import Arrays
from effcc.train import run
from effcc.train.data import ImageData
from effcc.train.module import CondConvModule
from effcc.train.run import Interrupted

# Torch advises as many loaders as there are cores; this is not about speed.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")
BATCH = 4
EVERYTHING = {
    "preprocessing.image_size": 32,
    "data.batch_size": BATCH,
    "recipe.augment.policy": "v0",
    "recipe.augment.erase": 0.5,
    "recipe.augment.mixup": 0.2,
    "recipe.augment.cutmix": 1.0,
}
KINDS = ["digits", "folder", "damaged", "list", "shards", "parquet", "arrow"]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The settings under which each kind of source finds 21 images to train on."""
    pytest.importorskip("pyarrow")
    from pyarrow import ipc, parquet

    root = tmp_path_factory.mktemp("sources").resolve()
    photos = photographs(root / "photos")
    damaged = root / "damaged"
    shutil.copytree(photos, damaged)
    for name in ("cat/1.jpg", "eel/6.png"):
        (damaged / "train" / name).write_bytes(b"no image")
    listed = photos / "train.csv"
    files = sorted((photos / "train").rglob("*.*"), key=lambda path: path.name)
    rows = [f"{path},{path.parent.name}" for path in files]
    listed.write_text("\n".join(["path,label", *rows]), "utf-8")
    folder = pack.opened("folder", photos)
    pack.pack(folder, pack.splits(folder), root / "packed", lambda *_: None, per_shard=4)
    for split, name in (("train", "train"), ("val", "validation")):
        table = _table(source("folder", photos).split(split))
        for place in ("tables", f"saved/{name}"):
            (root / place).mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, root / f"tables/{name}-0.parquet", row_group_size=3)
        with ipc.new_stream(root / f"saved/{name}/data-00000-of-00001.arrow", table.schema) as out:
            out.write_table(table, max_chunksize=3)
        (root / f"saved/{name}/state.json").write_text(
            '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}], '
            f'"_split": "{name}", "_indices_data_files": null}}'
        )
    of = {
        "folder": ("folder", photos, {}),
        "damaged": ("folder", damaged, {"data.on_error": "skip"}),
        "list": ("folder", photos, {"data.train": "train.csv"}),
        "shards": ("shards", root / "packed", {}),
        "parquet": ("huggingface", root / "tables", {}),
        "arrow": ("huggingface", root / "saved", {}),
    }
    return {"digits": {}} | {
        name: {"data.source": kind, "data.root": str(place)} | more
        for name, (kind, place, more) in of.items()
    }


def _table(split):
    import pyarrow as pa

    images = [{"bytes": split.path(i).read_bytes(), "path": f"{i}.jpg"} for i in range(len(split))]
    return pa.table({"image": images, "label": split.labels.tolist()})


class Few:
    """The first digits of each split: as many as the photographs are."""

    name, title = "few", "a few digits"

    def __init__(self, whole):
        self.whole, self.classes = whole, whole.classes

    def split(self, name):
        whole = self.whole.split(name)
        return Arrays(name, whole.images[:21], whole.labels[:21], whole.fingerprint)


def data(settings, workers, **more):
    """The loaders of a source, as a run makes them."""
    given = EVERYTHING | settings | {"data.workers": workers} | more
    spec = effcc.load("cc_pico_4e", source="digits", settings=given)
    opened = SOURCES[spec.data.source](spec.data)
    return ImageData(spec, opened if settings else Few(opened))


def stream(loaders, epochs):
    """Digests of the mixed batches of epochs, one loader for all of them, as a run has it."""
    loader, spec = loaders.train_dataloader(), loaders.spec
    epoch, seen = loaders._begun
    for number in epochs:
        loader.sampler.set_epoch(number)
        first = seen // BATCH if number == epoch else 0
        for index, batch in enumerate(loader, first):
            random = np.random.default_rng((spec.seed, number, index, 0, 1))
            mixed = mix.mix(batch.images, batch.labels, 10, spec.recipe.augment, random)
            yield number, digest(*batch, *mixed)


def digest(*tensors):
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_loaders_gives_the_same_batches_of_every_source(places, kind):
    """0, 1, 2 and 3 of them, over three epochs, and from the middle of the second on."""
    whole = list(stream(data(places[kind], 0), range(3)))
    assert len(whole) == len(set(whole)) == 3 * (21 // BATCH)
    for workers in (1, 2, 3):
        loaders = data(places[kind], workers)
        assert list(stream(loaders, range(3))) == whole
        loaders.end()
    rest = [pair for pair in whole if pair[0] >= 1][2:]
    for workers in (0, 3):
        loaders = data(places[kind], workers)
        loaders.load_state_dict({"epoch": 1, "seen": 2 * BATCH, "at_a_time": BATCH, "ranks": 1})
        assert list(stream(loaders, (1, 2))) == rest
        loaders.end()


@pytest.mark.parametrize("policy", [None, "original", "rand"])
def test_any_number_of_loaders_augments_alike_by_every_policy(places, policy):
    more = {"recipe.augment.policy": policy}
    whole = list(stream(data(places["folder"], 0, **more), (0, 4)))
    loaders = data(places["folder"], 3, **more)
    assert list(stream(loaders, (0, 4))) == whole
    loaders.end()


@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_loaders_and_any_batch_measures_the_same_images(places, kind):
    def images(workers, batch_size):
        loaders = data(places[kind], workers, **{"data.batch_size": batch_size})
        parts = zip(*loaders.val_dataloader(), strict=True)
        found = digest(*(torch.cat(part) for part in parts))
        loaders.end()
        return found

    one = images(0, 4)
    assert all(images(*how) == one for how in ((1, 100), (2, 5), (3, 1)))


@pytest.fixture
def spied(monkeypatch):
    """What training steps were given and what they mixed of it, in order; and where to stop one."""
    seen, stop = [], SimpleNamespace(at=None)
    mixed, step = mix.mix, CondConvModule.training_step

    def listening(images, labels, *rest):
        out = mixed(images, labels, *rest)
        seen.append(digest(images, labels, *out))
        return out

    def stopping(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == stop.at:
            signal.raise_signal(signal.SIGTERM)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(mix, "mix", listening)
    monkeypatch.setattr(CondConvModule, "training_step", stopping)
    return seen, stop


def fit(home, settings, workers, checkpoint=None):
    given = TINY | EVERYTHING | settings | {"data.workers": workers, "recipe.epochs": 3}
    given |= {"trainer.accelerator": "cpu", "trainer.num_sanity_val_steps": 0}
    given |= {"recipe.warmup_epochs": 0, "trainer.limit_train_batches": 5}
    spec, opened = run.prepare(effcc.load("cc_pico_4e", source="digits", settings=given))
    record = run.fit(spec, opened, home, Console(file=io.StringIO()), "effcc fit", checkpoint)
    return weights.read(home.root / record.checkpoint["path"]).weights


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [(kind, at % 4, (2 * at + 3) % 4) for at, kind in enumerate(KINDS)],
)
def test_a_run_stopped_within_an_epoch_goes_on_with_other_loaders(
    places, spied, tmp_path, kind, before, after
):
    home, (seen, stop) = Home(tmp_path.resolve()), spied
    unbroken = fit(home, places[kind], 0)
    whole = [*seen]
    assert len(whole) == 3 * 5
    seen.clear()
    stop.at = (1, 2)
    with pytest.raises(Interrupted) as caught:
        fit(home, places[kind], before)
    stop.at = None
    checkpoint = home.root / str(caught.value).rpartition("--ckpt_path ")[2]
    continued = fit(home, places[kind], after, checkpoint)
    assert seen == whole
    assert all(tensor.equal(continued[name]) for name, tensor in unbroken.items())
