"""Folders of images, as people have them."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import effcc
from effcc.sources import listing
from effcc.sources.decode import MissingData
from effcc.sources.folder import Folder, find_images


def folder(root, **named):
    data = effcc.load("cc_pico_4e", source="digits").data
    return Folder(replace(data, source="folder", root=root and str(root), **named))


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
    fill(photos, "train/cat/deeper/still/9.JPG", "train/.hidden/1.png", "train/cat/._1.png")
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


def test_a_named_validation_split_is_tested_on_too(photos):
    (photos / "val").rename(photos / "held-out")
    source = folder(photos, val="held-out")
    assert source.split("test").name == source.split("val").name == "held-out"


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


def test_images_are_in_order_of_their_names_at_every_level(photos):
    fill(photos, "train/cat/1-a.png", "train/cat/1/z.png")
    split = folder(photos).split("train")
    names = [split.path(i).relative_to(photos / "train/cat").as_posix() for i in range(5)]
    assert names == ["0.png", "1/z.png", "1-a.png", "1.png", "2.png"]
    assert names == sorted(names, key=lambda name: name.split("/"))


def test_a_linked_folder_is_walked_and_a_link_upwards_is_not(photos):
    (photos / "more").mkdir()
    fill(photos, "more/7.png")
    (photos / "train/cat/more").symlink_to(photos / "more")
    (photos / "train/cat/loop").symlink_to(photos)
    assert len(folder(photos).split("train")) == 10


def test_a_name_that_is_no_utf_8_is_read(photos):
    (photos / "train/cat/0.png").rename(photos / "train/cat" / os.fsdecode(b"caf\xe9.png"))
    split = folder(photos).split("train")
    (found,) = [i for i in range(9) if b"\xe9" in os.fsencode(split.path(i))]
    assert split.pixels(found).shape == (4, 6, 3)


FORMS = {
    "train.csv": "label,path\n{0},train/cat/0.png\n{1},train/dog/0.png\n{1},train/eel/1.png\n",
    "train.tsv": "File Name\tid\tClass\ntrain/cat/0.png\t7\t{0}\ntrain/dog/0.png\t8\t{1}\n"
    "train/eel/1.png\t9\t{1}\n",
    "semicolons.csv": "\ufeffimage_path;target\r\ntrain/cat/0.png;{0}\r\n"
    '"train/dog/0.png";{1}\r\n\r\ntrain/eel/1.png;{1}\r\n',
    "train.txt": "train/cat/0.png {0}\n\n  train/dog/0.png\t {1}  \ntrain/eel/1.png {1}",
}


@pytest.mark.parametrize(("form", "text"), FORMS.items())
@pytest.mark.parametrize("labels", [("cat", "other"), ("9", "10")])
def test_a_list_names_images_and_their_classes(photos, form, text, labels):
    (photos / form).write_text(text.format(*labels), newline="")
    source = folder(photos, train=form)
    assert source.classes == labels  # 9 before 10: numbers are in the order of numbers
    split = source.split("train")
    assert split.labels.tolist() == [0, 1, 1]
    assert [split.path(i).parent.name for i in range(3)] == ["cat", "dog", "eel"]
    assert split.name == form.partition(".")[0]
    assert split.pixels(0).shape == (4, 6, 3)


def test_a_list_in_the_place_of_a_folder_needs_no_setting(photos):
    (photos / "train").rename(photos / "pictures")
    (photos / "train.txt").write_text("pictures/cat/0.png cat\npictures/dog/0.png dog\n")
    source = folder(photos)
    assert source.classes == ("cat", "dog")
    assert len(source.split("train")) == 2


def test_paths_may_be_relative_to_the_list_and_the_root_may_be_left_out(photos, tmp_path):
    (photos / "lists").mkdir()
    (photos / "lists/a.csv").write_text("file,class\n../val/cat/0.png,x\n../val/dog/0.png,y\n")
    (photos / "lists/b.csv").write_text(f"file,class\n{photos}/val/dog/1.png,y\n")
    named = {"train": str(photos / "lists/a.csv"), "val": str(photos / "lists/b.csv")}
    source = folder(None, **named)
    assert source.split("train").pixels(1).shape == (4, 6, 3)
    assert source.split("val").labels.tolist() == [1]
    assert source.title == "images of lists"


def test_a_split_may_be_another_folder(photos):
    (photos / "val").rename(photos / "held-out")
    source = folder(photos, val="held-out")
    assert (len(source.split("val")), source.split("val").name) == (6, "held-out")


BAD_LISTS = [
    ("a.csv", "picture,kind\n1.png,cat\n", r"a\.csv:1: no column of paths; .*`path,label`"),
    ("a.csv", "", r"a\.csv:1: no column of paths"),
    ("a.csv", "path,kind\n1.png,cat\n", r"a\.csv:1: no column of labels"),
    ("a.csv", "path,label\n", r"a\.csv:1: names no image; write a path and a label"),
    ("a.csv", "path,label\n{0},cat\n{0}\n", r"a\.csv:3: write 2 values, .*found '.*png'"),
    ("a.csv", "path,label\n{0},cat\n{0},\n", r"a\.csv:3: write 2 values, .* path and a label"),
    ("a.csv", "path,label\n{0},cat\nno.png,cat\n", r"a\.csv:3: no image no\.png in .*photos"),
    ("a.txt", "{0} cat\n\n{0}\n", r"a\.txt:3: write `PATH LABEL`; found '.*png'"),
    ("a.txt", "\n", r"a\.txt:1: names no image"),
    ("a.txt", "{0} cat\n{0} cat\n", r"a\.txt needs labels of several classes, .* it has 1"),
    ("a.txt", b"caf\xe9.png cat\n", r"a\.txt: is no UTF-8 text"),
]


@pytest.mark.parametrize(("name", "text", "message"), BAD_LISTS)
def test_a_wrong_line_of_a_list_is_named(photos, name, text, message):
    encoded = text if isinstance(text, bytes) else text.format("train/cat/0.png").encode()
    (photos / name).write_bytes(encoded)
    with pytest.raises(MissingData, match=message):
        folder(photos, train=name).split("train")


def test_a_class_of_a_list_that_training_does_not_have_is_named_with_its_line(photos):
    (photos / "val.csv").write_text("path,label\nval/cat/0.png,cat\nval/dog/0.png,fox\n")
    with pytest.raises(MissingData, match=r"val\.csv:3: 'fox' is a class that the training"):
        folder(photos, val="val.csv").split("val")


def test_a_list_that_is_not_there_is_said(photos):
    with pytest.raises(MissingData, match=r"data\.val: no file or folder nope\.csv, .*photos"):
        folder(photos, val="nope.csv").split("val")
    with pytest.raises(MissingData, match=r"data\.train: name one list or folder, not 2"):
        folder(photos, train=("a.csv", "b.csv"))


def test_the_fingerprint_of_a_list_follows_what_it_says_and_the_files(photos):
    def fingerprint(text):
        (photos / "a.txt").write_text(text)
        return folder(photos, train="a.txt").split("train").fingerprint

    first = fingerprint("val/cat/0.png a\nval/dog/0.png b\n")
    assert fingerprint("val/cat/0.png a\n\nval/dog/0.png  b\n") == first
    assert fingerprint("val/cat/0.png a\nval/dog/0.png c\n") != first
    (photos / "val/dog/0.png").write_bytes(b"longer")
    assert fingerprint("val/cat/0.png a\nval/dog/0.png b\n") != first


@pytest.mark.parametrize("path", ["/dev/zero", "a\0.png", "no.png", ".", "pipe:ls"])
def test_a_list_that_names_no_file_says_so_with_its_line(tmp_path, path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "list.csv").write_text(f"path,label\na.png,x\n{path},y\n")
    with pytest.raises(MissingData, match=r"list\.csv:3: no image "):
        listing.in_file(tmp_path / "list.csv")
