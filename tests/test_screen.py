"""What torch must not be given is refused before, and what it writes itself is not."""

import io
import pickle
import struct
import zipfile
from collections import Counter

import pytest
import torch
from fuzz import pickles

from effcc.nn import screen
from effcc.nn.screen import Foreign, Pickle, Refused, Untaken

FLOAT8 = torch.float8_e4m3fn


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def key(pickled):
    """A dictionary whose key is drawn from a stack of instructions."""
    return b"\x80\2}(" + pickled + b"Nu."


@pytest.mark.parametrize("how", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "old"])
def test_what_torch_writes_passes(tmp_path, how):
    kinds = (torch.float64, torch.bfloat16, torch.int8, torch.bool, torch.complex64)
    content = {str(kind): torch.ones(3, 2).to(kind) for kind in kinds}
    content |= {"empty": torch.ones(0, 3), "single": torch.ones(()), "turned": torch.ones(3, 2).T}
    content |= {"part": torch.arange(9)[3:5], "set": {1}, "bytes": b"\xff", "big": 2**100}
    content |= {"parameter": torch.nn.Parameter(torch.ones(2)), "kind": torch.float16}
    content |= {"none": torch.ones(5, 0), "expanded": torch.ones(3, 1).expand(3, 1000)}
    if not how:  # torch does not read its own old ones
        content |= {"u16": torch.ones(3, 2).to(torch.uint16), "f8": torch.ones(4).to(FLOAT8)}
    content |= {"end": torch.ones(9).as_strided((2, 2), (5, 2), 1)}
    content |= {"many": [{(1, 2): b"ab", "c": Counter("aab")} for _ in range(5000)]}
    content |= {"model": torch.nn.BatchNorm2d(3).state_dict(), "size": torch.ones(2, 3).size()}
    torch.save(content, tmp_path / "a", **how)
    with open(tmp_path / "a", "rb") as file:
        (screen.legacy if how else screen.archive)(file)
    torch.load(tmp_path / "a", weights_only=True)


NAMED = ["os system", "builtins eval", "builtins getattr", "torch load", "torch.hub load"]
NAMED += ["torch._utils getattr", "torch.serialization load", "builtins bytes"]


@pytest.mark.parametrize("name", NAMED)
def test_code_is_refused_by_its_name(name):
    with pytest.raises(Foreign, match=f"it names {name.replace(' ', '.')}"):
        Pickle(b"\x80\2c" + name.replace(" ", "\n").encode() + b"\n.")


OTHERS = ["builtins bytearray", "torch Tensor", "torch.sparse FloatTensor", "builtins complex"]
OTHERS += [f"torch._utils _rebuild_{of}" for of in ("parameter_with_state", "sparse_tensor")]
OTHERS += ["torch._utils _rebuild_meta_tensor_no_storage", "torch.serialization _get_layout"]
OTHERS += ["torch._tensor _rebuild_from_type_v2", "torch per_tensor_affine"]


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_plain_tensor_is_not_called_code(name):
    with pytest.raises(Untaken, match=r"of which no plain tensor is made; save plain tensors"):
        Pickle(b"\x80\2c" + name.replace(" ", "\n").encode() + b"\n.")


def test_another_protocol_is_named():
    with pytest.raises(Untaken, match=r"of protocol 4, .* save it with protocol 2"):
        Pickle(pickle.dumps({"a": 1}, 4))


def again(function, argument, more=b"", times=3000):
    """A call of a function with the same argument, time and again."""
    first = b"\x80\2c" + function + b"\nq\0" + argument + b"q\1" + more + b"q\2"
    return first + b"](" + times * (b"h\0h\2R") + b"e."


def entries(number, pickled=b"N"):
    """A list of so many."""
    return b"](" + number * pickled + b"e"


MANY = b"}(" + b"".join(b"M" + struct.pack("<H", n) + b"N" for n in range(60_000)) + b"u"
LONG = b"(" + 9000 * b"N" + b"tq\3"
COPIES = {
    "text": again(b"_codecs\nencode", text("a" * 10**6), text("latin1") + b"\x86"),
    "ordered": again(b"collections\nOrderedDict", MANY, b"\x85"),
    "counted": again(b"collections\nCounter", MANY, b"\x85"),
    "set": again(b"builtins\nset", entries(60_000), b"\x85"),
    "set of text": again(b"builtins\nset", text("a" * 10**6), b"\x85"),
    "size": again(b"torch\nSize", LONG, b"\x85"),
    "set of tuples": again(b"builtins\nset", LONG + entries(60_000, b"h\3"), b"\x85", 1),
    "keys": b"\x80\2" + LONG + b"}(" + 60_000 * b"h\3N" + b"u.",
    "key": b"\x80\2" + LONG + b"}" + 60_000 * b"h\3Ns" + b".",
    "attributes": b"\x80\2" + MANY + b"q\1ccollections\nOrderedDict\n)R" + 3000 * b"h\1b" + b".",
}


@pytest.mark.parametrize("content", COPIES.values(), ids=COPIES)
def test_what_would_be_copied_time_and_again_is_refused(content):
    with pytest.raises(Refused, match="it copies what it holds"):
        Pickle(content)


def test_what_a_tensor_says_of_itself_is_not_gone_through_time_and_again():
    made = pickles.tensor()[:-2]  # the rest of a dictionary, and the end, behind
    one = made[made.index(b"c") :].replace(b")Rt", b")Rh\1t")
    with pytest.raises(Refused, match="it copies what it holds"):
        Pickle(b"\x80\2" + MANY + b"q\1](" + 3000 * one + b"e.")


@pytest.mark.parametrize("key", [b"N", b"]", b"\x88", b"G" + bytes(8), b"ctorch\nSize\n)R"])
def test_storages_are_told_apart_by_their_keys(key):
    made = pickles.tensor()
    assert Pickle(made).storages
    with pytest.raises(Refused, match="it names what is no storage"):
        Pickle(made.replace(text("0"), key))


SHAPES = {
    "more": {"size": (5,), "stride": (1,)},
    "behind": {"offset": 1},
    "far": {"size": (2,), "stride": (4,)},
    "negative": {"stride": (-2, 1)},
    "of other lengths": {"stride": (1,)},
    "repeated": {"size": (2**30,), "stride": (0,)},
    "of many dimensions": {"size": (1,) * 65, "stride": (0,) * 65},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_tensor_stays_within_its_data(shape):
    with pytest.raises(Refused, match="a tensor"):
        Pickle(pickles.tensor(**shape))


@pytest.mark.parametrize("kind", ["float64", "complex128", "Size"])
def test_so_does_one_of_a_type_that_its_data_has_not(kind):
    made = pickles.tensor("torch.storage\nUntypedStorage", count=16)
    made = made.replace(b"_v2", b"_v3").replace(b")Rt", b")Rctorch\n%stR")[:-4] + b"Ru."
    Pickle(made.replace(b"%s", b"float32\n"))
    with pytest.raises(Refused, match=r"a tensor|it names"):
        Pickle(made.replace(b"%s", kind.encode() + b"\n"))


BOMBS = {
    "deep": key(b"N" + 400_000 * b"\x85"),
    "each twice": key(b"N" + 60 * b"q\0h\0\x86"),
    "encoded again": b"\x80\2c_codecs\nencode\n" + text("a") + text("hex") + b"\x86R.",
    "unknown instruction": b"\x80\4\x93.",
    "text without end": b"\x80\2X\xff\xff\xff\xff.",
    "nothing to take": b"\x80\2R.",
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_what_would_go_on_without_end_is_refused(content):
    with pytest.raises(Refused):
        Pickle(content)


def archived(tmp_path, edit=lambda content: content, kind=zipfile.ZIP_STORED, extra=()):
    """The archive of a tensor, written again by Python."""
    torch.save({"a": torch.ones(100)}, tmp_path / "a")
    file = io.BytesIO()
    with zipfile.ZipFile(tmp_path / "a") as made, zipfile.ZipFile(file, "w", kind) as again:
        for entry in made.infolist():
            again.writestr(entry.filename, made.read(entry))
        for name, content in extra:
            again.writestr(name, content)
    (tmp_path / "a").write_bytes(edit(file.getvalue()))
    with open(tmp_path / "a", "rb") as opened:
        screen.archive(opened)


def test_an_archive_that_python_wrote_passes(tmp_path):
    archived(tmp_path)


def test_a_compressed_archive_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"is compressed, which torch\.save never does"):
        archived(tmp_path, kind=zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize(
    ("extra", "match"),
    [
        (("a/DATA.PKL", b""), "two files of one name"),
        (("b/x", b""), "several folders"),
        (("a/constants.pkl", b""), "another number of pickles"),
    ],
)
def test_an_archive_that_may_be_read_in_two_ways_is_refused(tmp_path, extra, match):
    with pytest.raises(Refused, match=match):
        archived(tmp_path, extra=[extra])


@pytest.mark.parametrize("edit", [lambda c: b"PK\3\4" + c, lambda c: c + bytes(9)])
def test_bytes_around_an_archive_are_refused(tmp_path, edit):
    with pytest.raises(Refused):
        archived(tmp_path, edit)


@pytest.mark.parametrize("count", [99, 101, 10**13, -1])
def test_a_tensor_has_the_bytes_that_it_says(tmp_path, count):
    small = pickle.dumps(("storage", 100), 2)[2:]
    assert b"Kd" in small  # how a pickle writes 100
    number = b"\x8a\x08" + struct.pack("<q", count)
    with pytest.raises(Refused):
        archived(tmp_path, lambda c: resaved(c, number))


def resaved(content, number):
    """An archive whose tensor says another number of elements."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as made, zipfile.ZipFile(file, "w") as again:
        for entry in made.infolist():
            found = made.read(entry)
            found = found.replace(b"Kd", number) if entry.filename.endswith(".pkl") else found
            again.writestr(entry.filename, found)
    return file.getvalue()


def test_a_tar_archive_that_begins_like_a_pickle_is_not_unpacked(tmp_path):
    block = bytearray(512)
    block[:15] = pickle.dumps(0x1950A86A20F9469CFC6C, 2)[:15]
    (tmp_path / "a").write_bytes(block)
    with open(tmp_path / "a", "rb") as file, pytest.raises(Refused):
        screen.legacy(file)
