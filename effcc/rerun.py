"""What a record says of its run, made into a run again: settings, weights, images."""

from __future__ import annotations

import copy
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcc.ground.errors import BadFile, UsageError, UserError

if TYPE_CHECKING:
    from effcc.catalog.results import Record
    from effcc.catalog.spec import Spec
    from effcc.ground.home import Home
    from effcc.sources.known import Source


class NotTheSame(UserError):
    """What the run would need is not what the record was made with."""


def allowed(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Flags that say where the data lies.

    Raises:
        UsageError: a flag says more, and the run would be another one.
    """
    from effcc.catalog.spec import ELSEWHERE

    known = [name for name in ELSEWHERE if name != "network.num_classes"]
    for name in flags:
        if name not in known:
            raise UsageError(
                f"reproduce: --{name}: the settings are the record's; only where data lies may "
                f"differ: {', '.join(known)}"
            )
    return dict(flags)


def weights(record: Record, at: Home, named: str | None) -> Path:
    """The checkpoint that a test measured, which must be the same file.

    Raises:
        NotTheSame: it is not where the record says, or another one is.
    """
    from effcc.ground import files

    path = Path(named) if named else at.root / record.checkpoint["path"]
    wanted, shown = record.checkpoint["sha256"], at.shown(path)
    hint = "; name it with --ckpt_path FILE"
    if not path.is_file():
        raise NotTheSame(f"{shown}: not there, and the record is of that file{hint}")
    if (found := files.sha256(path)) != wanted:
        raise NotTheSame(f"{shown}: sha256 {found[:12]}, the record is of {wanted[:12]}{hint}")
    return path.resolve()


def same_start(record: Record, path: Path) -> None:
    """Hold the file that a training would start from against that of the record's.

    Raises:
        NotTheSame: it holds something else now.
    """
    from effcc.ground import files

    then = record.start.get("sha256")
    if then and path.is_file() and (now := files.sha256(path)) != then:
        raise NotTheSame(
            f"{path}: sha256 {now[:12]}, and the record's run started from {then[:12]}; put that "
            "file there"
        )


@contextmanager
def overlay(record: Record, *, complete: bool) -> Generator[Path]:
    """The record's settings as a file to lay over a variant's; its data says how many classes.

    Args:
        record: whose.
        complete: with what it does not speak of because it is older, and which means its default;
            not for code that is as old and knows none of it, and runs in another folder.
    """
    import tempfile

    import yaml

    from effcc.catalog.spec import rule, settings_in_order

    data: dict[str, Any] = copy.deepcopy({"seed": record.seed, **record.settings})
    for key in settings_in_order() if complete else ():
        *sections, name = key.split(".")
        level = data
        for section in sections:
            level = level.setdefault(section, {})
        if "default" in rule(key):
            level.setdefault(name, rule(key)["default"])
    if not complete:
        for section, name in (("data", "root"), ("recipe", "pretrained")):
            value = data[section].get(name)
            data[section] |= {name: str(Path(value).absolute())} if isinstance(value, str) else {}
    data["network"].pop("num_classes", None)
    with tempfile.TemporaryDirectory(prefix="effcc-") as folder:
        path = Path(folder).resolve() / f"{record.id}.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False), "utf-8")
        yield path


def spec(record: Record, at: Home, elsewhere: Mapping[str, Any]) -> Spec:
    """The variant with the record's settings over everything.

    Raises:
        NotTheSame: this version does not take them, or they name a command.
    """
    from effcc.catalog import registry
    from effcc.catalog.spec import digest

    _hold_pipes(record, elsewhere)
    file = registry.file(record.variant, at)
    with overlay(record, complete=True) as over:
        try:
            found = registry.load_file(file, at, overlays=[over], flags=elsewhere)
        except BadFile as error:
            for problem in error.problems:
                if problem.place.file == at.shown(over):
                    raise NotTheSame(
                        f"this version does not take the record's {problem.key}: "
                        f"{problem.message}; try --at-commit"
                    ) from None
            raise
    # What the registry passes to the trainer since is not the record's.
    loggers = {key: value for key, value in found.trainer.items() if f"trainer.{key}" in elsewhere}
    found = replace(found, trainer=dict(record.settings.get("trainer") or {}) | loggers)
    assert found.digest == digest(record.settings)
    return found


def same_images(record: Record, source: Source) -> None:
    """Hold the images against those of the record, before anything is trained on them.

    Raises:
        NotTheSame: they differ.
    """
    data, names = record.dataset, ("test", "val", "train")
    here = next((of for of in map(source.split, names) if of.name == data.split), None)
    if here is None:
        raise NotTheSame(f"other images: {source.title} has no split {data.split[:80]!r}")
    train = source.split("train") if data.train_images else None
    for what, then, now in (
        ("fingerprint", data.fingerprint, here.fingerprint),
        ("number of training images", data.train_images, len(train) if train else 0),
        (
            "fingerprint of the training images",
            data.train_fingerprint,
            train.fingerprint if train and data.train_fingerprint else "",
        ),
        ("number of classes", data.classes, len(source.classes)),
    ):
        if then != now:
            raise NotTheSame(
                f"other images: the {what} of {source.title} was {then} and is {now}; "
                "nothing was run"
            )


def source(record: Record, elsewhere: Mapping[str, Any]) -> Source:
    """The record's images, opened without asking the registry of today.

    Raises:
        NotTheSame: only a command, which the record names, would bring them.
    """
    from effcc.catalog.spec import Data, rule
    from effcc.sources.known import SOURCES

    values: dict[str, Any] = {}
    for field in fields(Data):
        default = record.settings["data"].get(field.name, rule(f"data.{field.name}").get("default"))
        value = elsewhere.get(f"data.{field.name}", default)
        values[field.name] = tuple(value) if isinstance(value, list) else value
    _hold_pipes(record, elsewhere)
    return SOURCES[record.dataset.name](Data(**values))


def _hold_pipes(record: Record, elsewhere: Mapping[str, Any]) -> None:
    """Refuse a command that only the record names: a record is data, whoever wrote it.

    Raises:
        NotTheSame: it names one, and nobody typed it again.
    """
    from effcc.catalog.reach import PIPE

    for name, value in record.settings["data"].items():
        texts = value if isinstance(value, list) else [value]
        pipe = next((t for t in texts if isinstance(t, str) and t.startswith(PIPE)), None)
        if pipe and f"data.{name}" not in elsewhere:
            raise NotTheSame(
                f"the record's data.{name} runs a command, {pipe[:80]!r}; a pipe may only be "
                f"typed: add --data.{name} and what you trust"
            )
