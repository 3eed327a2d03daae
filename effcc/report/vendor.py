"""Packages of npm that a built site carries a copy of: fetched once, checked, kept in the cache.

A package is known by hashes that stand here, not by what a registry says of it today: one of the
archive, as npm publishes it (`npm view NAME@VERSION dist.integrity`), and one of each file that is
taken from it. npm only fetches; no script of a package runs, and of an archive nothing is unpacked
but the files that are named here, under the names that they have here.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from effcc.ground import files, home
from effcc.ground.errors import UserError

_PATIENCE = 300  # seconds for npm


class NotVendored(UserError):
    """A package that cannot be had, or that is not what it should be; the cache is as before."""


@dataclass(frozen=True, slots=True)
class Package:
    """A version of a package, and the files of it that are used.

    Args:
        name: as npm knows it.
        version: that one and no other.
        integrity: `sha512-` and the archive's SHA-512 in base64.
        files: their paths in the package, each with its SHA-256 as hex digits.
    """

    name: str
    version: str
    integrity: str
    files: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def license(self) -> Path:
        """Its licence; archives of npm need not hold one."""
        return Path(__file__).with_name("licenses") / f"{self.name}.txt"

    @property
    def folder(self) -> Path:
        """Where its files are kept, once they are."""
        return home.cache() / "npm" / f"{self.name}-{self.version}"

    def path(self, file: str) -> Path:
        """Where one of them is kept, by its path in the package."""
        return self.folder / file.rpartition("/")[2]


# Computes ONNX graphs in a browser. Of the versions since there is one WebAssembly file for all
# browsers (1.19), this one's is the smallest: 2.9 MB packed, where 1.30.0 has 3.7. It needs no
# headers of the server as long as it computes in one thread.
ONNXRUNTIME = Package(
    "onnxruntime-web",
    "1.22.0",
    "sha512-Ud/+EBo6mhuaQWt/OjaOk0iNWjXqJoeeMFr6xQEERZdIZH2OWpGzuujz7lfuOBjUa6TEE/sc4nb7Da5dNL34fg==",
    {
        "dist/ort.wasm.min.js": "65e09376df69107e881b5c34d2d37aed333a366b6d941073ec518168e269b87d",
        "dist/ort-wasm-simd-threaded.mjs": (
            "30dd851d9c00622940500f71ddd2ff8820c5cb65270816080175b958705385a8"
        ),
        "dist/ort-wasm-simd-threaded.wasm": (
            "71aef04959c5c1b6de461b6538e2058e306610034a85aad2742d0c7fd4533fe4"
        ),
    },
)


def cached(package: Package) -> bool:
    """Whether every file of a package is in the cache and still what it should be."""
    return all(
        (path := package.path(file)).is_file() and files.sha256(path) == digest
        for file, digest in package.files.items()
    )


def fetch(package: Package) -> Path:
    """Bring a package's files into the cache, unless they are there; returns their folder.

    Raises:
        NotVendored: npm is missing or cannot fetch it, or what it fetched is another.
    """
    if cached(package):  # before anything is written: a shared cache may be read-only
        return package.folder
    npm = shutil.which("npm")
    if npm is None:
        raise NotVendored(
            f"the model on the page needs {package}, which npm fetches, and there is no npm here: "
            "install it (Debian: npm), or leave the model out with --no-demo"
        )
    package.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(package.folder.with_name(f"{package.folder.name}.lock")):
        if not cached(package):
            with tempfile.TemporaryDirectory(prefix="effcc-npm-") as folder:
                _unpack(package, _archive(package, npm, Path(folder)))
    return package.folder


def _archive(package: Package, npm: str, folder: Path) -> Path:
    """Have npm put the package's archive into an empty folder."""
    # Nothing of a package runs when it is only packed; the flag says so once more.
    words = ["pack", f"{package.name}@{package.version}", "--ignore-scripts"]
    try:
        done = subprocess.run(
            [npm, *words, "--pack-destination", str(folder)],
            cwd=folder,  # no project's settings for npm
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise _unfetched(package, f"no answer for {_PATIENCE} s") from None
    archives = sorted(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        raise _unfetched(package, _reason(done.stderr) or f"npm ended with {done.returncode}")
    return archives[0]


def _unfetched(package: Package, reason: str) -> NotVendored:
    return NotVendored(
        f"npm could not fetch {package}: {reason}; try again with a network, or leave the model "
        "out with --no-demo"
    )


def _reason(said: str) -> str:
    """The first line of npm's that is a sentence; before it come the error's code and number."""
    lines = re.findall(
        r"^npm (?:error|ERR!) (.*)", said, re.MULTILINE
    )  # the second before npm 10.6
    return next((line.strip() for line in lines if line.count(" ") > 2), "")


def _unpack(package: Package, archive: Path) -> None:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != package.integrity:
        raise NotVendored(
            f"{package}: what npm fetched is not the package of that version: its SHA-512 is "
            "another; it was thrown away"
        )
    try:
        with tarfile.open(archive, "r:gz") as tar:
            contents = {file: _content(tar, file) for file in package.files}
    except (tarfile.TarError, OSError, EOFError, KeyError) as error:
        raise NotVendored(f"{package}: its archive cannot be read: {error}") from None
    for file, content in contents.items():
        if hashlib.sha256(content).hexdigest() != package.files[file]:
            raise NotVendored(f"{package}: {file} is not the file that it should be")
    for file, content in contents.items():
        files.write(package.path(file), content)


def _content(tar: tarfile.TarFile, file: str) -> bytes:
    """A file of a package: npm puts all of them into the folder `package`."""
    member = tar.getmember(f"package/{file}")
    content = tar.extractfile(member) if member.isreg() else None  # a link leads anywhere
    if content is None:
        raise tarfile.TarError(f"{file} is no file")
    return content.read()
