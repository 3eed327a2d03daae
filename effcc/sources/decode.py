"""Encoded images to RGB pixels, as a practitioner expects of every kind of file.

Pillow opens every file and has the last word on it. simplejpeg, where it is installed, decodes the
pixels of JPEG files: the same library underneath, so the same bits, with less around it.
"""

from __future__ import annotations

import functools
import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from effcc.ground import files
from effcc.ground.errors import UserError

Pixels = NDArray[np.uint8]  # (height, width, 3), RGB

# What is looked for in a file. Pillow knows dozens more, one of which starts a program (EPS).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM")
# Half a gigabyte is enough for a picture: that many pixels are decoded, by what a decoder needs at
# most for each, its own copies included, and this. A JPEG file in several scans has its
# coefficients kept until the last.
_MOST_BYTES = 450 * 10**6
_BYTES_A_PIXEL = {"WEBP": 22, "JPEG": 7, "MPO": 7}
_OTHERS_BYTES_A_PIXEL = 8
_KEPT_BYTES_A_PIXEL = 4
# No longer side: a decoder may be asked to pass over a few hundred lines at once.
_LONGEST = 2**16
# A JPEG file may have its pixels gone over again and again, by a few bytes each time.
_MOST_PASSED = 1000 * 10**6  # pixels
# What begins a part of a JPEG file: neither a byte of a scan nor where one starts anew, and of the
# bytes that may fill the place before it the last.
_PART = re.compile(rb"\xff([\xc0-\xcf\xd8-\xfe])")
_START, _END, _SCAN = b"\xd8", b"\xd9", b"\xda"
_MOST_PARTS = 100_000
# Pixels that are turned into colours at a time.
_AT_A_TIME = 2**22


class MissingData(UserError):
    """The named images are not there, or cannot be used; the message says where was looked."""

    def __init__(self, message: str) -> None:
        # A loader process hands an error on as the text of its traceback, which ends with ours.
        if message.startswith("Caught "):
            message = message.rpartition(f".{type(self).__name__}: ")[2].strip()
        super().__init__(message)


class BadImage(MissingData):
    """A file that should be an image and cannot be decoded."""


def decode(encoded: bytes, where: str, decoder: str = "auto") -> Pixels:
    """Decode an image file's bytes.

    The picture stands upright, as its EXIF orientation says. Of an animation it is the first frame.
    Transparency is dropped, not laid over a colour, so that the network sees the pixels that
    timm and torchvision would show it. 16-bit levels keep their upper 8 bits; integers of 32 bits
    and floats, which have no agreed white, are clipped to 0..255.

    Args:
        encoded: the whole file.
        where: what a message calls it.
        decoder: `pillow`, `simplejpeg`, or `auto` for the second where it is installed and fits.

    Returns:
        uint8 (height, width, 3), RGB. Which decoder made them does not change them.

    Raises:
        BadImage: it is cut short, no image, or so large that decoding it takes over half a
            gigabyte: 64 million pixels of a JPEG (40 of a progressive one), 20 of a WebP, 56 of any
            other, or twice `PIL.Image.MAX_IMAGE_PIXELS` if that is less.
        UserError: `simplejpeg` was asked for and is not installed.
    """
    quick = fast(decoder)
    try:
        with warnings.catch_warnings():
            # Of odd metadata, and of sizes that are allowed.
            warnings.simplefilter("ignore")
            pixels, turn = _opened(encoded, quick)
            return np.ascontiguousarray(turn(pixels)) if turn else pixels
    except Exception as error:  # decoders of dozens of formats meet broken bytes with any of them
        raise BadImage(f"{where}: cannot be decoded: {_reason(error)}") from None


def fast(decoder: str) -> bool:
    """Whether a setting of `decoder` means simplejpeg, and torch's resize for training, here.

    Raises:
        UserError: `simplejpeg` was asked for and is not installed.
    """
    installed = _simplejpeg() is not None
    if decoder == "simplejpeg" and not installed:
        raise UserError(
            "data.decoder is simplejpeg, which is not installed: "
            "pip install 'effcc[fast]', or --data.decoder pillow"
        )
    return installed and decoder != "pillow"


def read(path: Path) -> bytes:
    """An image file's bytes.

    Raises:
        BadImage: it is missing.
    """
    try:
        with open(path, "rb", opener=files.plain) as file:
            return file.read()
    except FileNotFoundError:
        raise BadImage(f"{path}: no such image") from None
    except OSError as error:
        raise BadImage(f"{path}: cannot be read: {error.strerror}") from None


@functools.cache
def _simplejpeg() -> Any:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


# How to set a picture upright, by its EXIF orientation (EXIF 2.32, tag 274); others stand already.
_UPRIGHT: dict[Any, Callable[[Pixels], Pixels]] = {
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p),
}


def _opened(encoded: bytes, quick: bool) -> tuple[Pixels, Callable[[Pixels], Pixels] | None]:
    """The pixels as they are stored, and how to set them upright."""
    with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
        _refuse_bomb(encoded, image)
        pixels = _by_simplejpeg(encoded, image) if quick else None
        # Of a TIFF, Pillow turns the pixels itself and forgets the orientation.
        pixels = _by_pillow(image) if pixels is None else pixels
        return pixels, _turn(image)


def _refuse_bomb(encoded: bytes, image: Image.Image) -> None:
    """Keep to a size whose pixels fit into memory.

    Raises:
        ValueError: it is larger.
    """
    (width, height), kind = image.size, image.format or ""
    passes = _scans(encoded) if kind in ("JPEG", "MPO") else 1
    each = _BYTES_A_PIXEL.get(kind, _OTHERS_BYTES_A_PIXEL) + _KEPT_BYTES_A_PIXEL * (passes > 1)
    most = _MOST_BYTES // each
    said = f"{width:,} x {height:,} pixels"
    if width * height > most:
        raise ValueError(f"{said} are more than {most:,}, the most of a {kind}; shrink it")
    if max(width, height) >= _LONGEST:
        raise ValueError(f"{said} have a side of {_LONGEST:,} or more; shrink it")
    if width * height * passes > _MOST_PASSED:
        raise ValueError(f"{said} are gone over {passes:,} times; save it again")


def _scans(encoded: bytes) -> int:
    """How often a JPEG file has its pixels gone over, walked through as its decoder does.

    A small picture within a part of it is passed over, and so is all that stands behind its end: a
    second picture, or a film.

    Raises:
        ValueError: a part is shorter than its own length, or there is no end of them.
    """
    scans, at = 0, 2
    for _ in range(_MOST_PARTS):
        part = _PART.search(encoded, at)
        if part is None or part[1] == _END:
            return scans
        at = part.end()
        if part[1] == _START or at + 2 > len(encoded):  # of which there is no length
            scans += part[1] == _SCAN
            continue
        length = int.from_bytes(encoded[at : at + 2])
        if length < 2:
            raise ValueError(f"a part of it says that it has {length} bytes, less than its own two")
        scans += part[1] == _SCAN
        at += length
    raise ValueError(f"it has more than {_MOST_PARTS:,} parts; save it again")


def _by_simplejpeg(encoded: bytes, image: Image.Image) -> Pixels | None:
    """The pixels of a JPEG in colour or grey, in perfect order; None leaves it to Pillow."""
    if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return None
    try:
        return _simplejpeg().decode_jpeg(encoded, "RGB", strict=True)
    except ValueError:
        return None


def _by_pillow(image: Image.Image) -> Pixels:
    deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")
    image.load()
    width, height = image.size  # a TIFF may stand upright only now
    rows = max(1, _AT_A_TIME // width)
    if rows >= height:
        return _rgb(image, deep)
    pixels = np.empty((height, width, 3), np.uint8)  # not all of them twice
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = _rgb(strip, deep)
    return pixels


def _rgb(image: Image.Image, deep: bool) -> Pixels:
    if deep:  # convert() would clip all but the darkest to white
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _turn(image: Image.Image) -> Callable[[Pixels], Pixels] | None:
    try:
        return _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # the pixels are whole; which way is up cannot be read
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return (
            "no image format that is read here (JPEG, PNG, WebP, GIF, BMP, TIFF, PPM); convert it"
        )
    return " ".join(str(error).split()) or type(error).__name__
