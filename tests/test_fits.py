"""What is said at once to fit a schema has no problem by jsonschema either."""

import copy
import json

import pytest
import records
from conftest import ROOT, copied
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from effcc.catalog import fits, results, routings, schema, timings
from effcc.ground.document import read

# What a value may be changed to: other kinds, and what is easily taken for another.
ODD = (
    *(None, True, False, 0, 1, -1, 1.0, 0.5, 1e300, float("nan"), float("inf"), 10**400),
    *("", "x", "a" * 3000, "20260131T120000Z-fit-digits-0", [], {}, [1], [None], {"a": 1}, {1: 2}),
)


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """Files as they should be, with the schema of each."""
    home = copied(tmp_path_factory.mktemp("fits"))
    results.save(records.record(home), home)
    timings.save(records.bench(home), home)
    routings.save(records.routing(home), home)
    found = [
        (results.kind_of(read(path), path), json.loads(path.read_text("utf-8")))
        for path in sorted(home.results.glob("*/*.json"))
    ]
    assert {name for name, _ in found} == {"result", "bench", "routing"}
    return found + [("registry", read(path).data) for path in (ROOT / "registry").rglob("*.yaml")]


def places(data, path=()):
    """Where values stand in data, itself included."""
    yield path
    items = data.items() if isinstance(data, dict) else ()
    for key, value in enumerate(data) if isinstance(data, list) else items:
        yield from places(value, (*path, key))


def changed(data, path, value, how):
    """A copy with one value set anew, left out, or another put into it."""
    if not path:
        return value
    whole = copy.deepcopy(data)
    at = whole
    for key in path[:-1]:
        at = at[key]
    last = path[-1]
    if how == "drop":
        del at[last]
    elif how == "add" and isinstance(at[last], dict):
        at[last]["another"] = value
    elif how == "add" and isinstance(at[last], list):
        at[last].append(value)
    else:
        at[last] = value
    return whole


def test_a_right_file_is_seen_to_be_at_once(right):
    for name, data in right:
        assert fits.compiled(schema.load(name))(data), name


@settings(max_examples=400, deadline=None)
@given(choices=st.data())
def test_what_is_said_to_fit_has_no_problem(right, choices):
    name, data = right[choices.draw(st.integers(0, len(right) - 1))]
    path = choices.draw(st.sampled_from(list(places(data))))
    how = choices.draw(st.sampled_from(["set", "set", "drop", "add"]))
    data = changed(data, path, choices.draw(st.sampled_from(ODD)), how)
    if fits.compiled(schema.load(name))(data):
        assert not list(schema._validator(name).iter_errors(data))


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "integer", "minimum": 1, "maximum": 1},
        {"type": ["number", "null"], "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"minLength": 1, "maxLength": 29, "pattern": "^[x2]"},
        {"items": {"type": "integer"}, "minItems": 1, "maxItems": 1},
        {"enum": [1, "x", None]},
        {"enum": [True, [], {}]},
        {"const": 1},
        {"required": ["a"], "properties": {"a": {"const": 1}}, "additionalProperties": False},
        {"additionalProperties": {"type": "integer"}},
        {"dependentRequired": {"a": ["b"]}},
        {"$ref": "#/$defs/of", "minimum": 1},
        {"not": {"type": "string"}},
        {"items": False},
    ],
)
def test_every_keyword_errs_to_one_side(rule):
    whole = rule | {"$defs": {"of": {"type": "integer"}}}
    check, reference = fits.compiled(whole), Draft202012Validator(whole)
    said = [value for value in ODD if check(value)]
    assert all(reference.is_valid(value) for value in said)
    if "not" not in rule:  # which it does not know
        assert said


def test_of_a_definition_that_holds_itself_nothing_is_said():
    of = {"type": "object", "additionalProperties": {"$ref": "#/$defs/of"}}
    check = fits.compiled({"$ref": "#/$defs/of", "$defs": {"of": of}})
    assert check({})
    assert not check({"a": {}})
