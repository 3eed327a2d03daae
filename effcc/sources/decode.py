"""Encoded images to RGB pixels, as a practitioner expects of every kind of file.

Pillow opens every file and has the last word on it. simplejpeg, where it is installed, decodes the
pixels of JPEG files: the same library underneath, so the same bits, with less around it.
"""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from effcc.ground.errors import UserError

Pixels = NDArray[np.uint8]  # (height, width, 3), RGB


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
        BadImage: it is cut short, no image, or has more than twice `PIL.Image.MAX_IMAGE_PIXELS`
            (358 million by default).
        UserError: `simplejpeg` was asked for and is not installed.
    """
    quick = fast(decoder)
    try:
        with warnings.catch_warnings():
            # Of odd metadata, and of sizes that are allowed.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(encoded)) as image:
                pixels = _by_simplejpeg(encoded, image) if quick else None
                # Of a TIFF, Pillow turns the pixels itself and forgets the orientation.
                return _upright(_by_pillow(image) if pixels is None else pixels, image)
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
        return path.read_bytes()
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
    if deep:  # convert() would clip all but the darkest to white
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def _upright(pixels: Pixels, image: Image.Image) -> Pixels:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # the pixels are whole; which way is up cannot be read
        orientation = None
    turn = _UPRIGHT.get(orientation)
    return np.ascontiguousarray(turn(pixels)) if turn else pixels


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no image format that Pillow knows"
    return " ".join(str(error).split()) or type(error).__name__
