"""What npm brings is used only if it is, to the byte, what was looked at when it was chosen."""

import base64
import hashlib
import io
import os
import re
import shutil
import tarfile
from types import SimpleNamespace

import pytest
from conftest import ROOT

from effcc.report import vendor
from effcc.report.vendor import NotVendored, Package

CONTENT = b"export default 1;\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILES = {"package/package.json": b"{}", "package/dist/a.mjs": CONTENT}


def archive(files, links=()):
    """The bytes of an archive as npm makes them."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for name, target in links:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return made.getvalue()


def package(content):
    """The package that such an archive is, or would be."""
    integrity = base64.b64encode(hashlib.sha512(content).digest()).decode()
    return Package("a-package", "1.2.3", f"sha512-{integrity}", {"dist/a.mjs": SHA256})


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """An npm of the test's own, which puts `archive` where it is asked to, and an empty cache."""
    monkeypatch.setenv("EFFCC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "npm"

    def is_(script):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    is_(f'echo "$@" >> {tmp_path}/asked; cp {tmp_path}/archive "$5/a-package-1.2.3.tgz"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    asked = tmp_path / "asked"
    return SimpleNamespace(
        is_=is_,
        gives=(tmp_path / "archive").write_bytes,
        asked=lambda: asked.read_text().splitlines() if asked.exists() else [],
        cache=tmp_path / "cache",
    )


def files_in(folder):
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in found if path.suffix != ".lock"}


def test_a_package_is_fetched_once_and_only_what_is_used_is_kept(npm):
    content = archive(FILES)
    npm.gives(content)
    wanted = package(content)
    assert vendor.fetch(wanted) == vendor.fetch(wanted) == wanted.folder
    assert files_in(npm.cache) == {"a.mjs": CONTENT}
    (asked,) = npm.asked()
    assert asked.startswith("pack a-package@1.2.3 --ignore-scripts ")


def test_another_archive_than_the_known_one_is_thrown_away(npm):
    npm.gives(archive(FILES | {"package/more": b"x"}))
    wanted = package(archive(FILES))
    with pytest.raises(NotVendored, match="SHA-512 is another"):
        vendor.fetch(wanted)
    assert files_in(npm.cache) == {}
    assert not vendor.cached(wanted)


def test_a_file_that_is_another_than_the_known_one_is_not_taken(npm):
    content = archive(FILES | {"package/dist/a.mjs": b"export default 2;\n"})
    npm.gives(content)
    with pytest.raises(NotVendored, match=r"dist/a\.mjs is not the file"):
        vendor.fetch(package(content))
    assert files_in(npm.cache) == {}


def test_names_in_an_archive_lead_nowhere(npm, tmp_path):
    outside = {"package/../../out": b"x", "../../../out": b"x", "/out": b"x"}
    content = archive(FILES | outside)
    npm.gives(content)
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    vendor.fetch(package(content))
    after = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    assert after - before == {tmp_path / "asked"}
    assert files_in(npm.cache) == {"a.mjs": CONTENT}


def test_a_link_in_the_place_of_a_file_is_not_followed(npm, tmp_path):
    (tmp_path / "secret").write_bytes(CONTENT)
    content = archive({}, links=[("package/dist/a.mjs", str(tmp_path / "secret"))])
    npm.gives(content)
    with pytest.raises(NotVendored, match="is no file"):
        vendor.fetch(package(content))
    assert files_in(npm.cache) == {}


@pytest.mark.parametrize("content", [b"no archive", archive(FILES)[:60], archive({})])
def test_an_archive_that_cannot_be_read_is_one_line(npm, content):
    npm.gives(content)
    with pytest.raises(NotVendored, match=r"^a-package .*: its archive cannot be read") as told:
        vendor.fetch(package(content))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("left", [b"", CONTENT[:5]])
def test_what_was_written_by_half_is_fetched_again(npm, left):
    content = archive(FILES)
    npm.gives(content)
    wanted = package(content)
    wanted.folder.mkdir(parents=True)
    wanted.path("dist/a.mjs").write_bytes(left)
    assert not vendor.cached(wanted)
    vendor.fetch(wanted)
    assert vendor.cached(wanted)


def test_without_npm_it_says_what_to_install_or_leave_out(npm, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotVendored, match="no npm here: install it") as told:
        vendor.fetch(package(b""))
    assert "--no-demo" in str(told.value)
    assert not npm.cache.exists()


@pytest.mark.parametrize("mark", ["error", "ERR!"])
def test_what_npm_complains_of_is_passed_on_in_one_line(npm, mark):
    npm.is_(
        f"echo 'npm {mark} code ENOTFOUND' >&2\necho 'npm {mark} syscall getaddrinfo' >&2\n"
        f"echo 'npm {mark} network request failed, there is none' >&2\nexit 1"
    )
    with pytest.raises(NotVendored) as told:
        vendor.fetch(package(b""))
    assert str(told.value).startswith(
        "npm could not fetch a-package 1.2.3: network request failed, there is none; "
    )
    assert "\n" not in str(told.value)


def test_an_npm_that_brings_nothing_is_told_as_such(npm):
    npm.is_("exit 0")
    with pytest.raises(NotVendored, match="npm ended with 0"):
        vendor.fetch(package(b""))


def test_what_is_vendored_is_pinned_and_lies_beside_its_licence():
    for known in (vendor.ONNXRUNTIME,):
        digest = known.integrity.removeprefix("sha512-")
        assert len(base64.b64decode(digest, validate=True)) == 64
        assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in known.files.values())
        assert "Copyright" in known.license.read_text()
        text = (ROOT / "docs" / "site.md").read_text()
        assert f"version {known.version}" in text


@pytest.mark.network
def test_npm_brings_what_is_pinned(tmp_path, monkeypatch):
    if not shutil.which("npm"):
        pytest.skip("needs npm")
    monkeypatch.setenv("EFFCC_CACHE", str(tmp_path))
    vendor.fetch(vendor.ONNXRUNTIME)
    assert vendor.cached(vendor.ONNXRUNTIME)
