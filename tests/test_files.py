"""A file is written whole or not at all."""

import glob
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from effcc.ground import files


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_is_replaced_by_exactly_the_content(tmp_path):
    (tmp_path / "f").write_text("old and longer")
    files.write(tmp_path / "f", "é 😀\nb\r\n")
    assert contents(tmp_path) == {"f": "é 😀\nb\r\n".encode()}
    files.write(tmp_path / "f", b"\x89PNG\r\n\xff")
    assert contents(tmp_path) == {"f": b"\x89PNG\r\n\xff"}


def test_who_may_read_a_file_stays_as_it_is(tmp_path):
    (tmp_path / "f").touch(0o600)
    files.write(tmp_path / "f", "x")
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600


@pytest.mark.parametrize("function", [files.write, files.create])
def test_missing_folders_are_made(tmp_path, function):
    function(tmp_path / "a" / "b" / "f", "x")
    assert contents(tmp_path / "a" / "b") == {"f": b"x"}


@pytest.mark.parametrize("function", [files.write, files.create])
def test_everybody_may_read_what_was_written(tmp_path, function):
    function(tmp_path / "f", "x")
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o644


def test_a_created_file_is_never_over_another(tmp_path):
    (tmp_path / "f").write_text("first")
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "f", "second")
    assert contents(tmp_path) == {"f": b"first"}


def test_of_many_that_create_at_once_exactly_one_wins(tmp_path):
    won = []

    def attempt(number):
        try:
            files.create(tmp_path / "f", str(number))
            won.append(number)
        except FileExistsError:
            pass

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert contents(tmp_path) == {"f": str(won[0]).encode()}


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failing):
    def full(*args):
        raise OSError(28, "No space left on device")

    (tmp_path / "f").write_text("old")
    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="No space left"):
        files.write(tmp_path / "f", "new")
    assert contents(tmp_path) == {"f": b"old"}


def test_text_that_cannot_be_encoded_leaves_nothing(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        files.create(tmp_path / "f", "half \ud800")
    assert contents(tmp_path) == {}


def test_what_a_block_wrote_takes_the_place_whole(tmp_path):
    (tmp_path / "f").write_bytes(b"old")
    with files.whole(tmp_path / "f") as temporary:
        temporary.write_bytes(b"new")
        assert (tmp_path / "f").read_bytes() == b"old"
        temporary.chmod(0o600)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o644
    assert contents(tmp_path) == {"f": b"new"}


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "f").write_bytes(b"old")

    def stop_half_way():
        with files.whole(tmp_path / "f") as temporary:
            temporary.write_bytes(b"ne")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        stop_half_way()
    assert contents(tmp_path) == {"f": b"old"}


def test_a_files_hash_is_sha256(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert files.sha256(tmp_path / "f").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")


def test_a_folder_that_takes_no_files_is_told_by_the_file_that_was_asked_for():
    with pytest.raises(FileNotFoundError) as told:
        files.write(Path("/proc/record.json"), "x")
    assert told.value.filename == "/proc/record.json"


@pytest.fixture
def tree(tmp_path):
    for name in ("a/x.yml", "a/b/x.yml", "a/.h/x.yml", "x.yml", ".x.yml", "c/y.yml", "x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    "pattern",
    [
        *("x.yml", "*.yml", "./a/*.yml", "a/../x.yml", "*/x.yml", "**/x.yml", "**", "**/b/*"),
        *(
            "a/**",
            "[xy].*",
            "?/?.yml",
            ".*",
            "a/.h/*",
            "none",
            "none/*",
            "x.yml/*",
            "*/none",
            "**x",
        ),
        *("a", "*", "[", "**/**/x.yml", "**/*/x.yml"),
    ],
)
def test_a_pattern_means_what_it_means_to_python(tree, pattern):
    wanted = {os.path.normpath(path) for path in glob.glob(str(tree / pattern), recursive=True)}
    assert {os.path.normpath(path) for path in files.matching(tree, pattern)} == wanted
    assert files.matching("/", str(tree / pattern).lstrip("/")) == files.matching(tree, pattern)


def test_ways_without_number_to_a_file_are_one(tree):
    for name in ("a/p", "a/q", "a/r"):
        (tree / name).symlink_to(".")
    before = time.process_time()
    for pattern in ("**/" * 15, "*/../" * 15, "**/*/../" * 15, "a/" + "*/" * 15):
        found = files.matching(tree, f"{pattern}x.yml")
        assert len(found) <= 4
    assert time.process_time() - before < 2


def test_a_name_that_cannot_be_is_none(tree):
    assert [files.matching(tree, name) for name in ("a\0b", "*\0", "\udc80*")] == [[], [], []]
