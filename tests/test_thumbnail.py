"""Small images go into a record pixel for pixel, larger ones as stamps."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from effcc.data.thumbnail import SIDE, data_uri


def opened(uri):
    """(kind, the image) of a data URI."""
    head, _, text = uri.partition(",")
    return head, Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (SIDE, 3), (5, SIDE)])
@pytest.mark.parametrize("grey", [True, False])
def test_a_small_image_keeps_every_pixel(shape, grey):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    if grey:
        pixels[:] = pixels[:, :, :1]
    head, image = opened(data_uri(pixels))
    assert head == "data:image/png;base64"
    assert image.mode == ("L" if grey else "RGB")
    assert np.array_equal(np.asarray(image.convert("RGB")), pixels)


@pytest.mark.parametrize("shape", [(SIDE + 1, 10), (480, 640)])
def test_a_large_image_becomes_a_stamp_that_fits_into_a_record(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    uri = data_uri(pixels)
    head, image = opened(uri)
    assert head == "data:image/jpeg;base64"
    assert max(image.size) == SIDE
    assert len(uri) < 20_000  # what the schema allows, and noise is the worst there is
