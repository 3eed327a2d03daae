"""What a checkpoint would import, by its own words: nothing of it is run.

torch's files hold pickles, which are programs. Here their instructions are read, not followed: each
names a module and something in it, or takes both from strings that stand before.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from effcc.nn.weights import BadCheckpoint

# A pickle of a checkpoint holds names and shapes, no tensors, and is a megabyte at most.
_MOST = 256 * 2**20
_UNKNOWN = "a name that is made when it is read"


@dataclass(frozen=True, slots=True)
class Global:
    """Something that a pickle imports: its dotted name, the part of the file, the byte in it."""

    name: str
    part: str
    at: int


def named(path: Path) -> list[Global]:
    """Everything that a checkpoint names for import, each once, in its order.

    Raises:
        BadCheckpoint: it is missing, or no file of torch's.
    """
    found: dict[str, Global] = {}
    try:
        with path.open("rb") as file:
            for part, content in _parts(file, path):
                for name, at in _globals(content):
                    found.setdefault(name, Global(name, part, at))
    except OSError as error:
        raise BadCheckpoint(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise BadCheckpoint(f"{path}: not a checkpoint, or cut short: {reason}") from None
    return list(found.values())


def _parts(file: IO[bytes], path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if not zipfile.is_zipfile(file):
        file.seek(0)
        yield path.name, file
        return
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any("/code/" in f"/{member.filename}" for member in members):
            raise ValueError("a TorchScript archive, which is code; save a state dict")
        pickles = [member for member in members if member.filename.endswith(".pkl")]
        if not pickles:
            raise ValueError("a zip without a pickle")
        for member in pickles:
            if member.file_size > _MOST:
                raise ValueError(f"{member.filename} says that it has {member.file_size:,} bytes")
            with archive.open(member) as content:
                yield member.filename, content


def _globals(content: IO[bytes]) -> Iterator[tuple[str, int]]:
    """The names in one pickle after the other; a file from before torch 1.6 begins with several."""
    start, several = 0, 0
    while True:
        first = content.read(1)
        if first != b"\x80":  # after the last pickle of such a file come the bytes of tensors
            if not several:
                raise ValueError("it begins as no pickle does")
            return
        content.seek(-1, 1)
        yield from ((name, start + at) for name, at in _in_one(content))
        several += 1
        start = content.tell()
        if several == 5:  # a number, a protocol, a system, the data, keys of tensors
            return


def _in_one(content: IO[bytes]) -> Iterator[tuple[str, int]]:
    start = content.tell()
    texts: list[str | None] = []  # what was put on the stack last, None of what is no text
    kept: dict[int, str | None] = {}
    for opcode, argument, position in pickletools.genops(content):
        at = (position or start) - start
        match opcode.name:
            case "GLOBAL" | "INST":
                yield str(argument).replace(" ", ".", 1), at
                texts.append(None)
            case "STACK_GLOBAL":
                module, name = (None, None, *texts)[-2:]
                known = module is not None and name is not None
                yield (f"{module}.{name}" if known else _UNKNOWN), at
                texts.append(None)
            case "EXT1" | "EXT2" | "EXT4":
                yield _UNKNOWN, at
                texts.append(None)
            case "MEMOIZE":
                kept[len(kept)] = texts[-1] if texts else None
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                kept[int(argument or 0)] = texts[-1] if texts else None
            case "GET" | "BINGET" | "LONG_BINGET":
                texts.append(kept.get(int(argument or 0)))
            case "FRAME" | "PROTO":
                pass
            case _:
                is_text = isinstance(argument, str) and "UNICODE" in opcode.name
                texts.append(str(argument) if is_text else None)
