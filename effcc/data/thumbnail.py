"""Images small enough to go into a record: as they are, or no larger than a stamp."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from effcc.sources.decode import Pixels

# The longer side of what is not shown as it is. In pixels, so that a record stays small.
SIDE = 64


def data_uri(pixels: Pixels) -> str:
    """An image (height, width, 3) as a data URI.

    One that fits into `SIDE` pixels is a PNG of the very pixels, in grey levels if it has no
    colour; a larger one is shrunk and becomes a JPEG of two or three kilobytes.
    """
    grey = bool((pixels == pixels[:, :, :1]).all())
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if grey else pixels))
    written = io.BytesIO()
    if max(image.size) <= SIDE:
        image.save(written, "PNG", optimize=True)
        kind = "png"
    else:
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        image.save(written, "JPEG", quality=80, optimize=True)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode()}"
