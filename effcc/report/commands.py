"""The page of commands: what the command line takes, read from its own parser.

The parser belongs to the door, which hands it over. Usage lines are put together here, because
argparse words and wraps its own differently from one Python to the next, and a committed page must
not change with the reader's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from effcc.catalog.spec import SECTIONS, rule, settings_in_order
from effcc.report import cards, markdown

# Longest usage line, in characters.
WIDTH = 80


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb, as the page has it."""

    name: str
    summary: str
    usage: str
    options: tuple[tuple[str, str], ...]  # as typed, and what it does
    settings: bool  # whether it takes those of a run


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a run; what it may be is said in the words of its schema."""

    name: str
    default: str
    choices: tuple[str, ...]
    description: str


def page(parser: argparse.ArgumentParser, take_settings: Collection[str]) -> str:
    """The page of commands as Markdown.

    Args:
        parser: of the whole command line, every verb with its options.
        take_settings: the verbs that take settings besides.
    """
    return cards.template("commands.md.j2").render(
        verbs=list(_verbs(parser, take_settings)),
        sections={name: list(_settings(name)) for name in SECTIONS},
        prose=markdown.prose,
        anchor=lambda name: markdown.Markup(f"[`{name}`](#{name})"),
    )


def _verbs(parser: argparse.ArgumentParser, take_settings: Collection[str]) -> Iterator[Verb]:
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        for name, sub in action.choices.items():
            takes = name in take_settings
            options = [each for each in sub._actions if each.dest != "help"]
            yield Verb(
                name=name,
                summary=(sub.description or "").strip(),
                usage=_wrapped(f"effcc {name}", [*_usage(sub), *(["[SETTINGS]"] if takes else ())]),
                options=tuple((_typed(each), each.help or "") for each in options),
                settings=takes,
            )


def _usage(sub: argparse.ArgumentParser) -> Iterator[str]:
    """The words after the verb: what must be said plain, what may be in brackets."""
    groups = [list(group._group_actions) for group in sub._mutually_exclusive_groups]
    optional = [each for each in sub._actions if each.option_strings and each.dest != "help"]
    positional = [each for each in sub._actions if not each.option_strings]
    for action in positional:
        yield _typed(action)
    for action in optional:
        together = next((group for group in groups if action in group), [action])
        if action is together[0]:
            words = " | ".join(_typed(each) for each in together)
            more = "..." if isinstance(action, argparse._AppendAction) else ""
            yield f"{words}{more}" if action.required else f"[{words}]{more}"


def _wrapped(command: str, words: list[str]) -> str:
    """A usage line, broken between its words where it is long."""
    lines, indent = [command], " " * (len(command) + 1)
    for word in words:
        if len(lines[-1]) + 1 + len(word) > WIDTH:
            lines.append(indent + word)
        else:
            lines[-1] += f" {word}"
    return "\n".join(lines)


def _typed(action: argparse.Action) -> str:
    """An option with its value, or a positional word, as one types it."""
    choices = "|".join(map(str, action.choices)) if action.choices else ""
    value = choices or str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return {"?": f"[{value}]", "*": f"[{value} ...]", "+": f"{value} ..."}.get(
            str(action.nargs), value
        )
    name = action.option_strings[-1]
    if action.nargs == 0:
        return name
    return f"{name} {value}" + (" ..." if action.nargs == "+" else "")


def _settings(section: str) -> Iterator[Setting]:
    for name in settings_in_order():
        if not name.startswith(f"{section}."):
            continue
        said = rule(name)
        yield Setting(
            name=name,
            default=_written(said["default"]) if "default" in said else "",
            choices=tuple(map(_written, said.get("enum", ()))),
            description=said["description"],
        )


def _written(value: Any) -> str:
    """A value as YAML and JSON both have it."""
    return value if isinstance(value, str) else json.dumps(value)
