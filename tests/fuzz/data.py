"""Structured data that is nearly right: values of a schema at their edges, a file's own changed."""

import json

from fuzz import shapes as of
from hypothesis import strategies as st

_NUMBERS = (0, 1, -1, 2, 0.5, 1e-300, 1e15, 1e308, 5e-324, 2**31, 2**63, 2**64, 10**320, -0.0)


def of_schema(schema, root):
    """Data that a JSON schema takes, mostly, often at the edge of what it takes."""
    if "$ref" in schema:
        found = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return of_schema(found, root)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return st.one_of([of_schema(choice, root) for choice in choices])
    kinds = schema.get("type", "object")
    return st.one_of([_of_kind(kind, schema, root) for kind in _listed(kinds)])


def _of_kind(kind, schema, root):
    if kind == "object":
        parts = {k: of_schema(rule, root) for k, rule in schema.get("properties", {}).items()}
        needed = {key: parts.pop(key) for key in schema.get("required", ()) if key in parts}
        return _some(needed, parts) if parts or needed else st.dictionaries(of.words, of.values)
    if kind == "array":
        most = min(schema.get("maxItems", 6), 6)
        items = of_schema(schema["items"], root) if "items" in schema else of.values
        return st.lists(items, min_size=min(schema.get("minItems", 0), most), max_size=most)
    if kind in ("integer", "number"):
        least, most = (
            schema.get("minimum", schema.get("exclusiveMinimum", 0)),
            schema.get("maximum"),
        )
        edges = [least, least + 1, *([most, most / 2] if most else _NUMBERS[3:])]
        edges = [int(edge) if kind == "integer" else edge for edge in edges]
        return st.sampled_from([*edges, schema.get("default", edges[0])])
    if kind == "string":
        patterned = (
            st.from_regex(schema["pattern"], fullmatch=True) if "pattern" in schema else None
        )
        return patterned or of.words
    return st.booleans() if kind == "boolean" else st.none()


@st.composite
def _some(draw, needed, parts):
    """What an object needs, and a few of its other parts."""
    names = draw(st.lists(st.sampled_from(sorted(parts)), max_size=4, unique=True)) if parts else []
    return {key: draw(of_key) for key, of_key in needed.items()} | {
        name: draw(parts[name]) for name in names
    }


def _listed(kinds):
    return [kinds] if isinstance(kinds, str) else kinds


@st.composite
def changed(draw, texts, words=of.words):
    """JSON texts, as data in which a few values are others of the same kind, or of any."""
    data = json.loads(texts[draw(st.integers(0, len(texts) - 1))])
    for _ in range(draw(st.integers(1, 3))):
        at = data
        while True:
            keys = list(at) if isinstance(at, dict) else range(len(at))
            key = draw(st.sampled_from(keys))
            inside = at[key] if isinstance(at[key], dict | list) else None
            if not inside or draw(st.integers(0, 5)) == 0:
                break
            at = inside
        how = draw(st.integers(0, 8))
        if how == 0:
            del at[key]
            if not at:
                break
        elif how == 1:
            at[key] = draw(of.values)
        else:
            at[key] = draw(_alike(at[key], words))
    return data


def _alike(value, words):
    """Other values of the kind of one."""
    if isinstance(value, bool) or value is None:
        return st.sampled_from((True, False, None))
    if isinstance(value, int | float):
        whole = [number for number in _NUMBERS if number == int(number)]
        near = _NUMBERS if isinstance(value, float) else list(map(int, whole))
        return st.sampled_from([*near, value + 1, -value, value * 1000])
    if isinstance(value, str):
        longer = st.builds(lambda word: value + word, words)
        return words | longer | st.just(value * 40)
    if isinstance(value, list):
        return st.sampled_from(
            [[], value[:1], value[1:], value + value[:1], value * 20, value[::-1]]
        )
    return st.just({}) | st.builds(lambda word: value | {word: 1}, words)
