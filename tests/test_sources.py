"""Where images come from: the digits that are shipped, and folders as people have them."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from effcc.catalog.spec import Data
from effcc.train.sources import SOURCES, BadImage, MissingData, decode, find_images

DIGITS = {
    "train": (1257, "fe229b8157f099d9cdbee5117ec8738371f98b02e5e1d68cd7806aff5d45eba8"),
    "val": (180, "0970aa7381637e3ee5a72ed0adf12eb10a89259bbd8ebbce9705712caf8134ac"),
    "test": (360, "daf1c6ea6445d6cec8d61402468487bb927f086632c36c887341acefff6d8e53"),
}


def folder(root):
    return SOURCES["folder"](Data(source="folder", root=str(root), batch_size=None, workers=0))


@pytest.fixture(scope="module")
def digits():
    return SOURCES["digits"](Data(source="digits", root=None, batch_size=None, workers=0))


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


@pytest.mark.parametrize("name", DIGITS)
def test_digits_splits_never_change(digits, name):
    split = digits.split(name)
    assert (len(split), split.fingerprint) == (DIGITS[name][0], f"sha256:{DIGITS[name][1]}")
    assert split.name == name
    assert {label for _, label in split.items} == set(range(10))


def test_digits_splits_share_no_image(digits):
    images = [levels.tobytes() for name in DIGITS for levels, _ in digits.split(name).items]
    assert len(images) == len(set(images)) == 1797


def test_digits_are_rgb_images_of_all_levels(digits):
    image = digits.split("test").image(0)
    assert (image.mode, image.size) == ("RGB", (8, 8))
    levels = np.stack([levels for levels, _ in digits.split("train").items])
    assert (levels.min(), levels.max()) == (0, 255)
    assert digits.classes == tuple("0123456789")


def test_a_folder_is_a_class_per_folder(photos):
    source = folder(photos)
    assert source.classes == ("cat", "dog", "eel")
    split = source.split("train")
    assert [(path.parent.name, label) for path, label in split.items[::3]] == [
        ("cat", 0),
        ("dog", 1),
        ("eel", 2),
    ]
    assert (len(split), split.name) == (9, "train")
    assert split.image(0).size == (6, 4)
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
    assert [label for _, label in folder(photos).split("val").items] == [0, 0, 2, 2]


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


KINDS = {
    "black and white.png": lambda image: image.convert("1"),
    "grey.png": lambda image: image.convert("L"),
    "grey with alpha.png": lambda image: image.convert("LA"),
    "palette.png": lambda image: image.quantize(4),
    "palette.gif": lambda image: image.quantize(4),
    "colour.png": lambda image: image,
    "alpha.png": lambda image: image.convert("RGBA"),
    "print.jpg": lambda image: image.convert("CMYK"),
    "lab.tif": lambda image: Image.new("LAB", image.size, (128, 128, 128)),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_image_becomes_rgb(tmp_path, name):
    KINDS[name](picture(40)).save(tmp_path / name)
    found = decode(tmp_path / name)
    assert (found.mode, found.size) == ("RGB", (6, 4))
    if name.startswith(("palette", "colour", "alpha", "print")):
        assert found.getpixel((2, 2)) == pytest.approx((40, 80, 215), abs=3)


def test_grey_is_the_same_in_every_channel(tmp_path):
    Image.new("L", (3, 3), 77).save(tmp_path / "grey.png")
    assert decode(tmp_path / "grey.png").getpixel((1, 1)) == (77, 77, 77)


def test_sixteen_bits_of_grey_keep_their_levels(tmp_path):
    levels = np.array([[0, 16384, 32768, 65535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "scan.png")
    found = np.array(decode(tmp_path / "scan.png"))[0, :, 0].tolist()
    assert found == pytest.approx([0, 64, 128, 255], abs=1)


def test_a_transparent_palette_is_decoded_without_a_word(tmp_path):
    image = picture(40).quantize(4)
    image.save(tmp_path / "icon.png", transparency=bytes([128]))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert decode(tmp_path / "icon.png").mode == "RGB"
    assert not said


def test_text_in_an_images_clothes_is_refused(tmp_path):
    path = tmp_path / "letter.png"
    path.write_text("Dear image,")
    with pytest.raises(BadImage, match=r"letter\.png: cannot be decoded: no image format"):
        decode(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "webp", "ppm"])
def test_an_image_cut_short_is_refused_at_any_length(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    Image.fromarray(noise).save(whole)
    content = whole.read_bytes()
    for length in np.linspace(0, 0.9 * len(content), 25).astype(int):
        cut.write_bytes(content[:length])
        with pytest.raises(BadImage, match=rf"cut\.{suffix}: cannot be decoded"):
            decode(cut)


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    picture().save(tmp_path / "bomb.png")
    with pytest.raises(BadImage, match=r"bomb\.png"):
        decode(tmp_path / "bomb.png")


def test_no_image_is_said(tmp_path):
    with pytest.raises(BadImage, match=r"gone\.png: no such image"):
        decode(tmp_path / "gone.png")


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
