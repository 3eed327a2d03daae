"""Labelled image files: found in a folder per class, or named by a CSV or a flat list.

No image is opened here. Only its size is asked for, so that a fingerprint notices a changed file
and a missing one is told before an epoch begins.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from effcc.ground import files
from effcc.sources.decode import MissingData

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
LIST_SUFFIXES = (".csv", ".tsv", ".txt")
# What the header of a CSV may call its columns, in lower case without spaces and underscores; of
# several that fit, the first here is taken.
PATH_COLUMNS = ("path", "file", "image", "filename", "filepath", "imagepath", "imagefile", "img")
LABEL_COLUMNS = ("label", "class", "target", "category", "labels", "classname", "labelname")

# How often links may lead to one folder: each class may well be a link, but to a folder of its own.
_MOST_LINKS = 100

Row = tuple[int, str, str]  # line, path, label


@dataclass(frozen=True, slots=True)
class Listing:
    """Image files and the names of their classes.

    Args:
        place: the folder or list that they were found in.
        root: what `paths` are relative to.
        paths: with forward slashes.
        labels: a class's name for each.
        lines: where each stands in the list; empty for a folder.
        fingerprint: the digest of names, labels and sizes.
    """

    place: Path
    root: Path
    paths: Sequence[str]
    labels: Sequence[str]
    lines: Sequence[int]
    fingerprint: str

    def numbered(self, classes: Sequence[str]) -> list[int]:
        """The labels as positions in `classes`.

        Raises:
            MissingData: a label is not among them; the message says where it stands.
        """
        numbers = {name: number for number, name in enumerate(classes)}
        try:
            return [numbers[label] for label in self.labels]
        except KeyError as error:
            label = error.args[0]
            at = self.labels.index(label)
            place = self.place / label
            if self.lines:
                place = f"{self.place}:{self.lines[at]}: {label!r}"
            raise MissingData(f"{place} is a class that the training images do not have") from None


def in_folders(folder: Path) -> Listing:
    """The images of a folder per class, in order of class and name.

    Raises:
        MissingData: there is none.
    """
    paths, labels, digest = list[str](), list[str](), hashlib.sha256()
    start = len(os.path.join(folder, ""))
    for name in class_folders(folder):
        for image in walk(os.path.join(folder, name)):
            path = image.path[start:]
            paths.append(path)
            labels.append(name)
            digest.update(os.fsencode(f"{path} {image.stat().st_size}\n"))
    if not paths:
        raise MissingData(f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    return Listing(folder, folder, paths, labels, (), f"sha256:{digest.hexdigest()}")


def in_file(file: Path, root: Path | None = None) -> Listing:
    """The images that a CSV (`.csv`, `.tsv`) or a flat list (anything else) names.

    A CSV has a header with a column for paths and one for labels; a flat list has a path and, after
    white space, a label on every line. Paths are relative to the list's folder or to `root`,
    whichever has the first image.

    Raises:
        MissingData: a line is wrong, or names an image that is not there; the first such line.
    """
    paths, labels, lines = list[str](), list[str](), list[int]()
    known: dict[str, str] = {}  # one string a class, not one an image
    for line, path, label in _rows(file):
        paths.append(path)
        labels.append(known.setdefault(label, label))
        lines.append(line)
    if not paths:
        raise MissingData(f"{file}:1: names no image; write a path and a label on every line")
    roots = [folder for folder in (root, file.parent) if folder]
    base = next((folder for folder in roots if (folder / paths[0]).is_file()), roots[-1])
    digest = hashlib.sha256()
    for line, path, label in zip(lines, paths, labels, strict=True):
        try:
            state = os.stat(os.path.join(base, path))
            if not stat.S_ISREG(state.st_mode):  # a device gives without end
                raise OSError
        except (OSError, ValueError):  # the second: a NUL in a path
            looked = " or ".join(str(folder) for folder in roots)
            raise MissingData(f"{file}:{line}: no image {path} in {looked}") from None
        digest.update(os.fsencode(f"{path} {label} {state.st_size}\n"))
    return Listing(file, base, paths, labels, lines, f"sha256:{digest.hexdigest()}")


def class_folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; hidden ones do not count."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if not e.name.startswith(".") and _is(e.is_dir))


def classes_of(labels: Iterable[str]) -> tuple[str, ...]:
    """The classes that labels name: sorted as numbers if all are, else as text."""
    names = set(labels)
    if all(re.fullmatch("[0-9]+", name) for name in names):
        return tuple(sorted(names, key=_by_size))
    return tuple(sorted(names))


def _by_size(digits: str) -> tuple[int, str, str]:
    """Sorts as the number does, which Python does not make of thousands of digits."""
    number = digits.lstrip("0")
    return len(number), number, digits


def walk(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Image files in a folder and below, sorted by name at every level.

    Hidden files and folders are passed over: some systems leave a `._photo.jpg` beside every photo.
    So are links that lead round in circles, to one of the folders on the way.

    Raises:
        MissingData: a folder cannot be read, or links lead to one again and again: few are enough
            to do so without end, if each leads to several.
    """
    times = Counter[str]()
    # Of every folder on the way, what is left to look at, and where it really is.
    stack = [(_listed(folder), os.path.realpath(folder))]
    while stack:
        entries, here = stack[-1]
        entry = next(entries, None)
        if entry is None:
            stack.pop()
        elif _is(entry.is_dir):
            real = os.path.join(here, entry.name)
            if entry.is_symlink():
                real = os.path.realpath(real)
                if any(_holds(real, before) for _, before in stack):
                    continue
                times[real] += 1
                if times[real] > _MOST_LINKS:
                    raise MissingData(
                        f"{folder}: links lead to {real} more than {_MOST_LINKS} times; put there "
                        "what they lead to"
                    )
            stack.append((_listed(entry.path), real))
        elif entry.name.lower().endswith(IMAGE_SUFFIXES) and _is(entry.is_file):
            yield entry


def _listed(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = (e for e in entries if not e.name.startswith("."))
            return iter(sorted(found, key=lambda e: e.name))
    except OSError as error:
        raise MissingData(f"{folder}: cannot be read: {error.strerror}") from None


def _is(what: Callable[[], bool]) -> bool:
    """Whether an entry is something; a link to itself is nothing."""
    try:
        return what()
    except OSError:
        return False


def _holds(target: str, folder: str) -> bool:
    """Whether a folder is another one, or inside of it: a link from there leads in a circle."""
    return os.path.commonpath((target, folder)) == target


def _rows(file: Path) -> Iterator[Row]:
    try:
        with open(file, encoding="utf-8-sig", newline="", opener=files.plain) as text:
            yield from (_csv if file.suffix.lower() in (".csv", ".tsv") else _flat)(file, text)
    except UnicodeDecodeError:
        raise MissingData(f"{file}: is no UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise MissingData(f"{file}: cannot be read: {error.strerror}") from None


def _flat(file: Path, text: Iterable[str]) -> Iterator[Row]:
    for line, row in enumerate(text, 1):
        if not row.strip():
            continue
        parts = row.strip().rsplit(None, 1)
        if len(parts) < 2:
            raise MissingData(f"{file}:{line}: write `PATH LABEL`; found {row.strip()!r}")
        yield line, parts[0].rstrip(), parts[1]


def _csv(file: Path, text: Iterable[str]) -> Iterator[Row]:
    lines = iter(text)
    head = next(lines, "")
    delimiter = max(",;\t", key=head.count)
    header = next(csv.reader([head], delimiter=delimiter), list[str]())
    columns = [re.sub(r"[\s_-]", "", name).lower() for name in header]
    path, label = (_column(columns, names) for names in (PATH_COLUMNS, LABEL_COLUMNS))
    if path is None or label is None:
        missing = "paths" if path is None else "labels"
        raise MissingData(
            f"{file}:1: no column of {missing}; begin with a header such as `path,label`"
        )
    rows = csv.reader(lines, delimiter=delimiter)
    try:
        for row in rows:
            line = rows.line_num + 1
            if not row:
                continue
            if len(row) != len(columns) or not row[path].strip() or not row[label].strip():
                raise MissingData(
                    f"{file}:{line}: write {len(columns)} values, as the header has, with a path "
                    f"and a label; found {delimiter.join(row)[:80]!r}"
                )
            yield line, row[path].strip(), row[label].strip()
    except csv.Error as error:
        raise MissingData(f"{file}:{rows.line_num + 1}: {error}; mend the line") from None


def _column(columns: Sequence[str], names: Sequence[str]) -> int | None:
    return next((columns.index(name) for name in names if name in columns), None)
