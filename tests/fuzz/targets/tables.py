"""Arrow and parquet tables with what lies beside them: images and labels, or a MissingData."""

import functools
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from pyarrow import ipc, parquet

import effcc
from effcc.sources.decode import BadImage
from effcc.sources.huggingface import HuggingFace

ROOT = Path(__file__).resolve().parents[2]
DATA = effcc.load("cc_pico_4e", source="digits").data
# What an input is: the first byte says it.
PARQUET, ARROW, STATE = range(3)
TOKENS = (b"PAR1", b"ARROW1", b"\xff\xff\xff\xff", b"huggingface", b'"_type"', b'"ClassLabel"')
TOKENS += (b'"names"', b'"_data_files"', b'"filename"', b"image", b"label", b"bytes", b"path")
LONGEST = 20_000
GOLDEN = ROOT / "golden/huggingface"


@functools.cache
def seeds():
    """What `datasets` saved, and tables of our own."""
    saved = [path.read_bytes() for path in sorted((GOLDEN / "saved/train").glob("*.arrow"))]
    tables = [path.read_bytes() for path in sorted((GOLDEN / "parquet").glob("*.parquet"))]
    state = (GOLDEN / "saved/train/state.json").read_bytes()
    bad = [bytes([PARQUET]) + b"PAR1", bytes([ARROW]) + saved[0][:300], bytes([STATE]) + b"{"]
    small = bytes([PARQUET]) + written(pa.table({"image": [b"x"], "label": [0]}), False)
    return [
        *(bytes([PARQUET]) + table for table in tables),
        *(bytes([ARROW]) + table for table in saved),
        bytes([STATE]) + state,
        *bad,
        small,
    ]


def written(table, arrow):
    file = io.BytesIO()
    if arrow:
        with ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)
    else:
        parquet.write_table(table, file, compression="zstd")
    return file.getvalue()


def run(data, folder):
    """A folder as a run opens it; every image is asked for."""
    at = folder / "tables"
    shutil.rmtree(at, ignore_errors=True)
    kind, content = data[0] % 3 if data else 0, data[1:]
    saved = at / "train"
    saved.mkdir(parents=True)
    if kind == PARQUET:
        saved.rmdir()
        (at / "train.parquet").write_bytes(content)
    else:
        name = "data-00000-of-00001.arrow"
        state = json.dumps({"_data_files": [{"filename": name}]}).encode()
        (saved / "state.json").write_bytes(content if kind == STATE else state)
        (saved / name).write_bytes(content if kind == ARROW else seeds()[2][1:])
    opened = HuggingFace(replace(DATA, source="huggingface", root=str(at)))
    split = opened.split("train")
    assert len(split) == len(split.labels) < 10**6
    assert all(isinstance(name, str) for name in opened.classes)
    if len(split):
        assert 0 <= split.labels.min() <= split.labels.max() < len(opened.classes)
    for position in range(min(len(split), 10)):
        split.where(position).encode()
        try:
            pixels = split.pixels(position)
        except BadImage as error:
            str(error).encode()
        else:
            assert (pixels.dtype, pixels.ndim) == (np.uint8, 3)


def shapes():
    """Tables of drawn types and values, states of drawn fields, and edited files."""
    return st.one_of(tables(), tables(), states(), edited())


# What labels may be, and the type that they are written as.
LABELS = [(value, None) for value in (0, 0, 1, -1, 10**12, 2**63 - 1, "x", True, 0.5, b"x", [1])]
LABELS += [({"a": 1}, None), ("\x1b[2J", None), ("9" * 5000, None), (None, None)]
LABELS += [(2**64 - 1, pa.uint64()), (0, pa.date32()), (float("nan"), None)]


@st.composite
def tables(draw):
    rows = draw(st.integers(0, 4))
    many = draw(st.sampled_from([1] * 12 + [10**6]))
    value, kind = draw(st.sampled_from(LABELS))
    labels = pa.array([value] * rows * (many if type(value) is int else 1), kind)
    if draw(st.integers(0, 9)) == 0 and type(value) in (int, str) and not kind:
        labels = labels.dictionary_encode()
    paths = ["/etc/passwd", "../x.png", "x.png", "", "\0", "https://example.org/x.png", None]
    paths.append("~/x.png")
    image = draw(st.sampled_from([b"x", b"", None, "image"]))
    pair = {
        "bytes": image if isinstance(image, bytes) else None,
        "path": draw(st.sampled_from(paths)),
    }
    images = [image if draw(st.booleans()) else pair] * len(labels)
    images = pa.array(images) if images else pa.array([], pa.binary())
    odd = st.sampled_from([1, None, "x", [], {}, {"_type": 1}, {"_type": "Image"}, [1, None]])
    label = st.sampled_from(
        [{"_type": "ClassLabel", "names": n} for n in (["a"], "ab", 7, [1], [])]
    )
    features = st.dictionaries(st.sampled_from(["image", "label"]), odd | label, max_size=2)
    info = draw(odd | st.builds(lambda found: {"features": found}, odd | features))
    kept = json.dumps(draw(st.sampled_from([{"info": info}, {}, [], "x"]))).encode()
    kept = draw(st.sampled_from([kept] * 5 + [b"\xff", b"[" * 100_000]))
    table = pa.table({"image": images, "label": labels})
    if draw(st.integers(0, 2)):
        table = table.replace_schema_metadata({"huggingface": kept})
    arrow = draw(st.booleans())
    return bytes([ARROW if arrow else PARQUET]) + written(table, arrow)


@st.composite
def states(draw):
    names = ["/etc/passwd", "../../photos/x.arrow", "data-00000-of-00001.arrow", "", ".", 7, None]
    names += ["\0", "x\n", "\x1b[2J"]
    files = st.lists(st.builds(lambda n: {"filename": n}, st.sampled_from(names)), max_size=2)
    files |= st.sampled_from([None, 7, "x", [1], {}])
    data = draw(st.sampled_from([[], "x", 7]) | st.builds(lambda f: {"_data_files": f}, files))
    return bytes([STATE]) + draw(
        st.sampled_from([json.dumps(data).encode()] * 9 + [b"[" * 100_000])
    )


@st.composite
def edited(draw):
    """A seed with bytes changed, gone or repeated."""
    content = bytearray(draw(st.sampled_from(seeds())))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        at = at if draw(st.booleans()) else len(content) - at % 200
        how = draw(st.integers(0, 2))
        if how == 0:
            content[at : at + 1] = draw(st.binary(min_size=1, max_size=2))
        elif how == 1:
            del content[at : at + draw(st.integers(1, 40))]
        else:
            content[at : at + 4] = draw(
                st.sampled_from([b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f"])
            )
    return bytes(content)
