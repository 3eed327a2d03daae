"""Encoded images to RGB pixels, as a practitioner expects of every kind of file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from effcc.catalog.errors import UserError

Pixels = NDArray[np.uint8]  # (height, width, 3), RGB


class MissingData(UserError):
    """The named images are not there, or cannot be used; the message says where was looked."""


class BadImage(MissingData):
    """A file that should be an image and cannot be decoded."""


def decode(encoded: bytes, where: str, decoder: str = "auto") -> Pixels:
    """Decode an image file's bytes.

    Args:
        encoded: the whole file.
        where: what a message calls it.
        decoder: `pillow`, `simplejpeg`, or `auto` for the second where it is installed and fits.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        BadImage: it is cut short, too large, or no image.
    """
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return np.asarray(_rgb(image))
    except (
        UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
    ) as error:
        reason = (
            "no image format that Pillow knows"
            if isinstance(error, UnidentifiedImageError)
            else error
        )
        raise BadImage(f"{where}: cannot be decoded: {reason}") from None


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


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # convert() would clip all but the darkest to white
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")
