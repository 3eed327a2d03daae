"""Whether a file is a checkpoint that torch can be trusted to read.

`torch.load` with `weights_only` runs nothing of a file. It can still be made to take all memory (a
tensor that says 10 TB, a compressed archive, a byte array of any length), to end the process
(tuples within tuples, deeper than its stack), to go on for years (each of them twice within the
next), or to read another kind of archive (the tar files of 2016), with a folder in `/tmp`. So the
instructions of a pickle are gone through first, without following them: which functions they name,
how deep they nest, how much they copy, and how large the tensors are beside the bytes that are
there.
"""

from __future__ import annotations

import os
import pickletools
import re
import zipfile
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

# The first thing in a file of `torch.save` from before torch 1.6.
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
# What a tuple may hold, counted through those in it: as a key of a dictionary it is gone through
# again and again, and without end if each holds the one before it twice.
_MOST = 10_000
# What functions are given may be copied: as much as stands before in the file, and this.
_FREE = 10_000
# Elements that a tensor may have by repeating those that are there, as an expanded one does.
_MOST_REPEATED = 2**24
_LARGEST, _DIMENSIONS = 2**62, 64
# Bytes of an archive's last record, which torch writes without a comment, and of the two before it.
_END, _END64 = 22, 76

# What a pickle may name. None of these makes more of its arguments than they have, each time.
_ALLOWED = {
    "collections.OrderedDict",
    "collections.Counter",
    "torch.Size",
    "torch.device",
    "torch.nn.parameter.Parameter",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "_codecs.encode",
    "builtins.set",
    "__builtin__.set",
}
# What torch takes besides: tensors of other kinds, or with more than their numbers. None is code.
_OTHERS = re.compile(
    r"torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_from_type_v2|torch\.(\w+\.)?\w*Tensor"
    r"|torch\.serialization\._get_layout|torch\.per_\w+|builtins\.(bytearray|complex)",
    re.ASCII,
)
_TYPES = re.compile(r"torch\.((b|u|q|qu)?(float|int|complex)\d+\w{0,12}|bool)")
_STORAGE = re.compile(r"torch\.(?:(?:cuda\.)?(\w+)|storage\.(Untyped))Storage")
# Bytes of an element.
_STORAGES = {
    **dict.fromkeys(("Bool", "Byte", "Char"), 1),
    **dict.fromkeys(("Half", "BFloat16", "Short"), 2),
    **dict.fromkeys(("Float", "Int"), 4),
    **dict.fromkeys(("Double", "Long", "ComplexFloat"), 8),
    "ComplexDouble": 16,
    "Untyped": 1,
}
_ENCODINGS = (("latin1",), ("latin-1",))  # by which bytes are written
_REBUILD = "torch._utils._rebuild_tensor"
_REBUILDS = (_REBUILD, f"{_REBUILD}_v2", f"{_REBUILD}_v3")


class Refused(Exception):
    """A file that torch must not be given; the message says why."""


class Foreign(Refused):
    """A pickle that names code."""


class Untaken(Refused):
    """A pickle that is whole and names no code, of a kind that is not read here."""


class _Named(NamedTuple):
    """A function or class that a pickle names."""

    name: str


class _Holder:
    """A list, set or dictionary, by its entries; tuples count with what they hold."""

    def __init__(self, entries: int = 0, ordered: bool = False) -> None:
        self.entries = entries
        self.ordered = ordered  # an OrderedDict, which alone may have attributes


class _Storage(NamedTuple):
    """The data of tensors: which part of the file, its elements, and the bytes of each."""

    key: Any
    elements: int
    width: int


_ANYTHING = object()  # a value that does not matter
_MARK = object()


def allows(name: str) -> bool:
    """Whether a pickle may name a function or class, by its dotted name."""
    return name in _ALLOWED or _width(name) > 0 or _TYPES.fullmatch(name) is not None


def archive(file: IO[bytes]) -> None:
    """Check a file that begins as a zip archive.

    Raises:
        Refused: it is not one that `torch.save` writes.
    """
    size = os.fstat(file.fileno()).st_size
    try:
        with zipfile.ZipFile(file) as parts:
            entries = parts.infolist()
            _check_end(file, size, parts.start_dir)
            _check_entries(entries, size)
            pickles = [e for e in entries if e.filename.lower().endswith(".pkl")]
            if [e.filename.partition("/")[2] for e in pickles] != ["data.pkl"]:
                raise Refused("it holds another number of pickles than one")
            content = parts.read(pickles[0])
            places = {e.filename.partition("/")[2]: _place(file, e) for e in entries}
    except Refused:
        raise
    except Exception as error:  # a broken archive may trip zipfile in any way
        raise Refused(str(error) or type(error).__name__) from None
    storages = Pickle(content).storages
    for storage in storages.values():
        start, length = places.get(f"data/{storage.key}", (0, -1))
        if storage.elements * storage.width != length or start + length > size:
            raise Refused(f"data/{storage.key} has not the bytes that its tensors need")


def _width(name: str) -> int:
    """The bytes of an element in a kind of storage, 0 of what is none."""
    match = _STORAGE.fullmatch(name)
    return _STORAGES.get(match[1] or match[2], 0) if match else 0


def _type_width(kind: Any) -> int:
    """The bytes of an element of a type, by the bits in its name: one at least."""
    name = kind.name if isinstance(kind, _Named) else ""
    if not _TYPES.fullmatch(name):
        raise Refused("a tensor of no type")
    bits = re.search(r"\d+", name)
    return max(1, int(bits[0]) // 8) if bits else 1


def _check_end(file: IO[bytes], size: int, start: int) -> None:
    """Leave one way to read the end, so that torch finds the same files as Python does."""
    file.seek(max(0, size - _END64 - _END))
    tail = file.read()
    end, ends64 = tail[-_END:], tail[:-_END]
    stated = int.from_bytes(end[16:20], "little")
    if ends64[-20:-16] == b"PK\6\7":
        if int.from_bytes(ends64[-12:-4], "little") != size - _END64 - _END:
            raise Refused("it has two ends")
        stated = int.from_bytes(ends64[48:56], "little")
    if end[:4] != b"PK\5\6" or end[-2:] != b"\0\0" or stated != start:
        raise Refused("something stands before its beginning or behind its end")


def _check_entries(entries: list[zipfile.ZipInfo], size: int) -> None:
    names = {entry.filename.lower() for entry in entries}
    if len(names) < len(entries):
        raise Refused("it holds two files of one name")
    if len({name.partition("/")[0] for name in names}) > 1:
        raise Refused("it holds several folders")
    for entry in entries:
        packed = entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1
        if packed or entry.file_size != entry.compress_size or entry.file_size > size:
            raise Refused(f"{entry.filename!r} is compressed, which torch.save never does")
    if sum(entry.file_size for entry in entries) > size:
        raise Refused("its files are larger than it is")


def _place(file: IO[bytes], entry: zipfile.ZipInfo) -> tuple[int, int]:
    """Where a part begins by its own header, which torch goes by, and its length in bytes."""
    file.seek(entry.header_offset + 26)
    lengths = file.read(4)
    start = entry.header_offset + 30
    start += int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
    return start, entry.file_size


def legacy(file: IO[bytes]) -> None:
    """Check a file from before torch 1.6: five pickles, and what they need behind them.

    Raises:
        Refused: it is not that.
    """
    size = os.fstat(file.fileno()).st_size
    found = [Pickle(file) for _ in range(5)]
    if (found[0].value, found[1].value) != (_MAGIC, _PROTOCOL):
        raise Refused("it does not begin as one")
    needed = sum(8 + s.elements * s.width for s in found[3].storages.values())
    if needed > size - file.tell():
        raise Refused("it has not the bytes that its tensors need")


class Pickle:
    """What a pickle would make, as far as it matters here: its storages, and plain values.

    Raises:
        Refused: it names what it must not, or is none.
    """

    def __init__(self, content: bytes | IO[bytes]) -> None:
        self.storages: dict[Any, _Storage] = {}
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        # What tuples hold, by their identity; they are kept, so that it stays theirs.
        self._held: dict[int, tuple[int, tuple[Any, ...]]] = {}
        self._protocol = self._copied = self._passed = 0
        try:
            for operation, argument, position in pickletools.genops(content):
                self._passed = position or 0
                self._follow(operation.name, argument)
            self.value = self._stack.pop()
        except Refused:
            raise
        except Exception as error:  # broken instructions, in any way
            raise Refused(f"a broken pickle: {error or type(error).__name__}") from None

    def _follow(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _MAKES:
            stack.append(_Holder())
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "GLOBAL":
            stack.append(self._named(argument))
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            self._tuple(self._marked())
        elif name in _TUPLES:
            items = tuple(stack[-_TUPLES[name] :])
            del stack[-_TUPLES[name] :]
            self._tuple(items)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "APPENDS":
            self._add(self._marked(), 1)
        elif name == "SETITEMS":
            self._add(self._marked(), 2)
        elif name == "APPEND":
            self._add((stack.pop(),), 1)
        elif name == "BUILD":
            self._copy(stack.pop())
            if not isinstance(stack[-1], _Holder) or not stack[-1].ordered:
                raise Refused("it sets what is in a tensor")
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            self._add((key, value), 2)
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, function = stack.pop(), stack.pop()
            stack.append(self._made(function, arguments))
        elif name == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif name == "PROTO":
            self._protocol = argument
        elif name != "STOP":
            if self._protocol > 2:
                raise Untaken(
                    f"a pickle of protocol {self._protocol}, which torch does not read as weights "
                    "alone; save it with protocol 2, the one of torch.save"
                )
            raise Refused(f"a pickle with the instruction {name}")

    def _named(self, argument: str) -> _Named:
        name = argument.replace(" ", ".", 1)
        if not allows(name) and _OTHERS.fullmatch(name):
            raise Untaken(
                f"it names {name}, of which no plain tensor is made; save plain tensors, as "
                "tensor.detach().clone() makes them of what has attributes"
            )
        if not allows(name):
            raise Foreign(f"it names {name[:160]}")
        return _Named(name)

    def _marked(self) -> tuple[Any, ...]:
        at = len(self._stack) - 1
        while self._stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise Refused("a broken pickle: no mark")
        items = tuple(self._stack[at + 1 :])
        del self._stack[at:]
        return items

    def _tuple(self, items: tuple[Any, ...]) -> None:
        held = 1 + len(items) + sum(self._held[id(i)][0] for i in items if id(i) in self._held)
        if held > _MOST:
            raise Refused("tuples within tuples, more than any checkpoint has")
        self._held[id(items)] = held, items
        self._stack.append(items)

    def _add(self, items: tuple[Any, ...], each: int) -> None:
        """Put entries into a list or dictionary, of `each` so many items."""
        if isinstance(self._stack[-1], _Holder):
            self._stack[-1].entries += sum(self._held.get(id(i), (1,))[0] for i in items[::each])
        if each == 2:
            for key in items[::2]:
                if isinstance(key, tuple):  # which is gone through at each time
                    self._copy(key)

    def _copy(self, value: Any) -> None:
        """Count what is copied or gone through: the same value may be so thousands of times."""
        if isinstance(value, str):
            self._copied += len(value)
        elif isinstance(value, tuple):
            self._copied += self._held.get(id(value), (0,))[0]
        elif isinstance(value, _Holder):
            self._copied += value.entries
        if self._copied > self._passed + _FREE:
            raise Refused("it copies what it holds, more often than any checkpoint does")

    def _made(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, _Named) or not isinstance(arguments, tuple):
            raise Refused("it calls what is no function")
        if function.name == "_codecs.encode" and arguments[1:] not in _ENCODINGS:
            raise Refused("it names an encoding that no pickle needs")
        if _width(function.name):
            raise Refused("it makes tensors of no data")
        if function.name in _REBUILDS:
            self._check_tensor(arguments, typed=function.name == f"{_REBUILD}_v3")
            for argument in arguments[4:]:  # the last, a dictionary, is gone through
                self._copy(argument)
            return _ANYTHING
        copied = self._copied
        for argument in arguments:
            self._copy(argument)
        return _Holder(self._copied - copied, function.name == "collections.OrderedDict")

    def _check_tensor(self, arguments: tuple[Any, ...], typed: bool) -> None:
        storage, offset, size, strides, *more = arguments
        if not isinstance(storage, _Storage) or not isinstance(size, tuple):
            raise Refused("a tensor of no data")
        width = _type_width(more[2]) if typed else storage.width
        if not isinstance(strides, tuple) or not len(strides) == len(size) <= _DIMENSIONS:
            raise Refused("a tensor whose size is none")
        for number in (offset, *size, *strides):
            if type(number) is not int or not 0 <= number < _LARGEST:
                raise Refused("a tensor whose size is none, or that begins before its data")
        there = storage.elements * storage.width // width
        elements, needed = 1, offset + 1
        for length, stride in zip(size, strides, strict=True):
            elements, needed = elements * length, needed + (length - 1) * stride
            if elements > max(there, _MOST_REPEATED) and 0 not in size:
                raise Refused(f"a tensor of {elements:,} elements or more in {there:,}")
        if 0 not in size and needed > there:
            raise Refused(f"a tensor that needs {needed:,} elements in {there:,}")

    def _storage(self, identity: Any) -> _Storage:
        kind, named, key, _, count, *_ = identity
        if kind != "storage" or not isinstance(named, _Named) or type(count) is not int:
            raise Refused("it names what is no storage")
        width = _width(named.name)
        if type(key) not in (str, int):  # by which storages are told apart
            raise Refused("it names what is no storage")
        if not width or not 0 <= count < 2**48:
            raise Refused("it names what is no storage")
        storage = _Storage(str(key), count, width)
        if self.storages.setdefault(key, storage) != storage:
            raise Refused(f"data/{key} is of two kinds")
        return storage


# Instructions that put their argument on the stack, that put something there which does not matter,
# and those that take so many values for a tuple.
_VALUES = {"BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "LONG1"}
_MAKES = {"EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"}
_CONSTANTS: Mapping[str, Any] = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
