"""Checkpoints of every format: weights that fit, or a BadCheckpoint; no code in them ever runs."""

import collections
import copy
import dataclasses
import functools
import io
import json
import os
import pickle
import shutil
import struct
import zipfile

import safetensors.torch
import torch
from fuzz.pickles import (
    MAGIC,
    RAN,
    archive,
    calls,
    drawn_tensors,
    instructions,
    legacy,
    nests,
    numbers,
    tensor,
)
from hypothesis import strategies as st

import effcc
from effcc.nn import transfer, weights
from effcc.nn.efficientnet import build, unfilled
from effcc.nn.weights import BadCheckpoint
from effcc.train import checkpoints

TOKENS = (b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n", b"X\7\0\0\0storage")
TOKENS += (
    b"cos\nsystem\n",
    b"cbuiltins\neval\n",
    b"c__builtin__\nset\n",
    b"ccollections\nOrderedDict\n",
)
TOKENS += (
    b"PK\1\2",
    b"PK\3\4",
    b"PK\5\6",
    b"PK\6\6",
    b"PK\6\7",
    b"R",
    b"Q",
    b"\x85",
    b"\x86",
    b"\x87",
)
TOKENS += (b"dtype", b"F32", b"data_offsets", b"__metadata__", b"\x8a\x08", b"\xff" * 8, b"\x80\2")
LONGEST = 200_000
SMALL = {"network.depth": 0.1, "network.head": 8, "network.width": 0.05, "network.experts": 2}
SPEC = effcc.load("cc_pico_4e", settings=SMALL)
NETWORK = dataclasses.replace(SPEC.network, num_classes=2)
STATE = build(NETWORK).state_dict()
OWN = {"variant": "cc_pico_4e", "classes": ["a", "b"], "settings": {"network": {"experts": 2}}}
# What an input is: the first byte says it.
FILE, RUN, SAFE, INSIDE, BEFORE_2020, HEADER = range(6)


class Code:
    """Makes a folder when somebody unpickles it."""

    def __reduce__(self):
        return os.mkdir, (RAN,)


class Nested:
    """The same, in the state of an object that may be made."""

    def __reduce__(self):
        return collections.OrderedDict, (), {"a": Code()}


def saved(content, **how):
    file = io.BytesIO()
    torch.save(content, file, **how)
    return file.getvalue()


def ours():
    """What a run keeps, with little of its state."""
    state = {f"model.{name}": tensor for name, tensor in STATE.items()}
    points = [{"epoch": 1, "step": 4, "loss": 0.5}]
    return {
        "state_dict": state,
        "effcc": copy.deepcopy(OWN),
        "global_step": 4,
        "curve": {"points": points, "steps": 4, "seconds": 1.5},
        "routing": {1: {"blocks.1": [0.5, 0.5]}},
        "loops": {"fit_loop": {"epoch_progress": {"current": {"processed": 1}}}},
    }


@functools.cache
def seeds():
    """Checkpoints that are right, in every format, and code in all of them."""
    old = {"_use_new_zipfile_serialization": False}
    evil = ({"state_dict": STATE, "x": Code()}, {"a": Nested()}, Code())
    files = [saved(STATE), saved(STATE, **old), saved(ours()), saved({"a": torch.ones(3)}, **old)]
    files += [saved(content, **how) for content in evil for how in ({}, old)]
    files += [pickle.dumps(content, protocol) for content in evil for protocol in (2, 4)]
    safe = safetensors.torch.save(STATE, {"effcc": json.dumps(OWN)})
    small = safetensors.torch.save({"a": torch.ones(4)}, {"effcc": "{}"})
    length = struct.unpack("<Q", small[:8])[0]
    return [
        *(bytes([FILE]) + file for file in files),
        bytes([RUN]) + saved(ours()),
        bytes([RUN]) + saved(ours(), **old),
        *(bytes([SAFE]) + file for file in (safe, small)),
        bytes([HEADER]) + small[8 : 8 + length],
        *(bytes([kind]) + tensor() for kind in (INSIDE, BEFORE_2020)),
    ]


def run(data, folder):
    """Read as `create`, `test` and a run that goes on read it."""
    shutil.rmtree(folder / RAN, ignore_errors=True)
    kind, content = data[0] % 6 if data else 0, data[1:]
    path = folder / ("weights.safetensors" if kind in (SAFE, HEADER) else "weights.ckpt")
    if kind == INSIDE:
        content = archive(content)
    elif kind == BEFORE_2020:
        content = legacy(content)
    elif kind == HEADER:
        content = struct.pack("<Q", len(content)) + content + bytes(16)
    try:
        if kind == RUN:
            last = folder / "runs" / "1" / checkpoints.LAST
            last.parent.mkdir(parents=True, exist_ok=True)
            last.write_bytes(content)
            found = checkpoints.newest(folder / "runs").checkpoint
        else:
            path.write_bytes(content)
            found = weights.read(path)
        answered(found)
    finally:
        assert not (folder / RAN).exists(), "code ran"


def answered(found):
    """What was read is of its kinds, and fits the network or is refused."""
    kinds = {"variant": str, "classes": tuple, "settings": dict, "epochs": int, "steps": int}
    assert all(type(getattr(found, name)) is kind for name, kind in kinds.items())
    assert all(type(name) is str for name in found.classes)
    assert found.variant.isprintable()
    for point in found.history.points:
        assert all(type(value) in (int, float) for value in point.values())
        assert "step" in point
    total = 0
    for name, weight in found.weights.items():
        assert isinstance(name, str)
        total += weight.numel() * weight.element_size()
    assert total < 10 * 2**20
    for model in (build(NETWORK), unfilled(NETWORK)):
        try:
            weights.load(model, NETWORK, found)
        except BadCheckpoint as error:
            one_line(error)
        else:
            state = model.state_dict()
            assert set(state) == set(found.weights)
            same = (tensor.equal(found.weights[name]) for name, tensor in state.items())
            assert all(same) or any(t.isnan().any() for t in found.weights.values())
    other = dataclasses.replace(NETWORK, num_classes=3, in_channels=1)
    try:
        transfer.start(build(other), other, found)
    except BadCheckpoint as error:
        one_line(error)


def one_line(error):
    assert str(error).isprintable(), str(error)


def shapes():
    """Tensors of drawn sizes, pickles that call and nest, archives that lie, and edited files."""
    inside = st.sampled_from([bytes([INSIDE]), bytes([BEFORE_2020])])
    pickles = st.one_of(drawn_tensors(), calls(), nests(), states(), instructions())
    wrapped = st.tuples(inside, pickles).map(b"".join)
    return st.one_of(wrapped, wrapped, headers(), archives(), edited(), old_tars())


@st.composite
def states(draw):
    """What a run keeps beside its weights, with values of any kind."""
    content = ours() | {"state_dict": {}}
    odd = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=4)
        | st.binary(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
        ),
        max_leaves=4,
    )
    odd |= st.sampled_from(
        ["\x1b[2J\n", "\ud800", {"network": {"experts": 3}}, {"network": [1]}, 2**70]
    )
    for _ in range(draw(st.integers(1, 3))):
        place = content
        while True:
            key = draw(st.sampled_from(sorted(place, key=str)))
            if not isinstance(place[key], dict) or not place[key] or draw(st.booleans()):
                place[key] = draw(odd)
                break
            place = place[key]
    return pickle.dumps(content, 2)


@st.composite
def headers(draw):
    """Headers of safetensors."""
    kinds = st.sampled_from(
        ["F32", "F64", "BF16", "I64", "BOOL", "U8", "F8_E4M3", "F4", "C64", "x", None]
    )
    entry = st.fixed_dictionaries(
        {
            "dtype": kinds,
            "shape": st.lists(numbers, max_size=3),
            "data_offsets": st.lists(numbers, max_size=3),
        }
    )
    entry |= st.sampled_from([{"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}])
    names = st.sampled_from(
        ["a", "model.a", "é", "", "\x1b[2J", "classifier.bias", "conv_stem.weight"]
    )
    found = draw(st.dictionaries(names, entry, max_size=3))
    deep = "[" * 100_000
    own = [
        "{}",
        "[]",
        deep,
        '{"settings": 1}',
        '{"settings": {"network": [1]}}',
        "1e400",
        '{"variant": {}}',
    ]
    own += [
        '{"classes": [1, null]}',
        '{"variant": "\\ud800"}',
        '{"settings": {"network": {"experts": 3}}}',
    ]
    if draw(st.booleans()):
        found["__metadata__"] = {"effcc": draw(st.sampled_from(own))}
    content = json.dumps(found).encode()
    if draw(st.integers(0, 4)) == 0:
        length = draw(st.sampled_from([0, 1, 2**31, 2**63, 2**64 - 1, 10**8, len(content) + 1]))
        return bytes([SAFE]) + struct.pack("<Q", length) + content + bytes(16)
    return bytes([HEADER]) + content


@st.composite
def archives(draw):
    """Zip archives: compressed, with files twice, under other names, with lies about sizes."""
    file = io.BytesIO()
    small = tensor(count=draw(st.sampled_from([4, 4, 10**9])))
    big = small[:-1] + b"0" * 10 + b"." + bytes(draw(st.sampled_from([0, 10, 10**8])))
    names = [
        "data.pkl",
        "DATA.PKL",
        "data/0",
        "data/0",
        "byteorder",
        "version",
        "constants.pkl",
        "../x",
    ]
    names += [
        ".format_version",
        ".storage_alignment",
        "data/1",
        "code/a.py",
        ".data/serialization_id",
    ]
    chosen = ["data.pkl", "data/0", *draw(st.lists(st.sampled_from(names), max_size=3))]
    folder = draw(st.sampled_from(["a/", "a/", "a/", "", "/", "../", "é/"]))
    how = draw(
        st.sampled_from([zipfile.ZIP_STORED] * 3 + [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
    )
    with zipfile.ZipFile(file, "w", how) as made:
        for name in chosen:
            content = {"data.pkl": big if how else small, "data/0": bytes(16), "byteorder": b"big"}
            made.writestr(
                folder + name, content.get(name, draw(st.sampled_from([b"3\n", b"", b"99"])))
            )
        made.comment = draw(st.sampled_from([b""] * 5 + [b"PK\5\6" + bytes(18)]))
    content = bytearray(draw(st.sampled_from([b""] * 5 + [b"PK\3\4", bytes(9)])) + file.getvalue())
    for _ in range(draw(st.integers(0, 2))):
        record = draw(st.sampled_from([b"PK\1\2", b"PK\3\4", b"PK\5\6"]))
        at = content.find(record) + draw(st.integers(4, 45))
        content[at : at + 4] = draw(
            st.sampled_from([b"\xff" * 4, bytes(4), b"\1\0\0\0", b"\xff\xff\xff\x7f"])
        )
    return bytes([draw(st.sampled_from([FILE, RUN]))]) + bytes(content)


@st.composite
def edited(draw):
    """A seed with bytes changed, gone or repeated."""
    content = bytearray(draw(st.sampled_from(seeds())))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, max(1, len(content)) - 1)) % draw(
            st.sampled_from([99, 5000, 200_000])
        )
        at = at if draw(st.booleans()) else max(0, len(content) - 1 - at)
        how = draw(st.integers(0, 2))
        if how == 0:
            content[at : at + 1] = draw(st.binary(min_size=1, max_size=2))
        elif how == 1:
            del content[at : at + draw(st.integers(1, 300))]
        else:
            content[at : at + 8] = draw(
                st.sampled_from([b"\xff" * 8, bytes(8), b"\xff" * 7 + b"\x7f"])
            )
    return bytes(content)


def old_tars():
    """Tar archives, which torch wrote in 2016: one begins like a pickle, one never ends."""
    block = bytearray(512)
    block[:16] = pickle.dumps(MAGIC, 2)[:15] + b"\0"
    block[124:136], block[156:157], block[257:265] = b"0" * 11 + b"\0", b"0", b"ustar\x0000"
    made = []
    for kind, size in ((b"0", b"0" * 11), (b"x", b"\xff" * 11), (b"S", b"\x80" + b"\xff" * 10)):
        block[156:157], block[124:135], block[148:156] = kind, size, b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        made.append(bytes([FILE]) + bytes(block) + bytes(1024))
    return st.sampled_from(made)
