"""Pickles and the archives around them, instruction by instruction: what torch.save never wrote."""

import io
import pickle
import struct
import zipfile

from hypothesis import strategies as st

# A number for torch, and the elements of the four storages that stand beside a drawn pickle.
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
COUNTS = (4, 4, 1, 0)
RAN = "ran"  # the folder that appears if code in a file runs


def archive(content, **parts):
    """A zip archive as torch writes it, around a pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a/data.pkl", content)
        made.writestr("a/byteorder", "little")
        for number, count in enumerate(COUNTS):
            made.writestr(f"a/data/{number}", bytes(4 * count))
        made.writestr("a/version", "3\n")
    return file.getvalue()


def legacy(content):
    """A file from before 2020, around a pickle."""
    system = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {}}
    before = b"".join(pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, system))
    keys = pickle.dumps([str(number) for number in range(4)], 2)
    behind = b"".join(struct.pack("<q", count) + bytes(4 * count) for count in COUNTS)
    return before + content + keys + behind


def text(value):
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def whole(value):
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def tuples(*items):
    return b"(" + b"".join(items) + b"t"


def tensor(kind="torch\nFloatStorage", key="0", count=4, offset=0, size=(2, 2), stride=(2, 1)):
    """A pickle of one tensor by the name `a`."""
    named = [text("storage"), b"c" + kind.encode() + b"\n", text(key), text("cpu"), whole(count)]
    storage = tuples(*named)
    arguments = [
        storage + b"Q",
        whole(offset),
        tuples(*map(whole, size)),
        tuples(*map(whole, stride)),
    ]
    arguments += [b"\x89", b"ccollections\nOrderedDict\n)R"]
    return dictionary(
        (text("a"), b"ctorch._utils\n_rebuild_tensor_v2\n" + tuples(*arguments) + b"R")
    )


def dictionary(*items):
    return b"\x80\2}(" + b"".join(key + value for key, value in items) + b"u."


numbers = st.sampled_from(
    [0, 1, 2, 3, 4, 5, -1, 2**31 - 1, 2**40, 2**62, 2**63 - 1, -(2**63), 10**12]
)


@st.composite
def drawn_tensors(draw):
    few = st.lists(numbers, max_size=4)
    kinds = [
        "Float",
        "Double",
        "Bool",
        "BFloat16",
        "ComplexFloat",
        "QInt8",
        "Long",
        "Byte",
        "Untyped",
    ]
    module = draw(st.sampled_from(["torch", "torch", "torch.cuda", "torch.storage"]))
    kind = f"{module}\n{draw(st.sampled_from(kinds))}Storage"
    key = draw(st.sampled_from(["0", "1", "2", "3", "4", "../data.pkl", "", "é"]))
    right = {"count": 4} if draw(st.booleans()) else {"count": draw(numbers)}
    made = tensor(kind, key, offset=draw(numbers), size=draw(few), stride=draw(few), **right)
    return made if draw(st.integers(0, 3)) else made[:-2] + made[2:]


@st.composite
def calls(draw):
    """Functions that a pickle may name, and those that none may."""
    names = [
        "os\nsystem",
        "builtins\neval",
        "builtins\nbytearray",
        "_codecs\nencode",
        "torch\nTensor",
    ]
    names += ["torch\nload", "torch.hub\nload", "posix\nsystem", "torch\nSize", "builtins\nset"]
    names += [
        "collections\nOrderedDict",
        "collections\nCounter",
        "torch\nFloatStorage",
        "torch\ndevice",
    ]
    names += [
        "torch._utils\n_rebuild_" + of for of in ("tensor", "parameter", "qtensor", "tensor_v3")
    ]
    names += ["torch._utils\n_rebuild_" + of for of in ("meta_tensor_no_storage", "sparse_tensor")]
    names += [
        "torch._tensor\n_rebuild_from_type_v2",
        "torch.nn.parameter\nParameter",
        "builtins\ngetattr",
    ]
    names += ["torch.serialization\n_get_layout", "torch\nfloat32", "torch.storage\nUntypedStorage"]
    names += [
        "torch\nFloatTensor",
        "numpy._core.multiarray\n_reconstruct",
        "\n",
        "é\n.",
        "builtins\ncomplex",
    ]
    items = [text("x" * 50), text("latin1"), text("hex"), whole(10**12), whole(9), b")", b"]", b"}"]
    items += [
        text(f"mkdir {RAN}"),
        tensor()[2:-1],
        b"N",
        b"ctorch\nTensor\n",
        tuples(whole(10**10)),
    ]
    value = b"c" + draw(st.sampled_from(names)).encode() + b"\n"
    value += tuples(*draw(st.lists(st.sampled_from(items), max_size=4)))
    value += draw(
        st.sampled_from([b"R", b"\x81", b"R}b", b"\x81}b", b"R" + tuples(b"}", b"}") + b"b"])
    )
    if draw(st.booleans()):  # what it makes, given to it once more
        value += (b"q\0" + value[:0] + b"0" + b"h\0") * draw(st.sampled_from([1, 40]))
    return dictionary((text(draw(st.sampled_from(["a", "state_dict", "effcc"]))), value))


@st.composite
def nests(draw):
    """Tuples, lists and dictionaries within each other, as keys and as values."""
    times = draw(st.sampled_from([3, 70, 900, 30_000, 100_000]))
    one = draw(st.sampled_from([b"\x85", b"q\0h\0\x86", b"]q\0h\0a\x85", b"(h\0h\0tq\0"]))
    deep = b"N" + b"q\0" + one * times
    key, value = draw(
        st.sampled_from([(deep, b"N"), (text("effcc"), deep), (deep, tensor()[2:-1])])
    )
    return dictionary((key, value))


@st.composite
def instructions(draw):
    """Instructions of a pickle in any order."""
    some = [bytes([op]) for op in b"()]}.NRQatuseb\x85\x86\x87\x88\x89\x810210"]
    some += [
        b"q\0",
        b"q\1",
        b"h\0",
        b"h\1",
        b"K\1",
        text("a"),
        b"ctorch\nSize\n",
        b"r\xff\xff\xff\xff",
    ]
    some += [
        b"X\xff\xff\xff\xff",
        b"\x8a\xff",
        b"\x8b\xff\xff\xff\x7f",
        b"\x8e" + b"\xff" * 7 + b"\x7f",
    ]
    some += [
        b"G" + b"\xff" * 8,
        b"\x80\4",
        b"\x95" + b"\xff" * 8,
        b"\x93",
        b"P0\n",
        b"I01\n",
        b"L9\n",
    ]
    return b"\x80\2" + b"".join(draw(st.lists(st.sampled_from(some), max_size=30))) + b"."
