"""Image files: pixels, the same by every decoder, which fit through the resize; or a BadImage."""

import functools
import io
import struct
import zlib
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from PIL import ExifTags, Image, TiffImagePlugin

import effcc
from effcc.data import resize, thumbnail
from effcc.sources import decode
from effcc.sources.decode import BadImage

TOKENS = (
    b"\xff\xd8",
    b"\xff\xda",
    b"\xff\xc2",
    b"\xff\xe1",
    b"Exif\0\0",
    b"IHDR",
    b"IDAT",
    b"VP8X",
)
TOKENS += (
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"RIFF",
    b"WEBPVP8L",
    b"P6 9 9 255\n",
    b"%!PS-Adobe",
)
TOKENS += (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"acTL", b"ANMF", b"fcTL", b"MPF\0", b"iCCP")
LAZY = ("PIL",)  # which imports what some kinds of file need when it meets them
SPEC = effcc.load("cc_pico_4e", source="digits")
HOW = SPEC.preprocessing
SIZE = HOW.image_size
AS_PUBLISHED = replace(HOW, interpolation="tf_bicubic")
FORMATS = {
    "JPEG": ({}, {"progressive": True, "quality": 30}, {"restart_marker_blocks": 2}),
    "PNG": ({}, {"compress_level": 9}),
    "WEBP": ({}, {"lossless": True}),
    "GIF": ({},),
    "BMP": ({},),
    "TIFF": ({}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}, {"compression": "packbits"}),
    "PPM": ({},),
}
MODES = ("RGB", "L", "P", "1", "RGBA", "CMYK", "I;16", "LA")
# Sides that files claim to have.
SIDES = (0, 1, 2, 31, 4096, 10_000, 30_000, 65_500, 65_535, 100_000, 2**31 - 1, 2**32 - 1)


def picture(mode, size=(24, 17)):
    """A smooth picture with some noise."""
    levels = np.add.outer(np.arange(size[1]) * 3, np.arange(size[0]) * 5)[..., None] + (0, 60, 120)
    noise = np.random.default_rng(0).integers(0, 40, levels.shape)
    image = Image.fromarray(((levels + noise) % 256).astype(np.uint8))
    if mode == "I;16":
        return Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257)
    return image.quantize(9) if mode == "P" else image.convert(mode)


@functools.cache
def seeds():
    """Every format in every mode it has; turned by EXIF; several in one file; PostScript."""
    found = []
    for kind, options in FORMATS.items():
        for mode in MODES:
            for how in options:
                file = io.BytesIO()
                try:
                    picture(mode).save(file, kind, **how)
                except (OSError, ValueError):  # a format that does not have the mode
                    continue
                found.append(file.getvalue())
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        found.append(saved(picture("RGB"), kind, exif=exif))
    more = {"save_all": True, "append_images": [picture("L").convert("RGB")]}
    found += [saved(picture("RGB"), kind, **more) for kind in ("MPO", "GIF", "WEBP", "PNG")]
    found.append(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n9 9 moveto\n")
    return found


def saved(image, kind, **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def run(data, folder):
    """A file as a loader reads it, through everything that pixels go through after it."""
    pixels = decoded(data, "pillow")
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.flags.c_contiguous
    assert pixels.size
    if data.startswith(b"\xff\xd8"):
        assert np.array_equal(decoded(data, "simplejpeg"), pixels)
    small = pixels.size < 10**7
    if not small and len(data) % 2:  # either takes a large part of the time that there is
        assert thumbnail.data_uri(pixels).startswith("data:image/")
        return
    for how in (HOW, AS_PUBLISHED) if small else (HOW,):
        tensor = resize.for_evaluation(pixels, how)
        assert tuple(tensor.shape) == (3, SIZE, SIZE)
        for fast in (True, False) if small else (True,):
            random = np.random.default_rng(1)
            crop = resize.for_training(pixels, how, SPEC.recipe.augment, random, fast)
            assert (crop.shape, crop.dtype) == ((SIZE, SIZE, 3), np.uint8)
    if small:
        assert thumbnail.data_uri(pixels).startswith("data:image/")


def decoded(data, decoder):
    try:
        return decode.decode(data, "a.jpg", decoder)
    except BadImage as error:
        said = str(error)
        good = said.startswith("a.jpg: cannot be decoded: ") and said.isprintable()
        raise error if good else AssertionError(said) from error


def shapes():
    """Headers with drawn sizes in front of little data, scans without end, and edited files."""
    made = (png(), gif(), bmp(), tiff(), webp(), jpeg(), netpbm(), turned(), edited(seeds()))
    return st.one_of(*made)


sides = st.sampled_from(SIDES) | st.integers(0, 300)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@st.composite
def png(draw):
    width, height = draw(sides), draw(sides)
    depth, colour = draw(st.sampled_from([1, 8, 16])), draw(st.sampled_from([0, 2, 3, 4, 6]))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, draw(st.integers(0, 1)))
    rows = zlib.compress(bytes(draw(st.sampled_from([10, 3000, 10**6, 10**8]))), 9)
    chunks = [chunk(b"IHDR", head), chunk(b"PLTE", bytes(30)), chunk(b"IDAT", rows)]
    text = b"a\0\0" + zlib.compress(bytes(10**7))
    extra = st.sampled_from(
        [b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"tRNS", b"gAMA"]
    )
    for kind in draw(st.lists(extra, max_size=3)):
        body = draw(st.sampled_from([text, b"", bytes(26), b"\xff" * 26]))
        chunks.insert(draw(st.integers(1, len(chunks))), chunk(kind, body))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


@st.composite
def gif(draw):
    screen = struct.pack("<HH", *(min(draw(sides), 65_535) for _ in range(2)))
    frame = struct.pack("<HHHH", *(min(draw(sides), 65_535) for _ in range(4)))
    codes = draw(st.binary(max_size=60)) * draw(st.sampled_from([1, 1000]))
    blocks = b"".join(
        bytes([len(c)]) + c for c in (codes[i : i + 255] for i in range(0, len(codes), 255))
    )
    size = bytes([draw(st.sampled_from([0, 2, 8, 11, 12, 255]))])
    head = b"GIF89a" + screen + b"\xf0\0\0" + bytes(6)
    return head + b"," + frame + b"\0" + size + blocks + b"\0;"


@st.composite
def bmp(draw):
    width, height = draw(sides), draw(sides)
    bits, packed = draw(st.sampled_from([(8, 1), (4, 2), (24, 0), (32, 3), (1, 0), (16, 0)]))
    colours = draw(st.sampled_from([0, 2, 256, 2**31, 2**32 - 1]))
    head = struct.pack("<IIIHHIIIIII", 40, width, height, 1, bits, packed, 0, 1, 1, colours, 0)
    body = draw(st.sampled_from([b"\0\2\xff\xff", b"\xff\1", b"\0\0", b"\0\xff", b"\1\1"]))
    body *= draw(st.sampled_from([1, 10, 5000]))
    offset = draw(st.sampled_from([54, 54 + 1024, 0, 2**31]))
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, offset) + head + bytes(1024) + body


@st.composite
def tiff(draw):
    width, height, side = draw(sides), draw(sides), draw(sides)
    compression = draw(st.sampled_from([1, 5, 7, 8, 32773, 3, 50000, 34925]))
    entries = {256: width, 257: height, 258: 8, 259: compression, 262: draw(st.integers(0, 8))}
    entries |= {273: 8, 278: height, 279: draw(sides), 277: draw(st.sampled_from([1, 3, 4, 255]))}
    if draw(st.booleans()):
        entries |= {322: side, 323: draw(sides), 324: 8, 325: draw(sides)}
    entries |= {274: draw(st.integers(0, 9)), 284: draw(st.integers(0, 3))}
    rows = b""
    for tag, value in sorted(entries.items()):
        kind, count = draw(
            st.sampled_from([(4, 1)] * 20 + [(3, 1), (4, 2**31), (12, 2**30), (2, 9)])
        )
        rows += struct.pack("<HHII", tag, kind, count, value & 0xFFFFFFFF)
    body = zlib.compress(bytes(10**6)) if compression == 8 else draw(st.binary(max_size=40)) * 20
    body = body.ljust(len(body) + len(body) % 2, b"\0")
    after = draw(st.sampled_from([0, 8 + len(body)]))  # the next directory: none, or itself
    count = struct.pack("<H", len(entries))
    return (
        b"II*\0" + struct.pack("<I", 8 + len(body)) + body + count + rows + struct.pack("<I", after)
    )


@st.composite
def webp(draw):
    content = draw(st.sampled_from([s for s in seeds() if s[8:12] == b"WEBP"]))
    at = content.find(b"VP8")
    width, height = draw(sides), draw(sides)
    kind = content[at : at + 4]
    edited = bytearray(content)
    if kind == b"VP8X":
        edited[at + 12 : at + 18] = struct.pack("<I", width)[:3] + struct.pack("<I", height)[:3]
    elif kind == b"VP8L":
        edited[at + 9 : at + 13] = struct.pack("<I", (width & 0x3FFF) | (height & 0x3FFF) << 14)
    else:
        edited[at + 14 : at + 18] = struct.pack("<HH", width & 0x3FFF, height & 0x3FFF)
    return bytes(edited)


@st.composite
def jpeg(draw):
    """Another size in the header, and the last scans again and again."""
    content = draw(st.sampled_from([s for s in seeds() if s.startswith(b"\xff\xd8")]))
    edited = bytearray(content)
    at = next((i for m in (b"\xff\xc0", b"\xff\xc2") if (i := content.find(m)) > 0), 0)
    edited[at + 5 : at + 9] = struct.pack(">HH", *(min(draw(sides), 65_535) for _ in range(2)))
    scan = edited.rfind(b"\xff\xda")
    return bytes(edited[:scan] + edited[scan:-2] * draw(st.sampled_from([1, 2, 500])) + b"\xff\xd9")


@st.composite
def netpbm(draw):
    kind = draw(
        st.sampled_from([b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf", b"PF", b"P7", b"Py"])
    )
    words = [str(draw(sides)).encode() for _ in range(2)]
    most = draw(st.sampled_from([b"255", b"65535", b"1", b"0", b"-1.0", b"1e30"]))
    body = draw(st.binary(max_size=40) | st.sampled_from([b"1 ", b"#\n", b"1", b"255 "]))
    return b" ".join((kind, *words, most)) + b"\n" + body * draw(st.sampled_from([1, 100, 20_000]))


@st.composite
def turned(draw):
    """Metadata of any content: EXIF, ICC profiles, text."""
    image = picture("RGB", (draw(st.integers(1, 40)), draw(st.integers(1, 40))))
    kind = draw(st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF"]))
    if draw(st.booleans()):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = draw(st.integers(0, 9))
        return saved(image, kind, exif=exif)
    raw = (
        b"Exif\0\0"
        + draw(st.sampled_from([b"II*\0", b"MM\0*", b""]))
        + draw(st.binary(max_size=60))
    )
    how = {} if kind == "TIFF" else {"exif": raw}
    return saved(image, kind, icc_profile=draw(st.binary(min_size=1, max_size=200)), **how)


@st.composite
def edited(draw, contents):
    """A file with some bytes changed, gone or repeated."""
    content = bytearray(draw(st.sampled_from(contents)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        how = draw(st.integers(0, 3))
        if how == 0:
            content[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif how == 1:
            content[at : at + 4] = draw(
                st.sampled_from([bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff"])
            )
        elif how == 2:
            del content[at : at + draw(st.integers(1, 40))]
        else:
            piece = content[at : at + draw(st.integers(1, 40))]
            content[at:at] = piece * draw(st.integers(1, 30))
    return bytes(content)


assert TiffImagePlugin  # registered before any input is read
