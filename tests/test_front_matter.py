"""Front matter is found where the Hub finds it, and changing a key touches nothing else."""

import claims as drawn
import pytest
import yaml
from huggingface_hub.repocard import REGEX_YAML_BLOCK
from hypothesis import given, settings
from hypothesis import strategies as st

from effcc.claims import front_matter, yamltext
from effcc.ground.errors import BadFile

PAGE = """\
---
# What the licence allows
license: apache-2.0   # kept
tags: [a,   b]
model-index:
# old results
- name: x
  results: []

# The tasks
pipeline_tag: 'image-classification'
---
# Title

---
model-index: not data
---
"""
NEW = "model-index:\n- name: y\n  results: []\n"


def test_values_have_the_lines_of_the_page():
    document = front_matter.read(PAGE, "README.md")
    assert document.data["license"] == "apache-2.0"
    assert str(document.problem(("model-index", 0, "name"), "x")).startswith("README.md:7:9: ")


@pytest.mark.parametrize(
    "page",
    [
        *("", "# Title\n", "text\n---\na: 1\n---\n", "---\na: 1\n", "---\n---\n"),
        *("----\na: 1\n----\n", "---\na: 1\n---\n", "\n \n---\na: 1\n---\nx", "---\na: 1\n---"),
        *("---\na: 1\n---  \nx\n---\n", "---\r\na: 1\r\n---\r\nx", "--- \na: 1\n---\n"),
        "---\na: 1\n --- \n---\n",
    ],
)
def test_front_matter_is_where_the_hub_finds_it(page):
    theirs = REGEX_YAML_BLOCK.search(page)
    try:
        ours = front_matter.read(page)
    except BadFile:
        assert theirs
        return
    assert (ours is None) == (theirs is None)
    if ours:
        assert ours.data == yaml.safe_load(theirs[2])


def test_a_key_is_replaced_and_not_a_byte_of_the_rest():
    changed = front_matter.replaced(PAGE, "model-index", NEW)
    old = "model-index:\n# old results\n- name: x\n  results: []\n"
    assert changed == PAGE.replace(old, NEW)


def test_a_key_is_added_at_the_end():
    page = PAGE.replace("model-index:\n# old results\n- name: x\n  results: []\n", "")
    added = front_matter.replaced(page, "model-index", NEW)
    assert added == page.replace("classification'\n", f"classification'\n{NEW}")


def test_a_page_without_front_matter_gets_some():
    assert front_matter.replaced("# Title\n", "k", "k: 1\n") == "---\nk: 1\n---\n# Title\n"
    assert front_matter.replaced("", "k", "k: 1\n") == "---\nk: 1\n---\n"


def test_line_ends_and_a_byte_order_mark_stay_as_they_are():
    page = "\ufeff" + PAGE.replace("\n", "\r\n")
    changed = front_matter.replaced(page, "model-index", NEW)
    assert changed == "\ufeff" + front_matter.replaced(PAGE, "model-index", NEW).replace(
        "\n", "\r\n"
    )


@pytest.mark.parametrize(
    "page",
    [
        "---\n{license: mit, model-index: []}\n---\n",
        "---\nmodel-index: &a []\nother: *a\n---\n",
        "---\nbase: &b {model-index: []}\n<<: *b\n---\n",
        "---\n- a list\n---\n",
        "---\na: {\n  model-index: []\n}\nmodel-index: {x: 1}, y: 2\n---\n",
    ],
)
def test_keys_that_lean_on_each_other_are_refused(page):
    with pytest.raises(BadFile):
        front_matter.replaced(page, "model-index", NEW)


values = drawn.nasty | st.lists(drawn.nasty, max_size=2) | st.dictionaries(drawn.nasty, st.none())


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(drawn.nasty | st.just("model-index"), values, max_size=4), values)
def test_whatever_a_page_holds_only_the_key_changes(data, value):
    page = f"---\n{yamltext.dump(data)}---\nbody" if data else "body"
    changed = front_matter.replaced(page, "model-index", yamltext.dump({"model-index": value}))
    assert front_matter.read(changed).data == data | {"model-index": value}
    assert changed.endswith("---\nbody")
