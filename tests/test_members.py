"""The members of a tar archive are those that Python's reader finds; nothing keeps it busy."""

import io
import os
import tarfile

import pytest

from effcc.sources.members import BadTar, members

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
LONG = "folder/" * 20 + "n" * 90


def written(path, *infos, form="pax", headers=None):
    with tarfile.open(path, "w", format=FORMATS[form], pax_headers=headers) as tar:
        for info in infos:
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def info(name, size=0, kind=tarfile.REGTYPE, **pax):
    made = tarfile.TarInfo(name)
    made.size, made.type, made.pax_headers = size, kind, pax
    return made


def found(path):
    with open(path, "rb") as file:
        return list(members(file.fileno()))


@pytest.mark.parametrize("form", FORMATS)
def test_names_and_places_are_those_that_python_finds(tmp_path, form):
    names = ["a.jpg", LONG, "b/c.cls"] + ([] if form == "ustar" else ["l" * 300, "größe", "\udce9"])
    entries = [info(name, size) for size, name in enumerate(names, 510)]
    entries.insert(2, info("folder", 0, tarfile.DIRTYPE))
    path = written(tmp_path / "a.tar", *entries, form=form)
    with tarfile.open(path) as tar:
        expected = [(m.name, m.isdir(), m.offset_data, m.size) for m in tar]
    names = [(m.name.rstrip("/"), m.folder, m.offset, m.size) for m in found(path)]
    assert names == expected
    assert all(m.plain != m.folder for m in found(path))


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"6", b"S"])
def test_links_devices_and_sparse_files_are_no_plain_files(tmp_path, kind):
    path = written(tmp_path / "a.tar", info("a.jpg", 0, kind))
    assert [m.plain for m in found(path)] == [False]


def test_a_contiguous_file_is_a_plain_one(tmp_path):
    path = written(tmp_path / "a.tar", info("a.jpg", 3, tarfile.CONTTYPE))
    assert [(m.plain, m.size) for m in found(path)] == [(True, 3)]


def test_sparse_files_are_known_by_their_records_too(tmp_path):
    path = written(tmp_path / "a.tar", info("a.jpg", 0, **{"GNU.sparse.major": "1"}))
    assert [m.plain for m in found(path)] == [False]


def header(size=b"%011o\0" % 0, kind=b"0", name=b"a.jpg"):
    """A block whose sum is right, whatever is in it."""
    block = bytearray(512)
    block[: len(name)], block[124:136], block[156:157] = name, size, kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


ENORMOUS = b"\x80" + (2**63).to_bytes(11, "big")
BELOW_ZERO = b"\xff" * 11 + b"\x00"
RECORD = b"16 path=a/b.jpg\n"
NOT_WHOLE = {
    "8 EB of content": header(ENORMOUS),
    "8 EB of a name": header(ENORMOUS, b"L"),
    "8 EB of records": header(ENORMOUS, b"x"),
    "a size below zero": header(BELOW_ZERO),
    "records of a size below zero": header(BELOW_ZERO, b"x"),
    "a record that ends before it begins": header(b"%011o\0" % 24, b"x") + RECORD + b"xxxxxxxx",
    "a record as long as none": header(b"%011o\0" % 18, b"x") + RECORD + b"0 ",
    "a record longer than all": header(b"%011o\0" % 16, b"x") + b"99 path=a/b.jpg\n",
    "a size in words": header(b"%011o\0" % 12, b"x") + b"12 size=-512"[:11] + b"\n",
    "a sum that is wrong": b"b" + header()[1:],
    "no sum": header()[:148] + b"x" * 8 + header()[156:],
    "nothing after the last": header(),
    "a name with a zero in it": header(b"%011o\0" % 14, b"x")
    + b"14 path=a\0.jpg\n"[:14]
    + header(),
}


@pytest.mark.parametrize("content", NOT_WHOLE.values(), ids=NOT_WHOLE)
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "a.tar"
    path.write_bytes(content.ljust(-(-len(content) // 512) * 512, b"\0"))
    with pytest.raises(BadTar, match=r".{9}"):
        found(path)


def test_old_programs_added_signed_bytes(tmp_path):
    block = bytearray(header(name="größe".encode()))
    block[148:156] = b" " * 8
    signed = sum(byte - 256 if byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % signed
    (tmp_path / "a.tar").write_bytes(bytes(block) + bytes(1024))
    assert [m.name for m in found(tmp_path / "a.tar")] == ["größe"]
    assert os.path.getsize(tmp_path / "a.tar") == 1536
