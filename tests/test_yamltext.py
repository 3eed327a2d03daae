"""Both YAMLs read what is written here, and read the same."""

import claims as drawn
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from effcc.claims import yamltext
from effcc.claims.claim import Fact
from effcc.ground.document import parse

data = st.recursive(
    drawn.nasty | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(drawn.nasty, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(data)
def test_yaml_1_1_and_1_2_read_the_same_data(data):
    text = yamltext.dump({"k": data})
    assert yaml.safe_load(text) == {"k": data}
    assert parse(text).data == {"k": data}


@settings(max_examples=80, deadline=None)
@given(data)
def test_no_line_of_it_ends_front_matter(data):
    lines = yamltext.dump({"k": data}).splitlines()
    assert not [line for line in lines if line.startswith(("---", "..."))]


@pytest.mark.parametrize("text", ["0.7730", "77", "1.0e-05", "-0.50"])
def test_a_figure_is_printed_as_it_was_written(text):
    assert yamltext.dump({"v": Fact(parse(text).data, text)}) == f"v: {text}\n"


@pytest.mark.parametrize("text", ["1e-5", "0.875", "no", "2025-01-15", "0123", "null", "~", ""])
def test_a_text_that_looks_like_something_else_is_quoted(text):
    written = yamltext.dump({"v": Fact(text, text)})
    assert written == f"v: '{text}'\n"


def test_facts_in_lists_keep_their_digits():
    written = yamltext.dump({"v": (Fact(0.1, "0.10"), "x"), "w": Fact((Fact(1, "1"), "a"), "")})
    assert written == "v:\n- 0.10\n- x\nw:\n- 1\n- a\n"
