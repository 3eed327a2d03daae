"""Weights that others published: fetched once, checked, kept in the platform's cache. No torch.

A file is known by its hash, never by its name alone: the first eight digits of its SHA-256 stand in
the file name (torch hub's convention, `name-<8 hex digits>.pth`), all 64 may stand in the registry.
Nothing that does not bear out what is known enters the cache, and what is in it is checked at use.
"""

from __future__ import annotations

import errno
import functools
import http.client
import ipaddress
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from effcc.catalog.spec import Spec
from effcc.ground import files, home
from effcc.ground.errors import UserError

# The largest published file has 159 MB; what never ends is no file of weights.
MAX_BYTES = 8 * 2**30
_CHUNK = 2**20
_SILENCE = 30  # seconds without a byte after which a server is given up
# Nor may it drip: so many bytes in so many seconds are the least.
_LEAST, _WHILE = 60_000, 60.0

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_HASHED = re.compile(r".+-([0-9a-f]{8,64})\.[a-z]+")

# Called with the bytes that are there and the bytes of the whole, if the server says.
Progress = Callable[[int, int | None], None]


class NotPublished(UserError):
    """A variant whose weights nobody published, or not so that they could be checked."""


class BadDownload(UserError):
    """Weights that cannot be had, or that are not what they should be."""


@dataclass(frozen=True, slots=True)
class Published:
    """A file of weights: where it is, and what its SHA-256 begins with."""

    variant: str
    url: str
    digits: str  # 8 to 64 of them

    @classmethod
    def of(cls, spec: Spec) -> Published:
        """The published weights of a variant.

        Raises:
            NotPublished: there are none, or nothing says what the file must be.
        """
        url = spec.weights.url
        if not url:
            raise NotPublished(f"{spec.name}: {spec.entry} has no Weights; nobody published any")
        hold(url)
        name = _name_in(url)
        named, stated = digits_in(url), spec.weights.sha256 or ""
        if stated and not stated.startswith(named):
            raise NotPublished(
                f"{spec.name}: {name} has another hash in its name than weights.sha256 states"
            )
        digits = stated or named
        if not digits:
            raise NotPublished(
                f"{spec.name}: {name} has no hash in its name, so nothing says what it must be; "
                f"state it in registry/{spec.name}.yaml as weights: {{sha256: ...}}"
            )
        return cls(spec.name, url, digits)

    @property
    def path(self) -> Path:
        """Where the file is kept, once it is."""
        name = Path(_name_in(self.url))
        if not _HASHED.fullmatch(name.name):  # two files called model.safetensors are two files
            name = name.with_stem(f"{name.stem}-{self.digits[:8]}")
        return home.cache() / "weights" / name

    def is_right(self, path: Path) -> bool:
        """Whether a file is this one, by its hash."""
        return files.sha256(path).startswith(self.digits)


def digits_in(url: str) -> str:
    """What the SHA-256 of a file begins with, by its name at an address; empty if it has none.

    Raises:
        BadDownload: the address names no file.
    """
    hashed = _HASHED.fullmatch(_name_in(url))
    return hashed[1] if hashed else ""


def cached(weights: Published) -> Path | None:
    """The file, if it is in the cache and still what it should be."""
    path = weights.path
    return path if path.is_file() and weights.is_right(path) else None


def is_published(spec: Spec, sha256: str) -> bool:
    """Whether a file is the one that was published, by the whole SHA-256 of the file."""
    try:
        return sha256.startswith(Published.of(spec).digits)
    except UserError:
        return False


def pull(weights: Published, *, file: Path | None = None, progress: Progress | None = None) -> Path:
    """Bring published weights into the cache, unless they are there; returns where.

    A download that breaks off is continued by the next. Several processes may pull at once: one
    does it, the others wait.

    Args:
        weights: what to bring.
        file: a copy on this machine, taken instead of asking the network.
        progress: called as bytes arrive.

    Raises:
        BadDownload: it cannot be had, or is not what it should be.
    """
    if found := cached(weights):  # before anything is written: a shared cache may be read-only
        return found
    path = weights.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock")):
        if found := cached(weights):
            return found
        if file:
            _copy(weights, file)
        else:
            _download(weights, path.with_name(f"{path.name}.part"), progress)
    return path


def _copy(weights: Published, file: Path) -> None:
    if not file.is_file():
        raise BadDownload(f"{file}: no such file")
    with files.whole(weights.path) as temporary:
        shutil.copyfile(file, temporary)
        if not weights.is_right(temporary):
            found = files.sha256(temporary)[: len(weights.digits)]
            raise BadDownload(
                f"{file}: SHA-256 begins with {found}, that of {weights.path.name} with "
                f"{weights.digits}; it is another file, or damaged"
            )


def _download(weights: Published, part: Path, progress: Progress | None) -> None:
    try:
        _fetch(weights.url, part, progress)
    except (OSError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) in _OF_THE_DISK:
            raise
        # A URLError wraps what went wrong; an HTTPError, which is one too, says it itself.
        http_error = isinstance(error, urllib.error.HTTPError)
        reason = error if http_error else getattr(error, "reason", error)
        kept = part.stat().st_size if part.is_file() else 0
        so_far = f" after {kept / 1e6:.1f} MB, which are kept" if kept else ""
        raise BadDownload(
            f"{weights.url}: {reason}{so_far}; try again, or with a copy of the file: "
            f"effcc weights pull {weights.variant} --file FILE"
        ) from None
    if not weights.is_right(part):
        found = files.sha256(part)[: len(weights.digits)]
        part.unlink()
        raise BadDownload(
            f"{weights.url}: SHA-256 begins with {found}, not {weights.digits}; "
            f"what arrived was thrown away"
        )
    os.replace(part, weights.path)


def _fetch(url: str, part: Path, progress: Progress | None) -> None:
    """Append to `part` what is missing in it."""
    start = part.stat().st_size if part.is_file() else 0
    asked = urllib.request.Request(url, headers={"User-Agent": "effcc"})
    if start:
        asked.add_header("Range", f"bytes={start}-")
    try:
        answer = _opener(urlsplit(url).hostname or "").open(asked, timeout=_SILENCE)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not start:  # 416: the part has every byte already, or too many
            raise
        return
    with answer, part.open("ab") as file:
        if not start or not _continues(answer, start):
            start = 0
            file.truncate(0)
        length = answer.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        _receive(answer, file, start, total, progress)
        file.flush()
        os.fsync(file.fileno())


def _receive(
    answer: Any, file: IO[bytes], there: int, total: int | None, progress: Progress | None
) -> None:
    if total is not None and total > MAX_BYTES:
        raise BadDownload(f"{answer.url}: {total:,} bytes, more than weights ever have")
    since, before = time.monotonic(), there
    while chunk := answer.read1(_CHUNK):  # what is there, without waiting for more
        there += len(chunk)
        if (now := time.monotonic()) - since > _WHILE:
            if there - before < _LEAST:
                rate = (there - before) / (now - since)
                raise http.client.HTTPException(f"only {rate:.0f} bytes a second came")
            since, before = now, there
        if there > MAX_BYTES:
            file.truncate(0)
            raise BadDownload(f"{answer.url}: does not end; given up after {MAX_BYTES:,} bytes")
        file.write(chunk)
        if progress:
            progress(there, total)
    if total is not None and there < total:
        raise http.client.HTTPException("the connection broke off")


def _continues(answer: Any, start: int) -> bool:
    """Whether the answer is the rest that was asked for; else it is the whole file."""
    place = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return answer.status == 206 and place is not None and int(place[1]) == start


def hold(url: str) -> None:
    """Only https, to a named host, without a password in the address.

    Raises:
        BadDownload: the address is another.
    """
    try:
        parts = urlsplit(url)
        host, user = parts.hostname, parts.username or parts.password
    except ValueError:
        parts, host, user = None, None, None
    if parts is None or parts.scheme != "https" or not host:
        raise BadDownload(f"{url}: only https:// addresses are fetched")
    if user:
        raise BadDownload(f"an address at {host} holds a name or password; remove it")


def _name_in(url: str) -> str:
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    if not _NAME.fullmatch(name):
        raise BadDownload(f"{url}: does not end in the name of a file")
    return name


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows only to addresses that may be fetched themselves."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        try:
            hold(newurl)
        except BadDownload:
            fp.close()
            raise
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new:  # it is for a proxy, which the new host may be reached without
            new.headers.pop("Proxy-authorization", None)
        return new


class _Https(urllib.request.HTTPSHandler):
    """Connects where nobody is led astray: see `_Connection`."""

    def __init__(self, named: str) -> None:
        super().__init__()
        self.named = named
        self.from_outside = False  # whether a public host has been reached

    def https_open(self, req: Any) -> Any:
        """Answer a request, once it is known whom it would reach."""
        make: Any = functools.partial(_Connection, self)
        return self.do_open(make, req)


class _Connection(http.client.HTTPSConnection):
    """Asks nothing of this machine or its network because a public host said so.

    What counts is who answers, not what the name led to when somebody looked: that may change. A
    proxy looks for itself, so then only an address that is a number can be told.
    """

    def __init__(self, through: _Https, host: str, **how: Any) -> None:
        super().__init__(host, **how)
        self.through = through

    def connect(self) -> None:
        """Connect, and hang up before anything is asked if it may not be.

        By then the two have shaken hands: whoever is there has seen that somebody came, no more.
        """
        super().connect()
        asked = getattr(self, "_tunnel_host", None)  # of a proxy
        host, address = asked or self.host, asked or self.sock.getpeername()[0]
        if is_public(host.casefold(), address):
            self.through.from_outside = True
        elif self.through.from_outside:
            self.close()
            raise BadDownload(
                f"https://{self.through.named}: leads to {host}, which is of this machine or its "
                "network; if that is right, state its address as weights: {url: ...}"
            )


def is_public(host: str, address: str) -> bool:
    """Whether an address is one of the whole net's; a name that a proxy is given counts as one."""
    try:
        return ipaddress.ip_address(address.strip("[]").partition("%")[0]).is_global
    except ValueError:
        host = host.casefold().rstrip(".")
        return not (host == "localhost" or host.endswith((".localhost", ".local", ".internal")))


def _opener(named: str) -> urllib.request.OpenerDirector:
    """Speaks https and nothing else, not even if asked to; a file names the host `named`."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Https(named),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener
