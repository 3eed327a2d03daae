"""What torch must not be given is refused before, and what it writes itself is not."""

import io
import pickle
import struct
import zipfile

import pytest
import torch

from effcc.nn import screen
from effcc.nn.screen import Foreign, Pickle, Refused


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
    content |= {"model": torch.nn.BatchNorm2d(3).state_dict(), "size": torch.ones(2, 3).size()}
    torch.save(content, tmp_path / "a", **how)
    with open(tmp_path / "a", "rb") as file:
        (screen.legacy if how else screen.archive)(file)


NAMED = ["os system", "builtins eval", "builtins getattr", "torch load", "torch.hub load"]
NAMED += ["builtins bytearray", "torch Tensor", "torch._utils _rebuild_meta_tensor_no_storage"]


@pytest.mark.parametrize("name", NAMED)
def test_code_is_refused_by_its_name(name):
    with pytest.raises(Foreign, match=f"it names {name.replace(' ', '.')}"):
        Pickle(b"\x80\2c" + name.replace(" ", "\n").encode() + b"\n.")


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
