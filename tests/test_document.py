"""Files are read strictly, and every value knows where and how it was written."""

import contextlib
import json
import math
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effcc.ground import document, nodes
from effcc.ground.document import BadFile, Place, model_index_comment, parse, read
from effcc.ground.nodes import dotted
from effcc.ground.page import parts


def problems(text):
    with pytest.raises(BadFile) as caught:
        parse(text, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


def problem(text):
    (only,) = problems(text)
    return only


def page(text):
    return parse(model_index_comment(text, "f.md"), "f.md", text)


def test_a_key_given_twice_is_refused_and_the_first_one_named():
    message = "lr: given twice, first on line 1; keep one"
    assert problem("lr: 1\nepochs: 2\nlr: 1\n") == f"f.yaml:3:1: {message}"
    message = message.replace("twice", "1,000 times")  # one line, not 999
    assert problem("lr: 1\n" * 1000) == f"f.yaml:2:1: {message}"


def test_all_problems_of_a_file_are_reported_at_once_in_the_order_of_the_file():
    found = problems("a: {b: 1, b: 2}\nc: !!int word\nd:\n- e: 1\n  e: 2\n")
    assert found == [
        "f.yaml:1:11: a.b: given twice, first on line 1; keep one",
        "f.yaml:2:4: c: 'word' is not of type int",
        "f.yaml:5:3: d[0].e: given twice, first on line 4; keep one",
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-5", 1e-5),
        ("1.0e-05", 1e-5),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("+1", 1),
        ("-0.5", -0.5),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
    ],
)
def test_numbers_and_constants_follow_yaml_1_2(written, value):
    found = parse(f"a: {written}").data["a"]
    assert (found, type(found)) == (value, type(value))


def test_not_a_number_is_read():
    assert math.isnan(parse("a: .nan").data["a"])


@pytest.mark.parametrize(
    "word",
    [
        "no",
        "yes",
        "on",
        "Off",
        "y",
        "12:30",
        "1_000",
        "2020-01-01",
        "0o9",
        "0x",
        ".",
        "1e",
        "=",
        "77.32%",
    ],
)
def test_a_word_stays_a_word(word):
    assert parse(f"a: {word}").data == {"a": word}


@pytest.mark.parametrize("written", ["'0.875'", '"0.875"', "!!str 0.875", "|-\n  0.875"])
def test_a_quoted_number_is_text(written):
    assert parse(f"a: {written}").data == {"a": "0.875"}


@pytest.mark.parametrize("text", ["0.875", "0.8750", "1.0e-05", "77.32%", "010", "0x1F"])
def test_the_written_form_of_a_value_is_kept(text):
    assert parse(f"a: [{text}]").mark(("a", 0)).text == text


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system", "!!python/name:os.system", "!custom", "!!binary", "!!set"],
)
def test_tags_that_make_more_than_data_are_refused(tag):
    assert problem(f"a: 1\nb: {tag} x") == f"f.yaml:2:4: tag {tag} is not allowed; data only"


@pytest.mark.parametrize(
    "value",
    ["!!int 1.5", "!!int ''", "!!int true", "!!bool 1", "!!null x", "!!str [1]", "!!seq {b: 1}"],
)
def test_a_tag_that_its_value_contradicts_is_refused(value):
    assert problem(f"a: {value}").startswith("f.yaml:1:4: ")


def test_a_tag_that_says_what_stands_there_is_allowed():
    assert parse("a: !!int 5\nb: !!map {c: !!seq [!!null ~]}").data == {"a": 5, "b": {"c": [None]}}


def test_an_alias_is_its_anchor_again_with_the_anchors_place():
    found = parse("a: &x {lr: 0.10}\nb: *x")
    assert found.data == {"a": {"lr": 0.1}, "b": {"lr": 0.1}}
    assert found.mark(("b", "lr")).value == Place("<text>", 1, 12)
    assert found.mark(("b", "lr")).text == "0.10"


def test_an_alias_of_nothing_is_refused():
    assert problem("a: *x") == "f.yaml:1:4: an alias without an anchor before it"


@pytest.mark.parametrize("text", ["a: &x [*x]", "a: &x {b: *x}", "a: &x {<<: *x}"])
def test_an_alias_of_itself_is_refused(text):
    assert problem(text) == "f.yaml:1:4: nested more than 60 deep, or an alias in itself"


def test_an_anchor_that_no_reader_in_python_takes_is_refused():
    assert problem("a: &x 1\nb: &x 2") == "f.yaml:2:4: an anchor given twice; rename one"


def bomb(seed, grow, levels, wide=10):
    lines = [f"m0: &m0 {seed}"]
    for i in range(1, levels + 1):
        lines.append(f"m{i}: &m{i} {grow % ', '.join([f'*m{i - 1}'] * wide)}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb("[x]", "[%s]", levels=6),
        bomb("{a: x}", "{<<: [%s]}", levels=6),
        bomb("{}", "{<<: [%s]}", levels=6),
    ],
    ids=["lists", "merges", "merges of nothing"],
)
def test_aliases_cannot_multiply_without_end(text, monkeypatch):
    monkeypatch.setattr(nodes, "MAX_NODES", 20_000)
    assert "more than 20000 values once aliases are followed" in problem(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000 + "]" * 5000,
        "{a: " * 5000 + "}" * 5000,
        "\n".join(" " * i + "a:" for i in range(100)),
        bomb("[x]", "[%s]", levels=100, wide=1),
        bomb("{}", "{<<: %s}", levels=2000, wide=1),
    ],
    ids=["lists", "mappings", "lines", "aliases", "merges"],
)
def test_nesting_without_end_is_refused(text):
    assert "nested more than 60 deep" in problem(text)


def test_a_file_of_many_values_is_no_bomb():
    assert len(parse("[" + "x, " * 100_000 + "]").data) == 100_000


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\ufffe", "\ud800"])
def test_a_control_character_is_a_problem_with_a_place(character):
    message = f"control character {character!r}; remove it"
    assert problem(f"a: 1\nb: x{character}y") == f"f.yaml:2:5: {message}"


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_no_character_in_a_value_is_lost_or_moves_the_lines_below(character):
    try:
        found = parse(f'a: "x{character}  y"\nb: 1')
    except BadFile:
        return
    assert found.data["a"] == f"x{character}  y"
    assert found.mark(("b",)).value.line == 2


@pytest.mark.parametrize("text", ["a:\n\tb: 1", "\ta: 1"])
def test_a_tab_is_no_indentation(text):
    assert "not YAML" in problem(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: [1, 2", "2:1"), ("a: 1\nb: 'x", "2:4"), ("a: 1\n  b: 2", "2:4"), ("@a: 1", "1:1")],
)
def test_broken_syntax_is_a_problem_with_a_place(text, place):
    if text == "a: [1, 2":
        text += "\n"
    assert problem(text).startswith(f"f.yaml:{place}: not YAML: ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a:\n  b: 1\n c: 2\n", "indented otherwise than what begins on line 1"),
        ("Type:model-index\nModels: 1\n", "is a space missing after a colon"),
        ("a:\n\tb: 1\n", "a tab; indent with spaces"),
        ("a: 1\nb: 'x\nc: 2\n", "a quote that does not end"),
        ("a: 1\r- b\rc: [\r", "a line that ends in \\r alone"),
    ],
)
def test_broken_syntax_is_told_in_words_that_say_what_to_do(text, reason):
    assert reason in problem(text)


def test_broken_json_is_called_so(tmp_path):
    with pytest.raises(BadFile, match="not JSON: "):
        read(written(tmp_path, "f.json", b'{"a": 1 "b": 2}'))


def test_a_second_document_is_refused():
    assert problem("---\na: 1\n---\nb: 2") == "f.yaml:3:1: a second document; keep one a file"


def test_a_document_may_begin_and_end():
    assert parse("%YAML 1.2\n---\na: no\n...\n").data == {"a": "no"}


def test_an_empty_text_holds_nothing():
    assert parse("# nothing\n").data is None


@pytest.mark.parametrize("key", ["? [a, b]\n: 1", "{[a]: 1}", "? {a: 1}\n: 1"])
def test_a_key_is_a_word(key):
    assert "a key must be a word, not a list" in problem(key)


def test_merged_keys_give_way_to_stated_ones_and_keep_their_places():
    found = parse("a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  <<: [*a, *b]\n  x: 5")
    assert found.data["c"] == {"x": 5, "y": 2, "z": 4}
    lines = {key: found.mark(("c", key)).value.line for key in "xyz"}
    assert lines == {"x": 5, "y": 1, "z": 2}


def test_a_merge_takes_mappings():
    assert problem("a:\n  <<: 5") == "f.yaml:2:7: a: << takes a mapping"


def test_a_merge_key_given_twice_is_refused():
    assert "given twice" in problem("a:\n  <<: {b: 1}\n  <<: {c: 1}")


def test_a_quoted_merge_key_is_a_key():
    assert parse("'<<': 1").data == {"<<": 1}


def test_columns_count_characters_not_bytes():
    assert problem("{a: 😀é, b: 1, b: 2}").startswith("f.yaml:1:15: b: given twice")


def test_a_number_too_long_to_be_one_is_a_problem():
    assert problem("a: " + "9" * 5000) == "f.yaml:1:4: a: a number of more than 400 digits"


def test_a_problem_of_a_missing_value_is_placed_at_its_nearest_ancestor():
    found = parse("a:\n  b: {c: 1}", "f.yaml")
    assert str(found.problem(("a", "b", "d", 0), "m")) == "f.yaml:2:6: a.b.d[0]: m"
    assert str(found.problem(("a", "b"), "m", at_key=True)) == "f.yaml:2:3: a.b: m"


def test_key_paths_are_written_as_people_write_them():
    assert dotted(("Models", 0, "Metadata", "LR")) == "Models[0].Metadata.LR"


def test_places_sort_by_line_as_a_number():
    assert sorted([Place("f", 10, 1), Place("f", 9, 2)])[0].line == 9


# Files


def written(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    found = read(written(tmp_path, "f.yaml", b"\xef\xbb\xbfa: 1\r\nb: 2\r\n"))
    assert found.data == {"a": 1, "b": 2}
    assert found.mark(("b",)).key.line == 2


def test_a_file_that_is_not_utf8_is_a_problem_with_a_line(tmp_path):
    path = written(tmp_path, "f.yaml", "a: 1\nb: café\n".encode("latin-1"))
    with pytest.raises(BadFile, match=r"^shown:2:1: not UTF-8; save the file as UTF-8$"):
        read(path, "shown")


def test_a_utf16_file_is_refused(tmp_path):
    with pytest.raises(BadFile, match="not UTF-8"):
        read(written(tmp_path, "f.yaml", "a: 1".encode("utf-16")))


def test_a_missing_file_and_a_folder_are_problems_of_that_file(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(BadFile, match=r"^shown: cannot be read: "):
            read(path, "shown")


def test_a_file_larger_than_any_card_is_not_read(tmp_path):
    path = tmp_path / "f.yaml"
    path.touch()
    os.truncate(path, document.MAX_BYTES + 1)
    with pytest.raises(BadFile, match="larger than 16 MiB"):
        read(path)


def test_json_with_escapes_beyond_16_bits_is_read(tmp_path):
    path = written(tmp_path, "f.json", json.dumps({"a": "😀"}).encode())
    assert read(path).data == {"a": "😀"}


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(values.filter(lambda value: value is not None))
def test_json_is_read_as_json_or_refused_with_a_place(value):
    text = json.dumps(value, ensure_ascii=False, indent=1)
    text = text.replace("NaN", ".nan").replace("Infinity", ".inf")
    if ".nan" in text or ".inf" in text:
        return
    try:
        found = parse(text).data
    except BadFile as error:
        refusal = str(error)
    else:
        assert json.dumps(found) == json.dumps(value)
        return
    assert "control character" in refusal


@given(
    st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"%@`#,?~<= \n\t0x1.e\\\u2028é"), max_size=40)
)
def test_no_text_gets_past_as_anything_but_data_or_problems(text):
    with contextlib.suppress(BadFile):
        parse(text)


# Markdown pages

COMMENT = "<!--\nType: model-index\nModels:\n- Name: a\n-->\n"


def test_places_inside_markdown_are_those_of_the_page():
    text = "# Title\n\nProse.\n\n" + COMMENT.replace("Name: a", "Name: a\n  Name: b")
    with pytest.raises(BadFile) as caught:
        page(text)
    assert str(caught.value).startswith("f.md:9:3: Models[0].Name: given twice, first on line 8")
    assert page("é 😀\n\n" + COMMENT).mark(("Models", 0, "Name")).value == Place("f.md", 6, 9)


def test_columns_are_right_where_the_comment_begins_amid_a_line():
    found = page("é <!-- Type: model-index -->")
    assert found.mark(("Type",)).value == Place("f.md", 1, 14)


@pytest.mark.parametrize(
    "opening", ["```", "```md", "~~~", "````\n```", "~~~md\n```", "   ```yaml"]
)
def test_a_comment_inside_a_code_fence_is_an_example(opening):
    closing = opening.strip()[:3] if not opening.startswith("````") else "````"
    text = f"{opening}\n{COMMENT.replace('a', 'x')}{closing}\n\n{COMMENT}"
    assert page(text).data["Models"] == [{"Name": "a"}]


def test_a_page_whose_only_comment_is_an_example_holds_no_data():
    with pytest.raises(BadFile, match="no `<!-- Type: model-index` comment on this page"):
        page(f"```\n{COMMENT}```\n")


def test_an_arrow_inside_a_value_does_not_end_the_data():
    text = "<!--\nType: model-index\nModels:\n- Name: a --> b\n- Name: c\n  -->\nafter\n"
    assert page(text).data["Models"] == [{"Name": "a --> b"}, {"Name": "c"}]


def test_a_comment_on_one_line_ends_at_its_arrow():
    assert page("x <!-- Type: model-index --> y").data == {"Type": "model-index"}


def test_a_comment_that_does_not_end_is_a_problem_where_it_begins():
    with pytest.raises(
        BadFile, match=r"^f.md:3:1: the model-index comment does not end; add `-->`"
    ):
        page("a\n\n<!--\nType: model-index\nModels: []\n")


@pytest.mark.parametrize("fence", ["```", "~~~"])
def test_lines_may_end_as_on_windows(fence):
    text = f"# Title\n{fence}python\nx = 1\n{fence}\n\n{COMMENT}".replace("\n", "\r\n")
    assert page(text).data["Models"] == [{"Name": "a"}]


@pytest.mark.parametrize("before", ["<!-- a note -->\n", "`<!--` begins one\n", "<!-- a --> "])
def test_other_comments_are_passed_over(before):
    assert page(before + COMMENT).data["Models"] == [{"Name": "a"}]


def test_a_fence_inside_a_comment_opens_no_code():
    assert page("<!-- was:\n```\n-->\n" + COMMENT).data["Models"] == [{"Name": "a"}]


def test_a_comment_of_another_type_is_no_data():
    other = "<!--\nType: model-index-draft\n-->\n"
    assert page(other + COMMENT).data["Type"] == "model-index"


def test_a_second_comment_with_data_is_not_silently_dropped():
    with pytest.raises(BadFile, match="second"):
        page(COMMENT + "\nMore.\n\n" + COMMENT.replace("Name: a", "Name: b"))


@pytest.mark.parametrize(
    "piece", ["`", "``` ", "x`", "<!--", "<!-- ", "<!--\n", "~~~\n", "---\n", "-->", "<!-- x -->"]
)
def test_no_page_takes_long_to_look_through(piece):
    """A search that began anew at every piece would take hours."""
    start = time.monotonic()
    parts("x" + piece * (2**21 // len(piece)))
    parts("---\n" + piece * (2**21 // len(piece)))
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("suffix", [".md", ".mdx", ".markdown", ".MD"])
def test_the_data_of_a_page_is_read_whatever_its_ending(tmp_path, suffix):
    text = f"---\ntitle: x\n---\n# Title\n{COMMENT}"
    found = read(written(tmp_path, f"f{suffix}", text.encode()))
    assert found.data["Models"] == [{"Name": "a"}]
    assert found.text == text


def test_a_long_line_that_is_no_yaml_does_not_take_long(unburdened):
    began = time.process_time()
    assert "a value where none can be" in problem(f"a: b{' ' * 70_000}c: d\n")
    assert time.process_time() - began < 1
