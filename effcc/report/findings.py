"""Problems of files as text with an excerpt, as JSON, as SARIF, as annotations of a code host."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from effcc.claims import rules
from effcc.ground import jsontext
from effcc.ground.document import glance
from effcc.ground.errors import Problem
from effcc.ground.words import in_a_line

_WIDTH = 100  # of an excerpt


def text(problems: Iterable[Problem], files: Mapping[str, str]) -> str:
    """A line for each problem, and below it the line it is in with a caret.

    Args:
        problems: in their order.
        files: where the files are that places name.
    """
    lines: list[str] = []
    for problem in problems:
        lines.append(f"{in_a_line(str(problem))}{_code(problem)}")
        lines += _excerpt(problem, files)
    return "\n".join(lines)


def as_data(problem: Problem) -> dict[str, Any]:
    """One problem, for JSON."""
    place = problem.place
    return {
        "file": place.file,
        "line": place.line,
        "col": place.col,
        "key": problem.key,
        "message": problem.message,
        "code": problem.code,
        "severity": severity(problem),
        "mend": dict(zip(("old", "new"), problem.mend, strict=True)) if problem.mend else None,
    }


def sarif(problems: Sequence[Problem], version: str) -> str:
    """The problems as a SARIF 2.1.0 log (OASIS, 2020), which code hosts show beside the code."""
    codes = sorted({problem.code for problem in problems if problem.code})
    described = [
        {
            "id": code,
            "shortDescription": {"text": rules.RULES[code].title},
            "defaultConfiguration": {"level": rules.RULES[code].severity},
        }
        for code in codes
    ]
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "effcc", "version": version, "rules": described}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(problem) for problem in problems],
            }
        ],
    }
    return jsontext.text(log)


def github(problems: Iterable[Problem]) -> str:
    """The problems as workflow commands of GitHub Actions, which become annotations."""
    return "\n".join(_command(problem) for problem in problems)


def severity(problem: Problem) -> str:
    """`error` or `warning`."""
    return "error" if rules.is_error(problem.code) else "warning"


def _code(problem: Problem) -> str:
    if not problem.code:
        return ""
    return f" [{problem.code}{'' if severity(problem) == 'error' else ' warning'}]"


def _excerpt(problem: Problem, files: Mapping[str, str]) -> list[str]:
    place = problem.place
    lines = _lines(files[place.file]) if place.file in files else ()
    if not 0 < place.line <= len(lines):
        return []
    line, at = lines[place.line - 1], place.col - 1
    start = max(0, min(at - _WIDTH // 2, len(line) - _WIDTH))
    before = in_a_line(line[start:at].replace("\t", " "))
    after = in_a_line(line[at : start + _WIDTH].replace("\t", " "))
    number = f"{place.line:>5}"
    return [f"{number} | {before}{after}", f"{' ' * len(number)} | {' ' * len(before)}^"]


@functools.lru_cache(maxsize=16)
def _lines(path: str) -> tuple[str, ...]:
    whole = glance(Path(path)) or ""
    return tuple(whole.replace("\r\n", "\n").split("\n"))


def _result(problem: Problem) -> dict[str, Any]:
    place = problem.place
    file: dict[str, Any] = {"uri": place.file.replace("\\", "/")}
    region = {"startLine": place.line, "startColumn": place.col}
    where: dict[str, Any] = {"artifactLocation": file}
    if place.line:
        where["region"] = region
    message = f"{problem.key}: {problem.message}" if problem.key else problem.message
    result: dict[str, Any] = {
        "level": severity(problem),
        "message": {"text": message},
        "locations": [{"physicalLocation": where}],
    }
    if problem.code:
        result["ruleId"] = problem.code
    if problem.mend:
        old, new = problem.mend
        replacement = {
            "deletedRegion": region | {"endColumn": place.col + len(old)},
            "insertedContent": {"text": new},
        }
        change = {"artifactLocation": file, "replacements": [replacement]}
        result["fixes"] = [{"artifactChanges": [change]}]
    return result


def _command(problem: Problem) -> str:
    place = problem.place
    fields = {"file": place.file}
    if place.line:
        fields |= {"line": str(place.line), "col": str(place.col)}
    if problem.code:
        fields["title"] = problem.code
    listed = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in fields.items())
    message = f"{problem.key}: {problem.message}" if problem.key else problem.message
    return f"::{severity(problem)} {listed}::{_escaped(message)}"


def _escaped(words: str, more: str = "") -> str:
    """As GitHub's own toolkit escapes what would end a field or a line."""
    for character in f"%\r\n{more}":
        words = words.replace(character, f"%{ord(character):02X}")
    return in_a_line(words)
