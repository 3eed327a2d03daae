"""Images in tables: what Hugging Face `datasets` saves to disk, and parquet files.

Only pyarrow is needed. Arrow files are memory-mapped and any row is one look away. A parquet file
is read a row group at a time, and training goes through the groups in an order that suits that.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effcc.catalog.spec import Data
from effcc.ground import files
from effcc.ground.words import in_a_line
from effcc.sources import decode, listing, patterns, share
from effcc.sources.decode import BadImage, MissingData, Pixels
from effcc.sources.folder import NAMES
from effcc.sources.split import Split, fingerprint

# Images that a window of training should mix at least, and parts that it has at least.
_MIXED, _WINDOW = 1024, 4
# Files that a process keeps open.
_OPEN = 16
# A label above this is a mistake, not a million classes.
_MOST_CLASSES = 1_000_000
# Names of a column of labels, the first that is there, if the schema does not tell.
_LABELS = ("label", "labels", "fine_label", "class", "target")


class HuggingFace:
    """A folder of `DatasetDict.save_to_disk`, or of parquet files named after their splits.

    `data.train`, `val` and `test` may name another split, a saved folder, or parquet files.
    """

    name = "huggingface"

    def __init__(self, data: Data) -> None:
        _pyarrow()
        self.data, self.root = data, Path(data.root or "").expanduser()
        if not self.root.is_dir():
            raise MissingData(
                f"no folder {self.root.absolute()}; "
                "name the folder of the saved data set or the parquet files with --data.root"
            )
        self._splits: dict[tuple[Path, ...], Split] = {}
        self._opened: dict[Path, Table] = {}
        _, files = self._find("train")
        if not files:
            files = self._need("val")[1]
        around = self.root if data.root else files[0].parent
        self.title = f"images of {around.absolute().name}"
        self.classes = _classes([self._table(file) for file in files])

    def split(self, name: str) -> Split:
        """The images of `train`, `val` or `test`."""
        called, files = self._need(name)
        if files not in self._splits:
            tables = [self._table(file) for file in files]
            labels = np.concatenate([_numbered(table, self.classes, name) for table in tables])
            named = "".join(f"{t.path.name} {t.path.stat().st_size}\n" for t in tables)
            digest = fingerprint(os.fsencode(named), labels.tobytes())
            self._splits[files] = Rows(called, tables, labels, digest)
        return self._splits[files]

    def _table(self, file: Path) -> Table:
        if file not in self._opened:
            self._opened[file] = _open(file)
        return self._opened[file]

    def _need(self, split: str) -> tuple[str, tuple[Path, ...]]:
        called, files = self._find(split)
        if not files:
            found = ", ".join(sorted(path.name for path in self.root.iterdir())[:6]) or "nothing"
            names = " or ".join(NAMES[split])
            raise MissingData(
                f"{self.root.absolute()} has no split {names}; it holds {found}; "
                f"name one with --data.{split}"
            )
        return called, files

    def _find(self, split: str) -> tuple[str, tuple[Path, ...]]:
        """What a split is called, and its files."""
        if named := getattr(self.data, split):
            texts = (named,) if isinstance(named, str) else named
            return split, tuple(file for text in texts for file in self._named(split, text))
        for name in NAMES[split]:
            if files := self._usual(name):
                return name, tuple(files)
        return split, ()

    def _named(self, split: str, text: str) -> list[Path]:
        if files := self._usual(text):
            return files
        if files := [
            f for path in patterns.matches(text, self.root, Path()) for f in _files_in(path)
        ]:
            return files
        raise MissingData(f"data.{split}: no split, folder or file {text}, here or in {self.root}")

    def _usual(self, name: str) -> list[Path]:
        """The files of a split in its usual places."""
        if saved := _files_in(self.root / name):
            return saved
        state = _json(self.root / "state.json")
        if state and state.get("_split") == name:
            return _files_in(self.root)
        for pattern in (f"{name}-*.parquet", f"{name}.parquet", f"data/{name}-*.parquet"):
            if files := patterns.matches(pattern, self.root):
                return files
        return []


@dataclass(frozen=True, slots=True)
class Table:
    """A file of rows: the image's column, the rows of each part, and labels.

    A part is what is read at a time: a row group of a parquet file, the whole of an arrow file.
    `names` are the classes' if the schema has them.
    """

    path: Path
    image: str
    parts: tuple[int, ...]
    labels: NDArray[Any]
    names: tuple[str, ...] | None


class Rows(Split):
    """Images in the rows of tables."""

    takes_turns = False

    def __init__(
        self, name: str, tables: Sequence[Table], labels: NDArray[np.int64], fingerprint: str
    ) -> None:
        super().__init__(name, labels, fingerprint)
        # (file, image's column, part of the file, its first row there)
        self.parts = [
            (table.path, table.image, part, sum(table.parts[:part]))
            for table in tables
            for part in range(len(table.parts))
        ]
        self.starts = np.cumsum([0, *(rows for table in tables for rows in table.parts)])
        self.window = max(_WINDOW, -(-_MIXED * len(self.parts) // max(1, len(self))))
        self._keep()

    def pixels(self, position: int, decoder: str = "auto") -> Pixels:
        """As `Split.pixels`."""
        part, row = self._at(position)
        try:
            value = self._column(part)[row].as_py()
        except (_pyarrow().ArrowException, OSError, ValueError) as error:
            raise BadImage(f"{self.where(position)}: cannot be read: {_said(error)}") from None
        encoded = value.get("bytes") if isinstance(value, Mapping) else value
        if encoded is None and isinstance(value, Mapping) and value.get("path"):
            beside, todo = self.parts[part][0].parent, "save the images in it"
            encoded = decode.read(_inside(beside, value["path"], todo, BadImage))
        if not isinstance(encoded, bytes):
            raise BadImage(f"{self.where(position)}: holds no image")
        return decode.decode(encoded, self.where(position), decoder)

    def where(self, position: int) -> str:
        """As `Split.where`."""
        part, row = self._at(position)
        path, _, _, first = self.parts[part]
        return f"{path}: row {first + row}"

    def share(self, random: np.random.Generator, rank: int, ranks: int) -> NDArray[np.int64]:
        """As `Split.share`, but a rank's images come from few parts at a time."""
        return share.in_runs(self.starts, self.window, random, rank, ranks)

    def _at(self, position: int) -> tuple[int, int]:
        part = int(np.searchsorted(self.starts, position, "right")) - 1
        return part, position - int(self.starts[part])

    def _read(self, number: int) -> Any:
        """The images of a part, as pyarrow's column."""
        path, image, part, _ = self.parts[number]
        with _readable(path):
            file = self._file(path)
            if path.suffix == ".parquet":  # without pyarrow's threads, which do not survive a fork
                return file.read_row_group(part, [image], use_threads=False).column(image)
            return file.column(image)

    def _keep(self) -> None:
        """Keep what a window needs open and read; every process does for itself."""
        self._file = functools.lru_cache(max(_OPEN, self.window))(_handle)
        self._column = functools.lru_cache(self.window)(self._read)

    def __getstate__(self) -> dict[str, Any]:
        return {key: v for key, v in vars(self).items() if key not in ("_file", "_column")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._keep()


def _open(file: Path) -> Table:
    with _readable(file):
        opened = _handle(file)
        if file.suffix == ".parquet":
            image, label, names = _columns(file, opened.schema_arrow)
            groups = range(opened.metadata.num_row_groups)
            parts = tuple(opened.metadata.row_group(group).num_rows for group in groups)
            _check_rows(file, parts)
            column = opened.read([label], use_threads=False).column(label)
        else:
            image, label, names = _columns(file, opened.schema)
            parts, column = (opened.num_rows,), opened.column(label)
            _check_rows(file, parts)
            for used in (opened.column(image), column):  # or its offsets may lead anywhere
                used.validate(full=True)
        labels = np.asarray(column.to_pylist())
    if column.null_count:
        raise MissingData(f"{file}: {column.null_count} rows have no {label}; fill or remove them")
    if labels.ndim != 1 or (len(labels) and labels.dtype.kind not in "iuU"):
        raise MissingData(f"{file}: {label} holds neither numbers nor names of classes")
    if len(labels) != sum(parts):
        raise MissingData(f"{file}: has {len(labels):,} labels in {sum(parts):,} rows")
    return Table(file, image, parts, labels, names)


def _check_rows(file: Path, parts: Sequence[int]) -> None:
    """A row that holds an image takes some bytes, whatever the file says of itself.

    Raises:
        MissingData: the file has not as many.
    """
    rows, size = sum(parts), file.stat().st_size
    if min(parts, default=0) < 0 or rows > size:
        raise MissingData(f"{file}: cannot be read: {rows:,} rows in {size:,} bytes")


def _said(error: Exception) -> str:
    return in_a_line(" ".join(str(error).split()))[:200] or type(error).__name__


def _inside(folder: Path, name: Any, todo: str, kind: type[MissingData]) -> Path:
    """A file that a table or its state names, beside it.

    Args:
        folder: where the file should be.
        name: as it is written there.
        todo: what to do if it would be elsewhere.
        kind: of the error. One image may be left out, a file of the table may not.

    Raises:
        MissingData: it would be elsewhere, or is no name.
    """
    if not isinstance(name, str) or not name or in_a_line(name) != name:
        raise kind(f"{folder}: names a file that is none: {name!r:.80}")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise kind(f"{folder}: names {name}, outside of this folder; {todo}")
    return folder / name


@contextmanager
def _readable(file: Path) -> Generator[None]:
    """Turn what pyarrow says of a file that is gone, or is none, into a MissingData."""
    try:
        yield
    except MissingData:
        raise
    except (_pyarrow().ArrowException, OSError, ValueError, OverflowError) as error:
        raise MissingData(f"{file}: cannot be read: {_said(error)}") from None


def _columns(file: Path, schema: Any) -> tuple[str, str, tuple[str, ...] | None]:
    """The columns of images and of labels, and the names of the classes if the schema has them."""
    features = _features((schema.metadata or {}).get(b"huggingface", b"{}"))
    kinds = {name: feature.get("_type") for name, feature in features.items()}
    images = [name for name in schema.names if kinds.get(name) == "Image"]
    images = images or [field.name for field in schema if _may_be_images(field.type)]
    labels = [name for name in schema.names if kinds.get(name) == "ClassLabel"]
    if len(labels) != 1:
        labels = [name for name in _LABELS if name in schema.names]
    if not images or not labels:
        what = "labels" if images else "images"
        raise MissingData(
            f"{file}: no column of {what} among {', '.join(schema.names)}; name it "
            f"{'label' if images else 'image'}"
        )
    names = features.get(labels[0], {}).get("names")
    named = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return images[0], labels[0], tuple(names) if names and named else None


def _features(metadata: bytes) -> dict[str, dict[str, Any]]:
    """What `datasets` wrote of the columns, by name; whatever is not of that form is left out."""
    try:
        found: Any = json.loads(metadata.decode("utf-8"))
        features: Any = found["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    if not isinstance(features, dict):
        return {}
    return {name: of for name, of in features.items() if isinstance(of, dict)}


def _may_be_images(kind: Any) -> bool:
    text = str(kind)
    return text in ("binary", "large_binary") or text.startswith("struct<bytes: ")


def _classes(tables: Sequence[Table]) -> tuple[str, ...]:
    if names := tables[0].names:
        return names
    found = {label for table in tables for label in np.unique(table.labels).tolist()}
    if all(isinstance(label, int) for label in found):
        if max(found, default=0) >= _MOST_CLASSES:
            raise MissingData(f"{tables[0].path}: a class {max(found)} is no number of a class")
        return tuple(str(number) for number in range(max(found, default=0) + 1))
    return listing.classes_of(map(str, found))


def _numbered(table: Table, classes: Sequence[str], split: str) -> NDArray[np.int64]:
    """The labels as positions in `classes`."""
    if table.names and table.names != tuple(classes):
        raise MissingData(f"{table.path}: its classes are not those of the training images")
    if table.labels.dtype.kind in "iu":
        numbers = np.where(table.labels < len(classes), table.labels, -1).astype(np.int64)
    else:
        known = {name: number for number, name in enumerate(classes)}
        numbers = np.array([known.get(str(label), -1) for label in table.labels], np.int64)
    wrong = np.flatnonzero((numbers < 0) | (numbers >= len(classes)))
    if len(wrong):
        label = table.labels[wrong[0]].item()
        raise MissingData(
            f"{table.path}: row {wrong[0]}: the label {label!r} is none of the {len(classes)} "
            f"classes of the training images; name another split with --data.{split}"
        )
    return numbers


def _files_in(path: Path) -> list[Path]:
    """The files of a saved data set or a folder of parquet files, or a file itself."""
    if path.is_file():
        return [path]
    if (state := _json(path / "state.json")) is None:
        return sorted(path.glob("*.parquet"))
    if state.get("_indices_data_files"):
        raise MissingData(f"{path}: rows are chosen by an index; save it after flatten_indices()")
    try:
        todo = "save the data set again, with its tables in it"
        named = [file["filename"] for file in state["_data_files"]]
        return [_inside(path, name, todo, MissingData) for name in named]
    except (KeyError, TypeError):
        raise MissingData(f"{path}: its state.json names no files; save it again") from None


def _json(path: Path) -> dict[str, Any] | None:
    try:
        with open(path, encoding="utf-8", opener=files.plain) as file:
            found: Any = json.load(file)
        if not isinstance(found, dict):
            raise ValueError
        return found
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        raise MissingData(f"{path}: is no JSON; save the data set again") from None


def _handle(path: Path) -> Any:
    """A parquet file, or all of an arrow file as a table; either is memory-mapped."""
    pa = _pyarrow()
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise MissingData(f"{path}: is no file")
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return parquet.ParquetFile(path, memory_map=True)
    from pyarrow import ipc

    return ipc.open_stream(pa.memory_map(os.fspath(path))).read_all()


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        message = "huggingface needs pyarrow: pip install 'effcc[huggingface]'"
        raise MissingData(message) from None
    return pyarrow
