"""Tar shards as others write them: what they hold is found, what they may not hold is refused."""

import io
import os
import tarfile

import numpy as np
import pytest
from conftest import ROOT

from effcc.sources import index
from effcc.sources.decode import MissingData


def tar(path, *members, form=tarfile.PAX_FORMAT):
    """A tar of (name, content) and ready-made headers."""
    with tarfile.open(path, "w", format=form) as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                file.addfile(info, io.BytesIO(member[1]))
    return path


def found(path):
    """(name, label, content) of every image."""
    rows = index.read(path)
    whole = path.read_bytes()
    return [
        (
            os.fsdecode(bytes(r["name"])),
            r["label"].decode(),
            whole[r["offset"] : r["offset"] + r["size"]],
        )
        for r in rows
    ]


def test_a_shard_that_webdataset_wrote_is_read():
    rows = found(ROOT / "tests/golden/webdataset-0001.tar")
    assert [row[:2] for row in rows] == [("sample0003.png", "1"), ("sample0004.png", "0")]
    assert all(content.startswith(b"\x89PNG") for _, _, content in rows)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_samples_are_files_of_one_name_up_to_its_first_dot(tmp_path, form):
    rows = found(
        tar(
            tmp_path / "a.tar",
            ("a/x.cls", b"1\n"),
            ("a/x.jpg", b"one"),
            ("b.c/x.input.JPEG", b"two" * 999),
            ("b.c/x.cls", b"dog"),
            ("y.png", b"three"),
            ("y.json", b'{"width": 4, "label": 12}'),
            ("z.jpg", b"four"),
            ("z.json", b'{"label": 1}'),
            ("z.cls", b"2"),
            ("README", b"no sample"),
            ("about.txt", b"none either"),
            ("__meta__.json", b"[1]"),
            (".hidden.jpg", b"nor this"),
            form=form,
        )
    )
    assert rows == [
        ("a/x.jpg", "1", b"one"),
        ("b.c/x.input.JPEG", "dog", b"two" * 999),
        ("y.png", "12", b"three"),
        ("z.jpg", "2", b"four"),
    ]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("stem", ["long/" * 40 + "n" * 90, "Äpfel/größe", os.fsdecode(b"caf\xe9")])
def test_long_and_foreign_names_are_read(tmp_path, form, stem):
    rows = found(
        tar(tmp_path / "a.tar", (f"{stem}.jpg", b"x" * 700), (f"{stem}.cls", b"3"), form=form)
    )
    assert rows == [(f"{stem}.jpg", "3", b"x" * 700)]


def header(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("label", ["house\u00a0cat", "\u0645\u06cc\u200c\u062e\u0648\u0627"])
def test_a_class_may_have_any_letter_that_a_line_shows(tmp_path, label):
    path = tar(tmp_path / "a.tar", ("x.jpg", b"x"), ("x.cls", label.encode()))
    assert found(path) == [("x.jpg", label, b"x")]


@pytest.mark.parametrize("label", ["-1", "+3"])
def test_no_class_has_a_number_with_a_sign(tmp_path, label):
    path = tar(tmp_path / "a.tar", ("x.jpg", b"x"), ("x.cls", label.encode()))
    with pytest.raises(MissingData, match=r"a\.tar: x\.cls holds .\d, no class's number"):
        found(path)


SAMPLE = (("x.jpg", b"one"), ("x.cls", b"1"))
REFUSED = [
    ([*SAMPLE, header("y.jpg", tarfile.SYMTYPE, "/etc/passwd")], "'y.jpg' is a link, device or"),
    ([*SAMPLE, header("y.jpg", tarfile.LNKTYPE, "x.jpg")], "'y.jpg' is a link"),
    ([*SAMPLE, header("y.jpg", tarfile.CHRTYPE)], "'y.jpg' is a link, device"),
    ([*SAMPLE, header("y.jpg", tarfile.FIFOTYPE)], "'y.jpg' is a link, device"),
    ([("/etc/x.jpg", b"")], "'/etc/x.jpg' leads out of the shard"),
    ([("a/../../x.jpg", b"")], r"'a/\.\./\.\./x.jpg' leads out of the shard"),
    ([("x.jpg", b"one")], r"x.jpg has no class; add x.cls with its number or name, or"),
    ([("x.jpg", b"one"), ("x.json", b'{"caption": "a cat"}')], r"x.jpg has no class"),
    ([("x.jpg", b"one"), ("x.json", b'{"label": true}')], r"x.jpg has no class"),
    ([("x.cls", b"1")], r"x has a class and no image \(\.jpg, "),
    ([*SAMPLE, ("x.left.png", b"")], "x has two images, x.jpg and x.left.png"),
    ([("x.jpg", b""), ("x.cls", b" \n")], "x.cls is empty; write the class's number or name"),
    ([("x.jpg", b""), ("x.cls", b"\xff")], "x.cls is no UTF-8 text"),
    ([("x.jpg", b""), ("x.json", b"{label: 1}")], "x.json is no JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("members", "message"), REFUSED)
def test_what_no_shard_may_hold_is_refused(tmp_path, members, message):
    path = tar(tmp_path / "a.tar", *members)
    with pytest.raises(MissingData, match=rf"a\.tar: {message}"):
        index.read(path)


@pytest.mark.parametrize("keep", [1500, 1024, 600, 100])
def test_a_shard_that_was_cut_short_is_refused(tmp_path, keep):
    path = tar(tmp_path / "a.tar", ("x.cls", b"1"), ("x.jpg", b"x" * 900), ("y.cls", b"1"))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MissingData, match=r"a\.tar: is no whole, uncompressed tar file .* again"):
        index.read(path)


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path):
    path = tar(tmp_path / "a.tar", *SAMPLE, ("y.jpg", b"two"), ("y.cls", b"0"))
    damaged = bytearray(path.read_bytes())
    damaged[2048 + 10] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(MissingData, match=r"it breaks off at byte 2,048"):
        index.read(path)


def test_other_files_are_no_shards(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w:gz") as file:
        file.addfile(tarfile.TarInfo("x"))
    (tmp_path / "b.tar").write_bytes(b"no tar" * 999)
    for name in ("a.tar", "b.tar"):
        with pytest.raises(MissingData, match="is no whole, uncompressed tar file"):
            index.read(tmp_path / name)
    with pytest.raises(MissingData, match=r"c\.tar: cannot be read: No such file"):
        index.read(tmp_path / "c.tar")


def test_a_saved_index_is_used_if_it_is_sound_and_fits(tmp_path):
    rows = index.read(tar(tmp_path / "a.tar", *SAMPLE))
    kept = tmp_path / "kept"
    index.save(kept, rows)
    assert index.load(kept, 10**4).tobytes() == rows.tobytes()
    assert index.load(kept, 500) is None  # of a longer shard
    assert len(list(tmp_path.iterdir())) == 2  # nothing is left of the writing
    kept.write_bytes(kept.read_bytes()[:-3])
    assert index.load(kept, 10**4) is None
    for other in (np.arange(3), np.array([print])):  # the second is code, which is never loaded
        with kept.open("wb") as file:
            np.save(file, other)
        assert index.load(kept, 10**4) is None
    assert index.load(tmp_path / "none", 10**4) is None
