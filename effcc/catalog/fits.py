"""Whether data certainly fits a schema: a schema made into functions, once.

jsonschema says what is wrong and where, and takes a millisecond a file to find nothing. Nearly
every file is right, so that is asked first, here. The answer errs to one side only: what is said to
fit has no problem by jsonschema either (a test holds the two together), what is not said to may
have none. So a keyword or a value that is not understood here is no error, only slow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

LARGEST = 2**64  # whole numbers are below
# What a value may be without being asked further. A boolean is no number here, as in our files.
_KINDS: Mapping[str, Check] = {
    "object": lambda value: type(value) is dict,
    "array": lambda value: type(value) is list,
    "string": lambda value: type(value) is str,
    "number": lambda value: math.isfinite(value) if type(value) is float else is_counted(value),
    "integer": lambda value: is_counted(value),
    "boolean": lambda value: type(value) is bool,
    "null": lambda value: value is None,
}
# Keywords that say nothing of what fits.
_WORDS = {"$schema", "$defs", "title", "description", "default", "x-expected", "x-write"}


def compiled(schema: Mapping[str, Any]) -> Check:
    """A function that says whether data certainly fits `schema`."""
    return _Compiler(schema).check(schema)


def is_counted(value: Any) -> bool:
    """Whether a value is a whole number that something could have, and a machine holds."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST


class _Compiler:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.named: dict[str, Check] = {}

    def check(self, schema: Any) -> Check:
        """All keywords of one schema."""
        if isinstance(schema, bool):
            return lambda _: schema
        found: list[Check] = []
        for key, rule in schema.items():
            if key in _WORDS or key in ("properties", "additionalProperties"):
                continue
            make = getattr(self, f"_{key.removeprefix('$')}", None)
            if make is None:
                return _never
            found.append(make(rule))
        if "properties" in schema or "additionalProperties" in schema:
            found.append(self._members(schema))
        if len(found) == 1:
            return found[0]
        checks = tuple(found)

        def each(value: Any) -> bool:
            for check in checks:  # noqa: SIM110  (a generator takes twice as long)
                if not check(value):
                    return False
            return True

        return each

    def _ref(self, rule: str) -> Check:
        if not rule.startswith("#/$defs/"):
            return _never
        name = rule.removeprefix("#/$defs/")
        if name not in self.named:
            self.named[name] = _never  # of a definition that holds itself nothing is said
            self.named[name] = self.check(self.root["$defs"][name])
        return self.named[name]

    def _type(self, rule: str | list[str]) -> Check:
        kinds = [_KINDS.get(kind, _never) for kind in ([rule] if isinstance(rule, str) else rule)]
        if len(kinds) == 1:
            return kinds[0]
        return lambda value: any(kind(value) for kind in kinds)

    def _members(self, schema: Mapping[str, Any]) -> Check:
        known = {key: self.check(rule) for key, rule in schema.get("properties", {}).items()}
        other = self.check(schema.get("additionalProperties", True))

        def members(value: Any) -> bool:
            if type(value) is dict:
                for key, item in value.items():
                    if type(key) is not str or not known.get(key, other)(item):
                        return False
            return True

        return members

    def _required(self, rule: list[str]) -> Check:
        names = frozenset(rule)
        return lambda value: type(value) is not dict or names <= value.keys()

    def _dependentRequired(self, rule: Mapping[str, list[str]]) -> Check:
        def all_there(value: Any) -> bool:
            if type(value) is not dict:
                return True
            return all(set(names) <= value.keys() for key, names in rule.items() if key in value)

        return all_there

    def _items(self, rule: Any) -> Check:
        check = self.check(rule)

        def items(value: Any) -> bool:
            if type(value) is list:
                for item in value:
                    if not check(item):
                        return False
            return True

        return items

    def _enum(self, rule: list[Any]) -> Check:
        known = {(type(choice), choice) for choice in rule if not isinstance(choice, dict | list)}
        return lambda value: type(value) not in (dict, list) and (type(value), value) in known

    def _const(self, rule: Any) -> Check:
        return self._enum([rule])

    def _pattern(self, rule: str) -> Check:
        search = re.compile(rule).search
        return lambda value: type(value) is not str or search(value) is not None

    def _minLength(self, rule: int) -> Check:
        return lambda value: type(value) is not str or len(value) >= rule

    def _maxLength(self, rule: int) -> Check:
        return lambda value: type(value) is not str or len(value) <= rule

    def _minItems(self, rule: int) -> Check:
        return lambda value: type(value) is not list or len(value) >= rule

    def _maxItems(self, rule: int) -> Check:
        return lambda value: type(value) is not list or len(value) <= rule

    def _minimum(self, rule: float) -> Check:
        return lambda value: type(value) not in (int, float) or value >= rule

    def _maximum(self, rule: float) -> Check:
        return lambda value: type(value) not in (int, float) or value <= rule

    def _exclusiveMinimum(self, rule: float) -> Check:
        return lambda value: type(value) not in (int, float) or value > rule

    def _exclusiveMaximum(self, rule: float) -> Check:
        return lambda value: type(value) not in (int, float) or value < rule


def _never(_: Any) -> bool:
    return False
