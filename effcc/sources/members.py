"""The files in a tar archive: names, and where each one's content lies.

Reads the headers that POSIX, GNU tar and Python write, and jumps over all content. Python's
`tarfile` is not asked: with made-up headers it goes in circles (sizes below zero, a sparse map that
does not end) or asks for more memory than there is. Here every step goes forwards, and no header is
larger than `_MOST`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

BLOCK = 512  # bytes; headers and contents begin at multiples of it
# The bytes of a name or of pax records: a path has at most 4096, the rest may be attributes.
_MOST = 1 << 20

# A contiguous file, 7, is one that some systems lay out in another way.
_FILE, _FOLDER = b"0\x007", b"5"
_PAX, _GLOBAL, _LONG_NAME, _LONG_LINK = b"xX", b"g", b"L", b"K"


class BadTar(Exception):
    """The bytes are those of no tar archive, or only the beginning of one."""


class Member(NamedTuple):
    """What an archive holds, in its order; `plain` is a file, neither link nor device nor sparse.

    Names that are no UTF-8 have their other bytes as `os.fsdecode` has them.
    """

    name: str
    plain: bool
    folder: bool
    offset: int
    size: int


def members(descriptor: int) -> Iterator[Member]:
    """The members of an open archive.

    Raises:
        BadTar: a header is damaged, or the file ends before the archive does.
        OSError: it cannot be read.
    """
    end, at = os.fstat(descriptor).st_size, 0
    shared: dict[bytes, bytes] = {}  # the records of global headers
    own: dict[bytes, bytes] = {}  # those of the next member, its name among them
    while True:
        block = os.pread(descriptor, BLOCK, at)
        if len(block) == BLOCK and not any(block):
            return
        if len(block) < BLOCK or not _is_whole(block):
            raise BadTar(f"it breaks off at byte {at:,}" if at else "no header at its beginning")
        kind, size, content = block[156:157], _number(block[124:136]), at + BLOCK
        if kind in _PAX + _GLOBAL + _LONG_NAME + _LONG_LINK:
            if size > _MOST:
                raise BadTar(f"a header of {size:,} bytes at byte {at:,}")
            text = os.pread(descriptor, size, content)
            if kind in _GLOBAL:
                shared |= _records(text)
            elif kind in _PAX:
                own |= _records(text)
            elif kind in _LONG_NAME:
                own[b"path"] = text.partition(b"\0")[0]
        else:
            member = _member(block, kind, size, content, shared | own)
            yield member
            size = 0 if member.folder else member.size
            own = {}
        at = content + -(-size // BLOCK) * BLOCK
        if at > end:
            raise BadTar(f"it breaks off at byte {end:,}")


def _member(
    block: bytes, kind: bytes, size: int, content: int, records: Mapping[bytes, bytes]
) -> Member:
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0]
    if prefix and block[257:263] == b"ustar\0":
        name = prefix + b"/" + name
    name = records.get(b"path", name)
    if b"\0" in name:
        raise BadTar("a name with a zero in it")
    if b"size" in records:
        size = _decimal(records[b"size"])
    folder = kind == _FOLDER or (kind == b"\0" and name.endswith(b"/"))
    sparse = any(key.startswith(b"GNU.sparse") for key in records)
    plain = kind in _FILE and not sparse and not folder
    return Member(name.decode("utf-8", "surrogateescape"), plain, folder, content, size)


def _is_whole(block: bytes) -> bool:
    """Whether a header has the sum it states; some old programs added signed bytes."""
    try:
        stated = _number(block[148:156])
    except BadTar:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    return stated == sum(rest) or stated == sum(rest) - 256 * sum(byte > 127 for byte in rest)


def _number(field: bytes) -> int:
    """Octal digits, or where the first bit is set the bytes themselves, highest first."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip()
    if field[0] > 0x80 or any(digit not in b"01234567" for digit in digits):
        raise BadTar("a number that is none")
    return int(digits or b"0", 8)


def _records(text: bytes) -> dict[bytes, bytes]:
    """Pax records, each its own length, a space, a key, `=`, a value, and the line's end."""
    found, at = dict[bytes, bytes](), 0
    text = text.rstrip(b"\0")
    while at < len(text):
        space = text.find(b" ", at, at + 9)
        after = at + _decimal(text[at : max(at, space)])
        key, equals, value = text[space + 1 : after].partition(b"=")
        if after <= space or after > len(text) or not equals or not value.endswith(b"\n"):
            raise BadTar("a damaged pax header")
        found[key] = value[:-1]
        at = after
    return found


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 19:
        raise BadTar("a number that is none")
    return int(digits)
