"""JSON Schema failures as problems with a place and a mend.

The schemas in `schemas/` say what a file may hold. Two keywords of our own help the messages:
`x-expected` puts a pattern or a choice into words, `x-write` says what to write in place of a value
of another kind.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcc.catalog import fits
from effcc.ground.words import closest

if TYPE_CHECKING:
    from effcc.ground.document import Document
    from effcc.ground.errors import Problem
    from effcc.ground.nodes import KeyPath

_KINDS = {
    "object": "a mapping (key: value)",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "nothing",
}


@functools.cache
def load(name: str) -> dict[str, Any]:
    """The schema `name`, e.g. `registry`, as data."""
    file = Path(__file__).parent / "schemas" / f"{name}.schema.json"
    return json.loads(file.read_text("utf-8"))


@functools.cache
def _validator(name: str) -> Any:
    from jsonschema import Draft202012Validator, validators  # 0.1 s, not every command needs it

    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: fits.is_counted(value),
            "number": lambda _, value: (
                math.isfinite(value) if isinstance(value, float) else fits.is_counted(value)
            ),
        }
    )
    return validators.extend(Draft202012Validator, type_checker=checker)(load(name))


@functools.cache
def _fits(name: str) -> fits.Check:
    return fits.compiled(load(name))


def problems(document: Document, name: str) -> list[Problem]:
    """Everything in `document` that the schema `name` does not allow, in the order of the file."""
    if _fits(name)(document.data):
        return []
    errors = _validator(name).iter_errors(document.data)
    return sorted({problem for error in errors for problem in _explain(error, document)})


def _explain(error: Any, document: Document) -> Iterator[Problem]:
    path: KeyPath = tuple(error.absolute_path)
    rule, value, schema = error.validator_value, error.instance, error.schema
    match error.validator:
        case "additionalProperties" if rule is False:
            known = list(schema.get("properties", ()))
            for key in value:
                if key not in known:
                    hint = closest(str(key), known) or f"; known here: {', '.join(known)}"
                    yield document.problem((*path, key), f"unknown key{hint}", at_key=True)
        case "required":
            for key in rule:
                if key not in value:
                    yield document.problem(path, f"`{key}:` is missing; add it")
        case "type":
            kinds = [rule] if isinstance(rule, str) else rule
            wanted = " or ".join(_KINDS[k] for k in kinds)
            hint = f"; write {schema['x-write']}" if "x-write" in schema else ""
            if isinstance(value, int) and abs(value) >= fits.LARGEST:
                hint = "; nothing is that many"
            yield document.problem(path, f"expected {wanted}, found {_show(value)}{hint}")
        case "enum":
            choices = ["null" if choice is None else str(choice) for choice in rule]
            words, hint = ", ".join(choices), closest(str(value), choices)
            yield document.problem(
                path,
                f"expected one of {words}, found {_show(value)}{hint}",
            )
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            words = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}
            yield document.problem(
                path,
                f"must be {words.get(error.validator, 'less than')} {rule}, found {_show(value)}",
            )
        case "const":
            yield document.problem(path, f"expected {rule}, found {_show(value)}")
        case "minLength":
            wanted = f"expected at least {rule} characters"
            yield document.problem(path, f"{wanted}, found {_show(value)}")
        case "maxLength":
            yield document.problem(path, f"{len(value)} characters; at most {rule} fit")
        case _:
            expected = (
                schema.get("x-expected") or f"something else ({error.validator}: {_show(rule)})"
            )
            yield document.problem(path, f"expected {expected}, found {_show(value)}")


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
