"""JSON is read as YAML reads it, only sooner, and every value is found where it stands."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effcc.ground import document, jsontext
from effcc.ground.document import parse

words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Cn"]), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


def paths(value, above=()):
    yield above
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*above, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from paths(item, (*above, number))


@given(st.dictionaries(words, values, max_size=4), st.sampled_from([None, 1, 3]))
def test_json_means_and_marks_what_it_does_as_yaml(data, indent):
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    quick, slow = document._plain_json(text, "a.json"), parse(text, "a.json")
    if "\\u" in text:  # an escape is left to the slower reader
        assert quick is None
        return
    assert repr(quick.data) == repr(slow.data)
    for path in list(paths(data))[: document._FEW]:
        assert quick.marks[path] == slow.marks[path]
    assert dict(quick.marks) == dict(slow.marks)
    assert (("no such key", 7) in quick.marks) == (("no such key", 7) in slow.marks)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": "\\ud800"}',
        '{"a": ' + "9" * 500 + "}",
        '{"a": 1,}',
        "{'a': 1}",
        "[" * 61 + "]" * 61,
        "[" * 100_000,
        "a: 1",
        "",
        "{",
        '{"a"',
    ],
)
def test_what_is_unusual_is_left_to_the_reader_that_says_what_is_wrong(text):
    with pytest.raises(jsontext.NotPlain):
        jsontext.parse(text, 60)
    assert document._plain_json(text, "a.json") is None


def test_many_places_are_not_looked_for_one_by_one(tmp_path):
    file = tmp_path / "a.json"
    file.write_text(json.dumps({f"k{number}": number for number in range(10_000)}, indent=1))
    read = document.read(file)
    lines = [read.mark((f"k{number}",)).value.line for number in range(10_000)]
    assert lines == list(range(2, 10_002))
    assert "all" in vars(read.marks)
