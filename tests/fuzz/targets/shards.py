"""Folders of tar shards with what may lie beside them: images and labels, or a MissingData."""

import functools
import io
import json
import os
import tarfile
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from images import photographs

import effcc
from effcc.sources import index, manifest, pack
from effcc.sources.decode import BadImage
from effcc.sources.shards import Shards

# What an input is: the first byte says it. All else of the folder is as it should be.
NAMES = ("train-000000.tar", "manifest.json", "train-000000.index", "classes.txt")
TOKENS = (b"ustar\x0000", b"ustar  \0", b"././@LongLink", b"././@PaxHeader", b"0000644\0", b"\x80")
TOKENS += (
    b"path=",
    b"size=",
    b"linkpath=",
    b"GNU.sparse.map=",
    b"GNU.sparse.major=1",
    b".jpg",
    b".cls",
)
TOKENS += (
    b"\xff" * 12,
    b"77777777777\0",
    b"'descr'",
    b"'shape'",
    b"'fortran_order'",
    b"|O",
    b"<i8",
)
LONGEST = 30_000
PACKED = {}
DATA = effcc.load("cc_pico_4e", source="digits").data


def prepare(folder):
    """Shards as effcc packs them, and a cache of the run's own."""
    os.environ["EFFCC_CACHE"] = str(folder / "cache")
    photos = photographs(folder / "photos", train=2, val=1)
    pack.pack(pack.opened("folder", str(photos)), ["train"], folder / "packed", lambda *_: None)
    for name in (*NAMES[:3],):
        PACKED[name] = (folder / "packed" / name).read_bytes()
    PACKED["classes.txt"] = b"cat\ndog\neel\n"


def foreign(*members, form=tarfile.PAX_FORMAT):
    """A tar file of (name, content)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


@functools.cache
def seeds():
    """What effcc packs, and the three forms of tar with names and labels of every kind."""
    long = "long/" * 40 + "n" * 90
    members = [("a.jpg", b"one"), ("a.cls", b"1"), (f"{long}.png", b"two"), (f"{long}.json", b"{}")]
    members += [(f"{long}.cls", "größe".encode()), ("b.jpg", b"3"), ("b.json", b'{"label": "x"}')]
    forms = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    tars = [foreign(*(members if form else members[:2]), form=form) for form in forms]
    tars += [PACKED[NAMES[0]], foreign()]
    numbers = bytes(range(len(NAMES)))
    return [
        *(b"\0" + tar for tar in tars),
        *(numbers[n : n + 1] + PACKED[name] for n, name in enumerate(NAMES[1:], 1)),
    ]


def run(data, folder):
    """A folder as a run opens it; every image is asked for."""
    at = folder / "shards"
    at.mkdir(exist_ok=True)
    which = NAMES[data[0] % len(NAMES) if data else 0]
    beside = {"manifest.json": NAMES[:3], NAMES[2]: NAMES[:3]}.get(which, (NAMES[0],))
    for name in NAMES:
        (at / name).unlink(missing_ok=True)
    for name in {which, *beside}:
        (at / name).write_bytes(data[1:] if name == which else PACKED[name])
    opened = Shards(replace(DATA, source="shards", root=str(at)))
    split = opened.split("train")
    size = (at / NAMES[0]).stat().st_size
    assert 0 < len(split) <= size / 512
    assert split.labels.min() >= 0
    assert split.labels.max() < len(opened.classes)
    for position in range(min(len(split), 20)):
        split.where(position).encode()
        try:
            pixels = split.pixels(position)
        except BadImage as error:
            str(error).encode()
        else:
            assert (pixels.dtype, pixels.ndim) == (np.uint8, 3)


def shapes():
    """Tar files of drawn members, manifests and indexes of drawn fields."""
    return st.one_of(tars(), tars(), manifests(), indexes(), edited(), texts())


names = st.sampled_from(
    [
        *(
            "a.jpg",
            "a.cls",
            "a.json",
            "b.png",
            "b.cls",
            "a.b.jpg",
            "../a.jpg",
            "/a.jpg",
            "a/../b.jpg",
        ),
        *("", ".", "/", "..", "a/", "a.jpg\n", "\x1b[2J.jpg", "x" * 300 + ".jpg", "é.jpg", "�.jpg"),
        *("�.jpg", "a.jpg\x00b", "C:\\a.jpg", ".cls", "a..cls", "~/a.jpg"),
    ]
)
contents = st.sampled_from(
    [
        b"",
        b"0",
        b"1",
        b"999999",
        b"1000000",
        b"9" * 5000,
        b"-1",
        b"\xff",
        b"cat",
        b"\x00",
        b"1\x00",
        b" \n",
        "٣".encode(),
        b"x" * 70000,
        b'{"label": 1}',
        b'{"label": "\\ud800"}',
        b"[" * 50000,
        b'"\\ud800"',
        b'{"label": 1e400}',
        b'{"label": ' + b"9" * 5000 + b"}",
        b'{"cls": null}',
        b"a\nb",
        b"\x1b[2J",
    ]
)
sizes = st.sampled_from(
    [0, 1, 511, 512, 513, 2**20, 2**33, 2**62, 2**63, 2**64, -1, -512, -(2**62)]
)
kinds = st.sampled_from([b"0"] * 12 + [b"\0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"L", b"K"])
kinds |= st.sampled_from([b"x", b"g", b"X", b"S", b"D", b"V", b"M", b"\xff"])
records = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *(
                    "path",
                    "size",
                    "linkpath",
                    "GNU.sparse.map",
                    "GNU.sparse.size",
                    "GNU.sparse.major",
                ),
                *(
                    "GNU.sparse.minor",
                    "GNU.sparse.numblocks",
                    "GNU.sparse.offset",
                    "mtime",
                    "uid",
                    "",
                ),
                *(
                    "hdrcharset",
                    "GNU.sparse.name",
                    "comment",
                    "GNU.sparse.realsize",
                    "a=b",
                    "charset",
                ),
            ]
        ),
        st.sampled_from(
            ["a.jpg", "../a.jpg", "0", "1", "-512", "-1", str(2**63), "9" * 5000, "1e9"]
        )
        | st.sampled_from(["", "BINARY", "0,1,2,3", "x" * 2000, "\n", "é", "inf", "nan", "a\0b"]),
    ),
    max_size=4,
)


def number(value, length):
    """A number as GNU tar writes those that octal digits have no room for, and below zero."""
    if 0 <= value < 8 ** (length - 1):
        return b"%0*o\0" % (length - 1, value)
    head = 0x80 if value >= 0 else 0xFF
    return bytes([head]) + (value % 256 ** (length - 1)).to_bytes(length - 1, "big")


def header(name, size, kind, magic, damage=0):
    """A block of a tar file."""
    block = bytearray(512)
    block[0:100] = name[:100].ljust(100, b"\0")
    block[100:108], block[108:116], block[116:124] = b"0000644\0", bytes(8), bytes(8)
    block[124:136] = number(size, 12)
    block[136:148] = b"0" * 11 + b"\0"
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[257:265] = magic
    if kind == b"S":
        block[482], block[483:495] = 1, number(size, 12)
    block[148:156] = b"%06o\0 " % (sum(block) + damage)
    return bytes(block)


@st.composite
def tars(draw):
    blocks = b""
    for _ in range(draw(st.integers(1, 8))):
        kind, name = draw(kinds), draw(names).encode("utf-8", "surrogatepass")
        magic = draw(st.sampled_from([b"ustar\x0000", b"ustar\x0000", b"ustar  \0", bytes(8)]))
        damage = draw(st.sampled_from([0] * 20 + [1]))
        if kind in b"xgX":
            content = b"".join(record(key, value) for key, value in draw(records))
            content += draw(
                st.sampled_from([b""] * 5 + [b"9999999999 a=b\n", b"0 a=b\n", b"9" * 9000])
            )
        elif kind in b"LK":
            content = draw(names).encode("utf-8", "surrogatepass") * draw(
                st.sampled_from([1, 1, 5000])
            )
        else:
            content = draw(contents)
        size = draw(st.one_of(*[st.just(len(content))] * 6, sizes))
        blocks += header(name, size, kind, magic, damage) * draw(st.sampled_from([1] * 9 + [1500]))
        blocks += content + bytes(-len(content) % 512)
    return b"\0" + blocks + bytes(draw(st.sampled_from([1024, 1024, 10_240, 512, 0, 100])))


def record(key, value):
    """A line of a pax header, which begins with its own length."""
    rest = f" {key}={value}\n".encode("utf-8", "surrogatepass")
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(
        ["", "x", "..", [], {}, [[]], 2**70, -1, "../../../etc/passwd", "\ud800", "\n"]
    ),
)


@st.composite
def manifests(draw):
    """A real one with some values changed."""
    data = json.loads(PACKED["manifest.json"])
    for _ in range(draw(st.integers(1, 3))):
        place = data
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.integers(0, 4)):
                place = place[key]
                continue
            if draw(st.booleans()):
                place[key] = draw(odd | st.dictionaries(st.text(max_size=3), odd, max_size=2))
            elif isinstance(place, dict):
                del place[key]
            break
    shard = manifest.Shard("../photos/x.tar", 1, 1, "")
    if draw(st.integers(0, 5)) == 0 and isinstance(data.get("splits"), dict):
        named = draw(
            st.sampled_from(["../photos/x.tar", "/etc/passwd", "a/b.tar", "", ".", "x\n.tar"])
        )
        entry = {"name": named, "images": 6, "bytes": shard.bytes, "sha256": shard.sha256}
        data["splits"]["train"] = {"images": 6, "fingerprint": "", "shards": [entry]}
    return b"\x01" + json.dumps(data).encode()


@st.composite
def indexes(draw):
    """Saved arrays of any type, shape and content."""
    kind = draw(
        st.sampled_from(["<i8", ">i8", "<u8", "<i4", "<f8", "S4", "U4", "V8", "m8[s]", "<c16", "?"])
    )
    text = draw(st.sampled_from(["S1", "S9", "S0", "U9", "S70000"]))
    fields = [("offset", kind), ("size", draw(st.sampled_from(["<i8", kind]))), ("label", text)]
    fields = draw(st.sampled_from([[*fields, ("name", "S9")], fields, fields[::-1]]))
    shape = draw(st.sampled_from([(0,), (1,), (3,), (6,), (1, 1), ()]))
    array = np.zeros(shape, fields)
    where = st.sampled_from([0, 1, 512, 1024, 10_240, 2**31, 2**62, 2**63 - 1, -1, -(2**63)])
    if kind == "<i8" and array.size:
        for field in ("offset", "size"):
            if array.dtype[field] == np.int64:
                array[field] = draw(where)
        array["label"] = draw(st.sampled_from([b"0", b"1", b"x", b"\0", b"99"]))
    file = io.BytesIO()
    (np.savez if draw(st.integers(0, 9)) == 0 else np.save)(file, array)
    content = file.getvalue()
    many = draw(
        st.sampled_from(["(0,)"] * 3 + ["(10**9,)", "(999999999999,)", "(-1,)", "(((", "(True,)"])
    )
    if "(1,)" in repr(content) and many != "(0,)":
        content = content.replace(b"(1,)", many.encode())
    return b"\x02" + content


@st.composite
def edited(draw):
    """A seed with bytes changed, and where it is a tar file its checksums made right again."""
    content = bytearray(draw(st.sampled_from(seeds())))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(content) - 1))
        content[at : at + 1] = draw(st.binary(min_size=1, max_size=3))
    if content[0] == 0 and draw(st.booleans()):
        for start in range(1, len(content) - 511, 512):
            block = content[start : start + 512]
            if block[148:156].strip(b"\0 01234567") == b"" and any(block[:8]):
                block[148:156] = b" " * 8
                content[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    return bytes(content)


def texts():
    """Names of classes."""
    lines = st.sampled_from(
        ["cat", "0", "", "\0", "\x1b[2J", "\ud800", "1" * 5000, "\u2028", "x" * 999]
    )
    text = st.lists(lines, max_size=5).map("\n".join)
    return text.map(lambda text: b"\x03" + text.encode("utf-8", "surrogatepass"))


assert index  # imported before any input is read
