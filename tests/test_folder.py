"""Folders of images, as people have them."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import effcc
from effcc.data.decode import MissingData
from effcc.data.folder import Folder, find_images


def folder(root):
    data = effcc.load("cc_pico_4e", source="digits").data
    return Folder(replace(data, source="folder", root=str(root)))


def picture(level=0, size=(6, 4)):
    return Image.new("RGB", size, (level, 2 * level % 256, 255 - level))


def fill(root, *names):
    """Image files under a folder, each another picture."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(10 * number).save(path)
    return root


@pytest.fixture
def photos(tmp_path):
    return fill(
        tmp_path / "photos",
        *(f"train/{kind}/{n}.png" for kind in ("cat", "dog", "eel") for n in range(3)),
        *(f"val/{kind}/{n}.png" for kind in ("cat", "dog", "eel") for n in range(2)),
    )


def test_a_folder_is_a_class_per_folder(photos):
    source = folder(photos)
    assert source.classes == ("cat", "dog", "eel")
    split = source.split("train")
    found = [(split.path(i).parent.name, split.labels[i]) for i in (0, 3, 6)]
    assert found == [("cat", 0), ("dog", 1), ("eel", 2)]
    assert (len(split), split.name) == (9, "train")
    assert split.pixels(0).shape == (4, 6, 3)
    assert photos.name in source.title


def test_images_lie_deep_and_other_files_are_passed_over(photos):
    fill(photos, "train/cat/deeper/still/9.JPG", "train/.hidden/1.png")
    (photos / "train/cat/readme.txt").write_text("a cat")
    (photos / "train/README.md").write_text("cats")
    source = folder(photos)
    assert source.classes == ("cat", "dog", "eel")
    assert len(source.split("train")) == 10


def test_validation_images_that_are_tested_on_are_called_so(photos):
    assert folder(photos).split("test").name == "val"
    fill(photos, "test/cat/1.png", "test/dog/1.png")
    assert folder(photos).split("test").name == "test"
    assert len(folder(photos).split("test")) == 2


def test_validation_may_have_its_long_name(photos):
    (photos / "val").rename(photos / "validation")
    source = folder(photos)
    assert source.split("val").name == source.split("test").name == "validation"


def test_evaluation_needs_no_training_images(photos):
    (photos / "train").rename(photos / "elsewhere")
    source = folder(photos)
    assert source.classes == ("cat", "dog", "eel")
    assert len(source.split("val")) == 6
    with pytest.raises(MissingData, match=r"has no train/ folder"):
        source.split("train")


def test_no_validation_images_is_said(photos):
    (photos / "val").rename(photos / "elsewhere")
    with pytest.raises(MissingData, match=r"has no val/ or valid/ or validation/ folder"):
        folder(photos).split("val")


def test_a_class_may_be_missing_from_validation(photos):
    for path in (photos / "val/dog").iterdir():
        path.unlink()
    (photos / "val/dog").rmdir()
    assert folder(photos).split("val").labels.tolist() == [0, 0, 2, 2]


def test_a_class_that_training_does_not_have_is_named(photos):
    fill(photos, "val/fox/1.png")
    with pytest.raises(MissingData, match=r"val/fox is a class that the training images do not"):
        folder(photos).split("val")


def test_no_folder_is_said(tmp_path):
    with pytest.raises(MissingData, match=r"no folder .*nowhere; .*--data\.root"):
        folder(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingData, match=r"no folder .*file"):
        folder(tmp_path / "file")


def test_a_folder_without_splits_is_described(tmp_path):
    fill(tmp_path / "flat", "cat/1.png", "dog/1.png")
    with pytest.raises(MissingData, match=r"no train/ or val/ folder; it holds cat, dog"):
        folder(tmp_path / "flat")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingData, match="it holds nothing"):
        folder(tmp_path / "empty")


def test_one_class_is_too_few(tmp_path):
    fill(tmp_path, "train/cat/1.png")
    with pytest.raises(MissingData, match="at least two; it has 1"):
        folder(tmp_path)


def test_folders_without_images_are_said_to_be_empty(tmp_path):
    for kind in ("cat", "dog"):
        (tmp_path / "train" / kind).mkdir(parents=True)
    with pytest.raises(MissingData, match=r"train holds no image \(\.jpg, "):
        folder(tmp_path).split("train")


def test_fingerprint_follows_names_and_sizes_wherever_the_folder_lies(photos, tmp_path):
    before = folder(photos).split("train").fingerprint
    moved = photos.rename(tmp_path / "moved")
    assert folder(moved).split("train").fingerprint == before
    fill(moved, "train/cat/new.png")
    assert folder(moved).split("train").fingerprint != before


def test_predicted_are_the_named_image_or_all_of_a_folder(photos):
    assert find_images(photos / "val/cat/1.png") == [photos / "val/cat/1.png"]
    assert len(find_images(photos / "val")) == 6
    assert find_images(photos) == sorted(find_images(photos))
    with pytest.raises(MissingData, match="no such image"):
        find_images(photos / "val/cat/7.png")
    (photos / "none").mkdir()
    with pytest.raises(MissingData, match="no image in this folder"):
        find_images(photos / "none")


def test_a_home_folder_may_be_abbreviated(photos, monkeypatch):
    monkeypatch.setenv("HOME", str(photos.parent))
    assert folder(Path("~") / photos.name).classes == ("cat", "dog", "eel")
