"""Questions: what each asks for, what cannot be read and where, and nothing else."""

import contextlib
import itertools
import json
import time

import pytest
import variants
from hypothesis import given
from hypothesis import strategies as st
from questions import ASKED, NO_SORTS, ROWS, SORTS, WRONG

from effcc import cli
from effcc.catalog import query
from effcc.catalog.query import BadQuery
from effcc.ground.errors import UserError

MANY = variants.rows(40)


def names(text, rows=ROWS):
    return [row.name for row in query.select(rows, text)]


def problems(text):
    with pytest.raises(BadQuery) as caught:
        query.parse(text)
    return caught.value.problems


@pytest.mark.parametrize("text", ASKED)
def test_a_question_gets_the_variants_that_it_asks_for(text):
    assert names(text) == ASKED[text]


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:20])
def test_what_cannot_be_read_is_told_with_its_column_and_what_to_write(text):
    found = problems(text)
    assert [(p.place.line, p.place.col, p.key) for p in found] == [
        (1, col, key) for col, key, _ in WRONG[text]
    ]
    for problem, (_, _, begins) in zip(found, WRONG[text], strict=True):
        assert problem.message.startswith(begins)


def test_every_field_can_be_asked_about():
    of_numbers = {"count", "percent", "ms", "pixels"}
    for field, of in query.FIELDS.items():
        value = "1" if of.unit in of_numbers else "a"
        assert names(f"{field}={value} {field}!={value}") == []
        assert set(names(f"{field}:{value}")) <= {row.name for row in ROWS}


# Pieces that a question is likely to be made of, and what nobody would type.
PIECES = st.sampled_from(
    [
        *query.FIELDS,
        *query.ALIASES,
        *(">", "<", ">=", "<=", "=", "!=", ":", "-", "!", '"', " ", "\u00a0", "%", "M", "k", "ms"),
        *("8", "78", "0.5", "1e9", "-3", "13,314,116", ".", "e5", "b0", "digits", "ImageNet", "é"),
    ]
)
TEXT = st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join)


@given(TEXT)
def test_any_text_is_a_question_or_one_line_a_problem_and_nothing_else(text):
    found, problems = MANY, ()
    try:
        found = query.select(MANY, text)
    except BadQuery as error:
        problems = (error.exit_code, *error.problems)
    assert [row for row in MANY if row in found] == found
    assert problems[:1] in ((), (2,))
    for problem in problems[1:]:
        assert str(problem).startswith(f"query:1:{problem.place.col}: ")
        assert 1 <= problem.place.col <= len(text)
        assert str(problem).isprintable()


TERM = st.tuples(
    st.sampled_from([name for name, of in query.FIELDS.items() if of.unit != "text"]),
    st.sampled_from([">", "<", ">=", "<=", "=", "!=", ":"]),
    st.integers(1, 99),
).map(lambda parts: "".join(map(str, parts)))


@given(TERM, st.sampled_from(["", "dataset:ImageNet ", "dataset!=imagenet "]))
def test_a_term_and_the_same_turned_part_what_is_listed_in_two(term, before):
    listed, met, unmet = (names(before + more, MANY) for more in ("", term, f"-{term}"))
    assert sorted(met + unmet) == sorted(listed)


@given(TERM.filter(lambda term: "=" in term))
def test_at_most_and_at_least_are_what_equal_takes_and_what_lies_beyond(term):
    field, number = term.split(next(filter(term.__contains__, ("!=", "<=", ">=", "="))))
    for strict in "<>":
        either = {*names(f"{field}{strict}{number}", MANY), *names(f"{field}={number}", MANY)}
        assert set(names(f"{field}{strict}={number}", MANY)) == either


@given(st.lists(TERM, max_size=4))
def test_the_order_of_terms_is_of_no_account(terms):
    first, *others = (names(" ".join(order), MANY) for order in itertools.permutations(terms))
    assert all(found == first for found in others)


@given(TERM, TERM)
def test_another_term_never_adds_a_variant(one, other):
    assert set(names(f"{one} {other}", MANY)) <= set(names(one, MANY))


@given(st.integers(0, 10**6))
def test_a_number_is_found_by_what_is_printed_of_it(place):
    row = MANY[place % len(MANY)]
    assert row.name in names(f"params={row.params / 1e6:.1f}M", MANY)
    assert row.name in names(f"params={row.params}", MANY)
    assert row.name in names(f"macs={row.macs:,}", MANY)


@pytest.mark.parametrize(
    "text",
    [
        " " * 1000,
        "a " * 500,
        "a" + " " * 999,
        "-" * 1000,
        '"' * 1000,
        "a" * 1000,
        "a" * 999 + ">",
        "params>" + "1" * 993,
        "params>" + "1,111" * 198,
        "params<=20M " * 83,
        "!" * 1000,
        "a>" * 500,
        "parms>1 " * 125,
        "\u00a0\t" * 500,
    ],
    ids=lambda text: text[:12],
)
def test_no_question_takes_long(text, unburdened):
    start = time.process_time()
    with contextlib.suppress(BadQuery):
        query.parse(text)
    assert time.process_time() - start < 1  # a second on any machine; it takes milliseconds


# Sorting


def test_rows_are_sorted_by_a_figure_and_unknown_ones_come_last():
    def order(field):
        return [row.name[3:] for row in query.ordered(ROWS, field)]

    assert order("name") == ["b0_4e", "b0_8e", "b1_8e", "pico_4e"]
    assert order("-name") == ["pico_4e", "b1_8e", "b0_8e", "b0_4e"]
    assert order("params") == ["pico_4e", "b0_4e", "b0_8e", "b1_8e"]
    assert order("-macs") == ["b1_8e", "b0_8e", "b0_4e", "pico_4e"]
    assert order("-claimed.top1") == ["b1_8e", "b0_8e", "b0_4e", "pico_4e"]
    assert order("measured.top1") == ["b0_4e", "b0_8e", "b1_8e", "pico_4e"]
    assert order("-top1") == ["b0_8e", "b0_4e", "b1_8e", "pico_4e"]
    assert order("latency") == ["b0_4e", "b1_8e", "b0_8e", "pico_4e"]
    assert order("-latency") == ["b1_8e", "b0_4e", "b0_8e", "pico_4e"]
    assert order("-experts") == ["b0_8e", "b1_8e", "b0_4e", "pico_4e"]


@pytest.mark.parametrize("field", SORTS)
def test_a_figure_may_be_sorted_by_under_any_of_its_names(field):
    own = query.ALIASES.get(field.removeprefix("-"), field.removeprefix("-"))
    down = "-" * field.startswith("-")
    assert query.ordered(MANY, field) == query.ordered(MANY, down + own)


@pytest.mark.parametrize("field", ["", *NO_SORTS])
def test_what_cannot_be_sorted_by_is_told(field):
    with pytest.raises(UserError, match=r"command line: --sort: no such figure; ") as caught:
        query.ordered(ROWS, field)
    assert caught.value.exit_code == 2


# The command


@pytest.fixture
def listed(project, capsys):
    """Runs `effcc list`: (exit code, standard output, standard error)."""

    def run(*words):
        code = cli.main(["list", *words])
        return code, *capsys.readouterr()

    return run


def test_list_takes_a_question_in_one_word_or_several(listed):
    code, out, err = listed("top1>78", "experts=8", "--json")
    assert (code, err) == (0, "")
    assert [row["name"] for row in json.loads(out)] == ["cc_b1_8e"]
    assert listed("top1>78 experts=8", "--json") == (code, out, err)


def test_list_sorts(listed):
    code, out, err = listed("--sort=-params", "b0_")
    assert (code, err) == (0, "2 of 4 variants\n")
    assert [line.split()[0] for line in out.splitlines()] == ["name", "cc_b0_8e", "cc_b0_4e"]


def test_list_says_what_is_wrong_with_a_question(listed):
    code, out, err = listed("parms>3", "top1>x")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "query:1:1: parms: no such field; did you mean 'params'?",
        "query:1:14: top1: no number here; write it as 78, 78.5 or 78%",
    ]


def test_a_question_that_begins_with_a_minus_goes_behind_two(listed):
    code, _, err = listed("-8e")
    assert code == 2
    assert "effcc list -- -8e" in err
    code, out, _ = listed("--json", "--", "-8e")
    assert code == 0
    assert [row["name"] for row in json.loads(out)] == ["cc_b0_4e", "cc_pico_4e"]


def test_list_says_so_when_nothing_is_asked_for(listed):
    assert listed("zebra") == (0, "", "0 of 4 variants\n")
    assert listed("zebra", "--json")[1] == "[]\n"
