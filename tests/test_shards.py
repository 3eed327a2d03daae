"""Shards are read as the folder they were packed from, by every rank, worker and thread."""

import os
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from images import photographs, source
from test_index import tar

import effcc
from effcc.catalog import registry
from effcc.data.loader import Evaluation, Training
from effcc.ground import home
from effcc.ground.document import BadFile
from effcc.sources import index, pack
from effcc.sources import shards as shards_of
from effcc.sources.decode import BadImage, MissingData
from effcc.train.data import ImageData


def quiet(split, done, images):
    """Progress that nobody watches."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EFFCC_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path):
    return photographs(tmp_path / "photos")


@pytest.fixture
def packed(photos, tmp_path):
    """The photos in shards: train in 4+4+4+4+4+1, val in 4+4+1."""
    folder = pack.opened("folder", photos)
    pack.pack(folder, pack.splits(folder), tmp_path / "packed", quiet, per_shard=4)
    return tmp_path / "packed"


def in_order_of(shards, photos, name):
    """A flat list of the photos of a split, in the order that the shards have them."""
    split = shards.split(name)
    files = {
        str(p.relative_to(photos / name).with_suffix("")): p for p in photos.glob(f"{name}/*/*")
    }
    stems = [split.where(i).partition(": ")[2].rpartition(".")[0] for i in range(len(split))]
    lines = [f"{files[stem]} {files[stem].parent.name}\n" for stem in stems]
    (photos / f"{name}.list").write_text("".join(lines))
    return f"{name}.list"


def test_shards_hold_the_images_of_the_folder(photos, packed):
    shards = source("shards", packed)
    folder = source("folder", photos)
    assert shards.classes == folder.classes
    assert shards.title == folder.title
    for name in ("train", "val", "test"):
        one, other = shards.split(name), folder.split(name)
        assert (len(one), one.name) == (len(other), other.name)

        def images(split):
            pairs = ((split.labels[i], split.pixels(i).tobytes()) for i in range(len(split)))
            return sorted(pairs)

        assert images(one) == images(other)
    assert shards.split("test") is shards.split("val")
    assert shards.split("train").where(0).startswith(f"{packed}/train-000000.tar: ")


def test_training_and_evaluation_tensors_equal_those_of_the_folder(photos, packed):
    """Bit for bit. Chance is drawn from a position, so the folder is in the shards' order."""
    shards = source("shards", packed)
    lists = {name: in_order_of(shards, photos, name) for name in ("train", "val")}
    folder = source("folder", photos, **lists)
    spec = effcc.load("cc_pico_4e", settings={"preprocessing.image_size": 32})

    def tensors(of):
        training = Training(of.split("train"), spec.preprocessing, spec.recipe, spec.data, 3)
        val = of.split("val")
        measured = Evaluation(val, range(len(val)), spec.preprocessing, spec.data)
        yield from (training[epoch, i] for epoch in (0, 1) for i in range(len(training)))
        yield from (measured[i] for i in range(len(measured)))

    pairs = list(zip(tensors(shards), tensors(folder), strict=True))
    assert len(pairs) == 2 * 21 + 9
    for one, other in pairs:
        assert all(a.equal(b) for a, b in zip(one, other, strict=True))


def loader(shards, rank=0, ranks=1, **settings):
    typed = {"data.source": "shards", "data.root": ".", "preprocessing.image_size": 32}
    typed |= {f"data.{name}": value for name, value in settings.items()}
    data = ImageData(effcc.load("cc_pico_4e", settings=typed), shards)
    data.trainer = SimpleNamespace(global_rank=rank, world_size=ranks)
    made = data.train_dataloader()
    made.sampler.set_epoch(2)
    return made


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_and_their_workers_read_every_image_once(packed, ranks):
    seen = []
    for rank in range(ranks):
        batches = list(loader(source("shards", packed), rank, ranks, batch_size=1, workers=2))
        assert len(batches) == 21 // ranks
        seen += [int(batch.positions) for batch in batches]
    assert len(seen) == len(set(seen)) == 21 - 21 % ranks


def test_workers_change_nothing(packed):
    shards = source("shards", packed)
    shards.split("train").pixels(0)  # files that are open when processes are forked
    none, two = (list(loader(shards, batch_size=7, workers=n)) for n in (0, 2))
    for one, other in zip(none, two, strict=True):
        assert all(a.equal(b) for a, b in zip(one, other, strict=True))


def test_threads_and_copies_for_other_processes_read_the_same(packed, monkeypatch):
    monkeypatch.setattr("effcc.sources.shards._OPEN", 2)  # so that threads close each other's files
    split = source("shards", packed).split("train")
    expected = [split.pixels(i).tobytes() for i in range(len(split))]
    order = np.random.default_rng(0).integers(0, len(split), 400)
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda i: split.pixels(i).tobytes(), order)
        assert all(a == expected[i] for a, i in zip(found, order, strict=True))
    copied = pickle.loads(pickle.dumps(split))
    assert [copied.pixels(i).tobytes() for i in range(len(copied))] == expected


def test_an_epoch_goes_from_shard_to_shard(packed):
    split = source("shards", packed).split("train")
    order = split.share(np.random.default_rng(0), 0, 1)
    assert sorted(order.tolist()) == list(range(21))
    # 6 shards, 4 at a time: the first two thirds of an epoch come from four or five of them.
    assert len({split.where(i).partition(":")[0] for i in order[:14]}) <= 5


def test_shards_may_be_named(packed, tmp_path):
    some = source("shards", packed, train="train-{000001..000002}.tar", val="val-*.tar")
    assert (len(some.split("train")), len(some.split("val"))) == (8, 9)
    assert some.classes == ("cat", "dog", "eel")
    listed = source(
        "shards", None, train=(f"{packed}/train-000005.tar", f"{packed}/val-000002.tar")
    )
    assert (len(listed.split("train")), listed.classes) == (2, ("cat", "dog", "eel"))
    assert listed.title == "images of photos"


def test_shards_that_are_not_there_are_said(packed, tmp_path):
    with pytest.raises(MissingData, match=r"data\.train: no shard train-000006\.tar, here or in"):
        source("shards", packed, train="train-{000005..000006}.tar")
    with pytest.raises(MissingData, match=r"data\.train: .*train-000005\.tar is named twice"):
        source("shards", packed, train="{train-000005.tar,train-*.tar}")
    with pytest.raises(MissingData, match=r"no folder .*nowhere; .*--data\.root"):
        source("shards", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingData, match=r"empty holds no .*val-\*\.tar .*--data\.val"):
        source("shards", tmp_path / "empty")


def test_a_shard_that_lost_bytes_is_found_before_training(packed):
    shard = packed / "train-000002.tar"
    shard.write_bytes(shard.read_bytes()[:-512])
    with pytest.raises(MissingData, match=r"train-000002\.tar: has .* bytes, in manifest.json"):
        source("shards", packed).split("train")


def test_a_shard_that_changes_while_training_stops_it(packed):
    split = source("shards", packed).split("train")
    shard = packed / "train-000000.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:1500])
    with pytest.raises(MissingData, match=r"train-000000\.tar: has changed since it was indexed"):
        split.pixels(0)
    shard.write_bytes(whole)
    split.pixels(0)
    shard.write_bytes(whole[:600])
    with pytest.raises(BadImage, match=r"train-000000\.tar: .*: the shard ends before it"):
        split.pixels(3)
    shard.unlink()
    with pytest.raises(MissingData, match="cannot be read: No such file"):
        source("shards", packed).split("train")


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="a file that fails when read")
def test_a_disk_that_fails_under_an_open_shard_is_said(packed):
    split = source("shards", packed).split("train")
    broken = shards_of._File("/proc/self/mem")  # opens, and has nothing where images would be
    split._file = lambda shard: broken
    with pytest.raises(MissingData, match=r"train-.*\.tar: .*: cannot be read: Input/output error"):
        split.pixels(0)


def test_a_packing_that_is_not_finished_is_said(photos, tmp_path):
    def stop(split, done, images):
        if done == 10:
            raise KeyboardInterrupt

    folder = pack.opened("folder", photos)
    with pytest.raises(pack.Stopped):
        pack.pack(folder, ["train"], tmp_path / "part", stop, per_shard=4)
    with pytest.raises(MissingData, match=r"holds 8 of 21 train images; run the `effcc shards`"):
        source("shards", tmp_path / "part")


def test_without_its_indexes_a_packing_is_read_by_its_headers(packed):
    before = source("shards", packed).split("train")
    for file in packed.glob("*.index"):
        file.unlink()
    after = source("shards", packed).split("train")
    assert after.fingerprint == before.fingerprint
    assert after.offsets.tolist() == before.offsets.tolist()
    assert after.labels.tolist() == before.labels.tolist()


PNG = b"not decoded here"


def foreign(root, *labels, split="train", form="cls"):
    """A shard of others, a sample for each label."""
    root.mkdir(exist_ok=True)
    members = []
    for number, label in enumerate(labels):
        text = f'{{"label": {label!r}}}'.replace("'", '"') if form == "json" else str(label)
        members += [(f"{number}.png", PNG), (f"{number}.{form}", text.encode())]
    return tar(root / f"{split}-{len(list(root.iterdir()))}.tar", *members)


@pytest.mark.parametrize("form", ["cls", "json"])
@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        ((3, 0, 10), (*"0123456789", "10"), [3, 0, 10]),
        (("eel", "cat", "eel"), ("cat", "eel"), [1, 0, 1]),
    ],
)
def test_classes_of_foreign_shards_are_numbers_or_names(tmp_path, form, labels, classes, numbers):
    foreign(tmp_path / "f", *labels, form=form)
    found = source("shards", tmp_path / "f")
    assert found.classes == classes
    assert found.split("train").labels.tolist() == numbers
    assert found.title == "shards of f"


def test_classes_txt_names_the_numbers(tmp_path):
    foreign(tmp_path / "f", 2, 0, "dog")
    (tmp_path / "f/classes.txt").write_text("cat\ndog\neel\n")
    found = source("shards", tmp_path / "f")
    assert found.classes == ("cat", "dog", "eel")
    assert found.split("train").labels.tolist() == [2, 0, 1]


def test_a_class_that_training_does_not_have_is_named(tmp_path):
    foreign(tmp_path / "f", 0, 1)
    foreign(tmp_path / "f", 1, 2, split="validation")
    with pytest.raises(MissingData, match=r"validation-1\.tar: '2' is none of the 2 classes of"):
        source("shards", tmp_path / "f").split("val")


def test_shards_of_other_classes_are_not_taken_for_the_same(packed, tmp_path):
    folder = pack.opened(
        "folder", str(photographs(tmp_path / "more", classes=("ant", "bee", "cow")))
    )
    pack.pack(folder, ["val"], tmp_path / "other", quiet, per_shard=99)
    mixed = source("shards", packed, val=f"{tmp_path}/other/val-*.tar")
    with pytest.raises(MissingData, match=r"val-000000\.tar: its classes are not the training"):
        mixed.split("val")


def test_a_long_command_is_a_pipe_too(packed):
    command = f"pipe:{'true; ' * 200}cat {packed}/train-000001.tar"
    assert len(source("shards", packed, train=command).split("train")) == 4


def test_headers_are_read_once_and_again_when_the_file_changes(tmp_path, monkeypatch):
    shard, reads, read = foreign(tmp_path / "f", 0, 1), [], index.read
    monkeypatch.setattr(index, "read", lambda path: reads.append(path) or read(path))
    for _ in range(2):
        assert len(source("shards", tmp_path / "f").split("train")) == 2
    assert reads == [shard]
    shard.unlink()
    foreign(tmp_path / "f", 0, 1, 2)
    assert len(source("shards", tmp_path / "f").split("train")) == 3
    assert reads == [shard, shard]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EFFCC_CACHE", str(tmp_path / "file"))
    foreign(tmp_path / "f", 0, 1)
    assert len(source("shards", tmp_path / "f").split("train")) == 2


def test_a_pipe_runs_once_and_its_output_is_kept(packed, tmp_path):
    command = f"echo ran >> {tmp_path}/log; cat {packed}/train-{{000001..000002}}.tar"
    named = {"train": f"pipe:{command}", "val": "val-000000.tar"}
    for _ in range(2):
        piped = source("shards", packed, **named)
        split = piped.split("train")
        assert len(split) == 8
        split.pixels(7)
    assert (tmp_path / "log").read_text() == "ran\n" * 2  # a command a shard
    assert split.where(7).startswith(f"pipe:echo ran >> {tmp_path}/log; cat {packed}/train-000002")
    assert not list(home.cache().rglob("*.partial"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("echo oh >&2; exit 3", r"pipe:echo oh >&2; exit 3: the command ended with 3: oh"),
        ("false", r"pipe:false: the command ended with 1: it said nothing"),
        ("head -c 2000 {}/train-000001.tar", r"is no whole, uncompressed tar file"),
    ],
)
def test_a_pipe_that_fails_is_said_and_leaves_nothing(packed, command, message):
    with pytest.raises(MissingData, match=message):
        source("shards", packed, train=f"pipe:{command.format(packed)}")
    assert [p.suffix for p in home.cache().rglob("*.*")] == [".lock"]


def test_a_pipe_may_only_be_typed(packed, project):
    """A configuration file is data, and must not be able to run a command."""
    typed = {"data.source": "shards", "data.train": f"pipe:cat {packed}/train-000001.tar"}
    spec = registry.load("cc_pico_4e", project, flags=typed)
    assert spec.data.train.startswith("pipe:")
    more = project.root / "more.yaml"
    more.write_text("data: {source: shards, train: 'pipe:cat a.tar'}\n")
    path = project.registry / "cc_pico_4e.yaml"
    with pytest.raises(BadFile, match=r"more\.yaml:1:24: data\.train: runs a command; a pipe may"):
        registry.load_file(path, project, overlays=[more])
    kept = ("last.ckpt", spec.settings())
    with pytest.raises(BadFile, match=r"last\.ckpt.*data\.train: runs a command"):
        registry.load_file(path, project, checkpoint=kept)
    assert registry.load_file(path, project, checkpoint=kept, flags=typed).data == spec.data


def test_no_pattern_becomes_a_command(packed, tmp_path):
    with pytest.raises(MissingData, match="no shard pipe:touch"):
        source("shards", packed, train=f"{{pipe:,x}}touch {tmp_path}/ran")
    assert not (tmp_path / "ran").exists()


def test_a_file_whose_name_begins_like_a_pipe_is_a_file(packed, tmp_path, monkeypatch):
    folder = tmp_path / "pipe:touch ran;"
    shutil.copytree(packed, folder)
    for file in (*folder.glob("*.index"), folder / "manifest.json"):
        file.unlink()
    shutil.copy(folder / "train-000001.tar", tmp_path / "pipe:touch ran")
    monkeypatch.chdir(tmp_path)
    assert len(source("shards", folder.name).split("train")) == 21
    assert len(source("shards", None, train="[p]ipe:touch ran").split("train")) == 4
    assert not list(tmp_path.rglob("ran"))


def test_moved_shards_are_the_same_images(packed, tmp_path):
    before = source("shards", packed).split("train").fingerprint
    shutil.move(packed, tmp_path / "moved")
    assert source("shards", tmp_path / "moved").split("train").fingerprint == before
