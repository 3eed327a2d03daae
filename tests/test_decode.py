"""Every kind of image file becomes RGB, or is refused with its name."""

import warnings

import numpy as np
import pytest
from PIL import Image

from effcc.data import decode as room
from effcc.data.decode import BadImage


def decode(path):
    return Image.fromarray(room.decode(room.read(path), str(path)))


def picture(level=0, size=(6, 4)):
    return Image.new("RGB", size, (level, 2 * level % 256, 255 - level))


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
