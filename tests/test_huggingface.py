"""Data sets of Hugging Face; what is in golden/huggingface was written by `datasets` 5.2."""

import pickle
import shutil
import sys

import numpy as np
import pytest
from conftest import ROOT
from images import photographs, source
from torch.utils.data import DataLoader

import effcc
from effcc.data.loader import Training
from effcc.sources.decode import BadImage, MissingData

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

GOLDEN = ROOT / "tests/golden/huggingface"


def noise(seed):
    """The image of a row of the golden data sets."""
    return np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["saved", "parquet"])
def test_what_datasets_saved_is_read(kind):
    found = source("huggingface", GOLDEN / kind)
    assert found.classes == ("cat", "dog", "eel")
    assert found.title == f"images of {kind}"
    train, val = found.split("train"), found.split("val")
    assert train.labels.tolist() == [0, 2, 1, 0, 2]
    assert (len(val), val.name) == (3, "validation")
    assert found.split("test") is val
    assert all((train.pixels(i) == noise(i)).all() for i in range(5))
    assert all((val.pixels(i) == noise(100 + i)).all() for i in range(3))
    assert train.where(4).endswith({"saved": "00001-of-00002.arrow: row 1"}.get(kind, ": row 4"))


def test_images_are_those_of_a_folder(tmp_path):
    """Bit for bit, through the training's random crops too."""
    photos = photographs(tmp_path / "photos")
    folder = source("folder", photos)
    table(tmp_path / "data/train-0.parquet", folder.split("train"), row_group_size=4)
    rows = source("huggingface", tmp_path / "data", val="train")
    spec = effcc.load("cc_pico_4e", settings={"preprocessing.image_size": 32})
    one, other = (
        Training(of.split("train"), spec.preprocessing, spec.recipe, spec.data, 1)
        for of in (rows, folder)
    )
    for position in range(21):
        pairs = zip(one[2, position], other[2, position], strict=True)
        assert all(a.equal(b) for a, b in pairs)


def table(path, split, *, form="struct", label="label", labels=None, **how):
    """A parquet file of the images of a split, without what `datasets` adds to the schema."""
    encoded = [split.path(i).read_bytes() for i in range(len(split))]
    images = [{"bytes": one, "path": None} for one in encoded] if form == "struct" else encoded
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"id": range(len(split)), "image": images, label: labels or split.labels.tolist()}
    parquet.write_table(pa.table(columns), path, **how)


@pytest.fixture
def split(tmp_path):
    return source("folder", photographs(tmp_path / "photos")).split("train")


@pytest.mark.parametrize("form", ["struct", "binary"])
@pytest.mark.parametrize("label", ["label", "fine_label", "target"])
def test_columns_are_known_by_type_and_name(tmp_path, split, form, label):
    table(tmp_path / "d/data/train-00000-of-00001.parquet", split, form=form, label=label)
    found = source("huggingface", tmp_path / "d")
    assert found.classes == ("0", "1", "2")
    assert (found.split("train").pixels(5) == split.pixels(5)).all()


def test_labels_may_be_names(tmp_path, split):
    names = ["eel", "ant", "bee"]
    table(tmp_path / "d/train.parquet", split, labels=[names[i] for i in split.labels])
    found = source("huggingface", tmp_path / "d")
    assert found.classes == ("ant", "bee", "eel")
    assert [found.classes[i] for i in found.split("train").labels] == [
        names[i] for i in split.labels
    ]


def test_splits_and_files_may_be_named(tmp_path):
    named = source("huggingface", GOLDEN / "saved", train="validation", val="train")
    assert (len(named.split("train")), len(named.split("val"))) == (3, 5)
    files = source("huggingface", None, train=str(GOLDEN / "parquet/train-*.parquet"))
    assert len(files.split("train")) == 5
    one = source("huggingface", None, train=str(GOLDEN / "saved/validation"))
    assert len(one.split("train")) == 3
    shutil.copytree(GOLDEN / "saved/train", tmp_path / "alone")
    state = tmp_path / "alone/state.json"
    state.write_text(state.read_text().replace('"_split": null', '"_split": "train"'))
    assert len(source("huggingface", tmp_path / "alone").split("train")) == 5


def test_what_is_missing_is_said(tmp_path, split):
    with pytest.raises(MissingData, match=r"no folder .*nowhere; .*--data\.root"):
        source("huggingface", tmp_path / "nowhere")
    table(tmp_path / "d/dev.parquet", split)
    with pytest.raises(MissingData, match=r"no split val or .*holds dev\.parquet; .*--data\.val"):
        source("huggingface", tmp_path / "d")
    with pytest.raises(MissingData, match=r"data\.train: no split, folder or file nope, here or"):
        source("huggingface", tmp_path / "d", train="nope")


def test_a_table_that_cannot_be_used_is_said(tmp_path, split):
    def refused(match, **named):
        with pytest.raises(MissingData, match=match):
            source("huggingface", tmp_path / "d", **named).split("train")

    table(tmp_path / "d/train.parquet", split, label="kind")
    refused(r"train\.parquet: no column of labels among id, image, kind; name it label")
    table(tmp_path / "d/train.parquet", split, labels=[None] + [0] * 20)
    refused(r"train\.parquet: 1 rows have no label; fill or remove them")
    table(tmp_path / "d/train.parquet", split, labels=[0, -1, *[2] * 19])
    refused(r"train\.parquet: row 1: the label -1 is none of the 3 classes .*--data\.train")
    parquet.write_table(pa.table({"label": [1]}), tmp_path / "d/train.parquet")
    refused(r"no column of images among label; name it image")
    (tmp_path / "d/train.parquet").write_bytes(b"PAR1")
    refused(r"train\.parquet: cannot be read: ")
    shutil.copytree(GOLDEN / "saved", tmp_path / "d", dirs_exist_ok=True)
    (tmp_path / "d/train.parquet").unlink()
    arrow = tmp_path / "d/train/data-00001-of-00002.arrow"
    arrow.write_bytes(arrow.read_bytes()[:300])
    refused(r"00001-of-00002\.arrow: cannot be read: ")
    state = tmp_path / "d/train/state.json"
    state.write_text('{"_indices_data_files": [{"filename": "indices.arrow"}]}')
    refused(r"rows are chosen by an index; save it after flatten_indices")
    state.write_text("{")
    refused(r"state\.json: is no JSON")


def test_other_classes_in_validation_are_not_taken_for_the_same(tmp_path):
    shutil.copytree(GOLDEN / "saved", tmp_path / "d")
    (arrow,) = (tmp_path / "d/validation").glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes().replace(b'"dog", "eel"', b'"eel", "dog"'))
    with pytest.raises(MissingData, match="its classes are not those of the training images"):
        source("huggingface", tmp_path / "d").split("val")


def test_a_row_without_an_image_is_named(tmp_path, split):
    table(tmp_path / "d/train.parquet", split)
    images = [{"bytes": None, "path": None}, {"bytes": None, "path": "1.png"}]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.table({"image": pa.array(images, kind), "label": [0, 1]})
    parquet.write_table(rows, tmp_path / "d/train.parquet")
    shutil.copy(split.path(0), tmp_path / "d/1.png")
    found = source("huggingface", tmp_path / "d").split("train")
    with pytest.raises(BadImage, match=r"train\.parquet: row 0: holds no image"):
        found.pixels(0)
    assert (found.pixels(1) == split.pixels(0)).all()


def test_row_groups_are_read_one_after_another_and_few_are_kept(tmp_path, split, monkeypatch):
    monkeypatch.setattr("effcc.sources.huggingface._MIXED", 4)
    table(tmp_path / "d/train.parquet", split, row_group_size=2)
    rows = source("huggingface", tmp_path / "d").split("train")
    order = rows.share(np.random.default_rng(0), 0, 1)
    assert sorted(order.tolist()) == list(range(21))
    for position in order:
        assert (rows.pixels(int(position)) == split.pixels(int(position))).all()
    kept = rows._column.cache_info()
    assert (kept.currsize, kept.maxsize) == (4, 4)
    assert kept.misses < 21  # 11 groups, some again at the edges of windows


@pytest.mark.parametrize("kind", ["saved", "parquet"])
def test_workers_and_copies_read_the_same(kind):
    rows = source("huggingface", GOLDEN / kind).split("train")
    expected = [rows.pixels(i).tobytes() for i in range(5)]  # opened before processes are forked
    copied = pickle.loads(pickle.dumps(rows))
    assert [copied.pixels(i).tobytes() for i in range(5)] == expected
    spec = effcc.load("cc_pico_4e", settings={"preprocessing.image_size": 32})
    training = Training(rows, spec.preprocessing, spec.recipe, spec.data, 1)
    loader = DataLoader(training, 2, sampler=[(0, i) for i in range(5)], num_workers=2)
    found = [image for batch in loader for image in batch.images]
    assert all(image.equal(training[0, i].images) for i, image in enumerate(found))


def test_without_pyarrow_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingData, match=r"needs pyarrow: pip install 'effcc\[huggingface\]'"):
        source("huggingface", GOLDEN / "saved")


def test_a_moved_data_set_is_the_same_images(tmp_path):
    shutil.copytree(GOLDEN / "saved", tmp_path / "moved")
    places = (GOLDEN / "saved", tmp_path / "moved")
    prints = {source("huggingface", place).split("train").fingerprint for place in places}
    assert len(prints) == 1


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.png"])
def test_a_table_leads_nowhere_else(tmp_path, path):
    (tmp_path / "d").mkdir()
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.table({"image": pa.array([{"bytes": None, "path": path}], kind), "label": [0]})
    parquet.write_table(rows, tmp_path / "d/train.parquet")
    with pytest.raises(BadImage, match=f"names {path}, outside of this folder"):
        source("huggingface", tmp_path / "d").split("train").pixels(0)
    shutil.copytree(GOLDEN / "saved", tmp_path / "s")
    state = f'{{"_data_files": [{{"filename": "{path}"}}]}}'
    (tmp_path / "s/train/state.json").write_text(state)
    said = f"names {path}, outside of this folder; save the data set again"
    with pytest.raises(MissingData, match=said) as caught:
        source("huggingface", tmp_path / "s")
    assert not isinstance(caught.value, BadImage)  # which a run may be told to leave out


def test_a_label_is_no_number_of_a_million_classes(tmp_path):
    rows = pa.table({"image": [b""], "label": [10**12]})
    parquet.write_table(rows, tmp_path / "train.parquet")
    with pytest.raises(MissingData, match="a class 1000000000000 is no number of a class"):
        source("huggingface", tmp_path)
