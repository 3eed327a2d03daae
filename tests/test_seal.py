"""A record's digest follows from its data alone, by a rule that anybody can apply."""

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from effcc.catalog import seal
from effcc.catalog.seal import Filed, Seal
from effcc.ground import document

# What documents take: text without the characters that YAML has no place for.
LETTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])
TEXT = st.text(LETTERS.filter(lambda letter: letter not in "\ufffe\uffff"), max_size=8)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(10**30), 10**30)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.dictionaries(TEXT.filter(lambda key: key not in ("digest", "schema")), VALUES)


def test_the_rule_is_what_the_documentation_says():
    data = {"b": [1, 2.0, 1e-05], "a": "é", "digest": "whatever"}
    text = b'{"a":"\\u00e9","b":[1,2.0,1e-05]}'
    assert seal.digest(data) == hashlib.sha256(text).hexdigest()


@given(RECORDS)
def test_what_was_sealed_is_whole_however_it_is_read(data):
    """As JSON, and as this project reads files, to the same numbers."""
    made = seal.sealed(data)
    text = json.dumps(made, indent=1, ensure_ascii=False)
    for read in (json.loads(text), document.parse(text).data):
        assert read == made
        assert seal.seal(read) is Seal.WHOLE


@given(RECORDS, TEXT, VALUES)
def test_a_changed_value_breaks_the_seal(data, key, value):
    made = seal.sealed(data)
    changed = made | {key: value}
    same = json.dumps(changed, sort_keys=True) == json.dumps(made, sort_keys=True)
    assert seal.seal(changed) is (Seal.WHOLE if same else Seal.BROKEN)


def test_the_order_of_keys_is_no_change():
    made = seal.sealed({"a": 1, "b": {"c": 2, "d": 3}})
    turned = {key: made[key] for key in reversed(made)} | {"b": {"d": 3, "c": 2}}
    assert seal.seal(turned) is Seal.WHOLE


def test_only_a_record_of_the_first_schema_may_lack_a_digest():
    assert seal.seal({"schema": 1}) is Seal.NONE
    assert seal.seal({"schema": 2}) is Seal.BROKEN
    assert seal.seal({"schema": 1, "digest": "00"}) is Seal.BROKEN


def test_a_figure_knows_its_line():
    read = document.parse('{\n "metrics": {\n  "top1": 0.5\n }\n}', "x.json")
    assert Filed(read, Seal.NONE).place("metrics", "top1").short == "x.json:3"
