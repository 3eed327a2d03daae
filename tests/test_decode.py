"""Every kind of image file becomes RGB, or is refused with its name."""

import io
import sys
import time
import warnings

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from effcc.ground.errors import UserError
from effcc.sources import decode as room
from effcc.sources.decode import BadImage, MissingData

DECODERS = ("pillow", "simplejpeg")


def decode(path, decoder="auto"):
    return Image.fromarray(room.decode(room.read(path), str(path), decoder))


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


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "webp", "ppm"])
def test_an_image_cut_short_is_refused_at_any_length(tmp_path, suffix, decoder):
    noise = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    Image.fromarray(noise).save(whole)
    content = whole.read_bytes()
    for length in np.linspace(0, 0.9 * len(content), 25).astype(int):
        cut.write_bytes(content[:length])
        with pytest.raises(BadImage, match=rf"cut\.{suffix}: cannot be decoded"):
            decode(cut, decoder)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", ["bomb.png", "bomb.jpg"])
def test_a_bomb_is_refused(tmp_path, monkeypatch, name, decoder):
    picture().save(tmp_path / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12)
    assert decode(tmp_path / name, decoder).size == (6, 4)  # twice as many, without a word
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(BadImage, match=name):
        decode(tmp_path / name, decoder)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_too_large_for_memory_is_refused_before_it_is_decoded(kind, decoder, monkeypatch):
    content = encoded(picture(size=(60, 40)), kind)
    monkeypatch.setattr(room, "_MOST_BYTES", 10_000)
    monkeypatch.setattr(room, "_by_pillow", None)
    monkeypatch.setattr(room, "_by_simplejpeg", None)
    with pytest.raises(
        BadImage, match=r"a: cannot be decoded: 60 x 40 pixels are more than .*; shr"
    ):
        room.decode(content, "a", decoder)


def test_strips_of_a_large_picture_are_the_whole(monkeypatch):
    for mode in ("RGB", "P", "LA", "CMYK", "I;16"):
        image = photo(40, 30).convert("L" if mode == "I;16" else mode)
        content = encoded(image.convert(mode), "TIFF")
        whole = room.decode(content, "a")
        with monkeypatch.context() as small:
            small.setattr(room, "_AT_A_TIME", 40 * 7)
            assert np.array_equal(room.decode(content, "a"), whole)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_picture_that_is_gone_over_again_and_again_is_refused(decoder):
    content = encoded(picture(size=(1500, 1000)), progressive=True)
    with pytest.raises(BadImage, match=r"1,500 x 1,000 pixels are gone over 2,\d+ times"):
        room.decode(again_and_again(), "a", decoder)
    assert room.decode(content, "a", decoder).shape == (1000, 1500, 3)


def test_a_small_picture_in_a_photo_is_no_second_scan_of_it():
    photograph, small = encoded(picture(size=(60, 40)), "JPEG"), encoded(picture(), "JPEG")
    inside = b"\xff\xe1" + (2 + 6 + len(small)).to_bytes(2) + b"Exif\0\0" + small
    assert room._scans(photograph) == 1
    assert room._scans(photograph[:2] + inside + photograph[2:]) == 1
    assert room._scans(encoded(picture(size=(60, 40)), "JPEG", progressive=True)) > 2
    assert room._scans(b"\xff\xd8 no segment \xff\xda") == 1


def again_and_again(before=b""):
    """A JPEG file of a few bytes that has its pixels gone over 2,000 times."""
    content = encoded(picture(size=(1500, 1000)), progressive=True)
    last = content.rfind(b"\xff\xda")
    return content[:2] + before + content[2:last] + content[last:-2] * 2000 + content[-2:]


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_byte_that_fills_a_place_hides_no_scan(decoder):
    # Taken for a part's length, two bytes of this lead to a scan behind all the others.
    content = again_and_again(b"\xff\xff\xe0\0\x10" + bytes(14))
    content += bytes(2 + 2 + 0xE000 - len(content)) + b"\xff\xda"
    with pytest.raises(BadImage, match=r"gone over 2,\d+ times"):
        room.decode(content, "a", decoder)


def test_what_stands_behind_the_end_of_a_jpeg_is_no_scan_of_it():
    photograph = encoded(picture(size=(60, 40)))
    film = np.random.default_rng(0).bytes(2**20) + b"\xff\xda\0\2" * 300
    assert room._scans(photograph + film) == 1
    second = encoded(photo(60, 40), "MPO", save_all=True, append_images=[photo(60, 40)])
    assert second.count(b"\xff\xda") == 2
    assert room._scans(second) == 1


def test_parts_of_a_jpeg_shorter_than_their_length_or_without_end_are_refused():
    content = encoded(picture())
    short, endless = b"\xff\xe0\0\1", b"\xff\xe0\0\2" * 200_000
    with pytest.raises(ValueError, match="less than its own two"):
        room._scans(content[:2] + short + content[2:])
    with pytest.raises(ValueError, match="more than 100,000 parts"):
        room._scans(content[:2] + endless + content[2:])


@pytest.mark.parametrize("filled", [b"\xff\0", b"\xff\xff", b"\xff\xd0", b"\xff\2", b"ab"])
def test_a_long_scan_is_gone_through_in_no_time(filled, unburdened):
    content, before = encoded(picture())[:-2] + filled * 10**7, time.process_time()
    assert room._scans(content) == 1
    assert time.process_time() - before < 1


def test_postscript_is_no_image():
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n9 9 moveto\n"
    with pytest.raises(BadImage, match="no image format that is read"):
        room.decode(postscript, "a")


def test_no_image_is_said(tmp_path):
    with pytest.raises(BadImage, match=r"gone\.png: no such image"):
        decode(tmp_path / "gone.png")


def photo(width, height, seed=0):
    """Smooth colour with some noise on it: what JPEG is made for, and not."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    levels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    noisy = levels + random.integers(-20, 21, levels.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def encoded(image, kind="JPEG", **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


JPEGS = {
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "4:2:0": {"subsampling": 2},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 2},
    "coarse": {"quality": 10},
    "not converted": {"keep_rgb": True},
}


@pytest.mark.parametrize("size", [(1, 1), (3, 17), (127, 61), (320, 240)], ids=str)
@pytest.mark.parametrize("kind", [*JPEGS, "grey", "4:1:1", "4:4:0"])
def test_both_decoders_give_the_same_bits(size, kind, monkeypatch):
    image = photo(*size)
    if kind in ("4:1:1", "4:4:0"):  # which Pillow reads and does not write
        simplejpeg = pytest.importorskip("simplejpeg")
        pixels = np.array(image)
        content = simplejpeg.encode_jpeg(pixels, 85, "RGB", kind.replace(":", ""))
    else:
        content = encoded(image.convert("L") if kind == "grey" else image, **JPEGS.get(kind, {}))
    expected = room.decode(content, "a", "pillow")
    monkeypatch.setattr(room, "_by_pillow", None)  # so that it is the other one indeed
    assert np.array_equal(room.decode(content, "a", "simplejpeg"), expected)


def test_both_decoders_judge_damaged_files_alike():
    random, refused = np.random.default_rng(0), 0
    content = encoded(photo(40, 30), exif=rotated(6))
    for _ in range(400):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), random.integers(1, 4)):
            damaged[place] = random.integers(256)
        found = []
        for decoder in DECODERS:
            try:
                found.append(room.decode(bytes(damaged), "a", decoder).tolist())
            except BadImage as error:
                found.append(str(error))
        assert found[0] == found[1]
        refused += isinstance(found[0], str)
    assert 20 < refused < 380  # of both kinds


def rotated(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_pictures_stand_upright(kind, orientation, decoder):
    image = photo(24, 16)
    content = encoded(image, kind, exif=rotated(orientation))
    with Image.open(io.BytesIO(content)) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
    found = room.decode(content, "a", decoder)
    assert np.array_equal(found, expected)
    assert found.shape == ((24, 16, 3) if orientation > 4 else (16, 24, 3))
    assert found.flags.c_contiguous


def test_a_phone_held_upright_gives_an_upright_picture():
    # EXIF of orientation 6: the first column stored is the top of the scene.
    seen = np.zeros((16, 32, 3), np.uint8)
    seen[:, :16] = 255
    found = room.decode(encoded(Image.fromarray(seen), "PNG", exif=rotated(6)), "a")
    assert found[:16].min() == 255
    assert found[16:].max() == 0


@pytest.mark.parametrize("decoder", DECODERS)
def test_pixels_outlive_broken_metadata(decoder):
    image = photo(24, 16)
    whole = encoded(image)
    broken = encoded(image, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + 9 * b"\xff")
    assert len(broken) > len(whole)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = room.decode(broken, "a", decoder)
    assert np.array_equal(found, room.decode(whole, "a", decoder))
    assert not said


@pytest.mark.parametrize("decoder", DECODERS)
def test_what_a_name_says_does_not_matter(tmp_path, decoder):
    picture(40).save(tmp_path / "picture.png")  # as one of ImageNet's .JPEG files is
    (tmp_path / "picture.png").rename(tmp_path / "picture.jpeg")
    assert decode(tmp_path / "picture.jpeg", decoder).getpixel((2, 2)) == (40, 80, 215)


@pytest.mark.parametrize("decoder", DECODERS)
def test_of_several_pictures_in_a_file_the_first_counts(decoder):
    first, second = photo(24, 16, seed=1), photo(24, 16, seed=2)
    content = encoded(first, "MPO", save_all=True, append_images=[second])
    assert np.array_equal(room.decode(content, "a", decoder), room.decode(encoded(first), "a"))


def test_transparency_is_dropped_and_the_colour_beneath_it_stays():
    clear = Image.new("RGBA", (6, 4), (10, 20, 30, 0))
    assert room.decode(encoded(clear, "PNG"), "a")[0, 0].tolist() == [10, 20, 30]


def test_sixteen_bits_of_a_grey_map_keep_their_levels():
    levels = np.array([0, 16384, 32768, 65535], ">u2")
    found = room.decode(b"P5 4 1 65535\n" + levels.tobytes(), "a")
    assert found[0, :, 0].tolist() == pytest.approx([0, 64, 128, 255], abs=1)


def test_a_decoder_that_is_not_installed_is_asked_for_in_vain(monkeypatch):
    monkeypatch.setitem(sys.modules, "simplejpeg", None)  # as if it could not be imported
    room._simplejpeg.cache_clear()
    try:
        assert (room.fast("auto"), room.fast("pillow")) == (False, False)
        with pytest.raises(UserError, match=r"not installed: pip install 'effcc\[fast\]'"):
            room.fast("simplejpeg")
        assert room.decode(encoded(picture()), "a").shape == (4, 6, 3)
    finally:
        room._simplejpeg.cache_clear()


def test_the_fast_decoder_is_taken_where_it_is_installed():
    pytest.importorskip("simplejpeg")
    assert [room.fast(name) for name in ("auto", "simplejpeg", "pillow")] == [True, True, False]


@pytest.mark.parametrize("kind", [BadImage, MissingData])
def test_an_error_out_of_another_process_says_no_more_than_before(kind):
    error = kind("a.png: cannot be decoded")
    travelled = (
        f"Caught {kind.__name__} in DataLoader worker process 0.\nOriginal Traceback (most recent "
        f'call last):\n  File "x.py", line 1\n{kind.__module__}.{kind.__name__}: {error}\n'
    )
    assert str(kind(travelled)) == str(error)
    assert str(kind("Caught on tape.png: no such image")) == "Caught on tape.png: no such image"
