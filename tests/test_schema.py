"""Schemas say what a file may hold; their failures say what to write instead."""

import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from effcc.catalog import schema
from effcc.ground.document import parse
from effcc.ground.words import closest

NAMES = ("registry", "result", "bench")


def found(name, text):
    return [str(p) for p in schema.problems(parse(text, "f"), name)]


def nodes(node):
    """A schema's parts, itself included."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_a_schema(name):
    Draft202012Validator.check_schema(schema.load(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_reference_leads_somewhere(name):
    definitions = schema.load(name)["$defs"]
    for node in nodes(schema.load(name)):
        if "$ref" in node:
            assert node["$ref"].rpartition("/")[2] in definitions


@pytest.mark.parametrize("name", NAMES)
def test_a_default_obeys_its_own_rule(name):
    whole = schema.load(name)
    for node in nodes(whole):
        if "default" in node:
            Draft202012Validator(node | {"$defs": whole.get("$defs", {})}).validate(node["default"])


def test_every_setting_is_described():
    definitions = schema.load("registry")["$defs"]
    for section in ("stage", "network", "preprocessing", "augment", "recipe", "data"):
        for key, rule in definitions[section]["properties"].items():
            assert "$ref" in rule or rule.get("description"), f"{section}.{key}"


def test_a_number_that_no_float_can_be_is_a_problem_not_a_crash():
    shown = "1" + "0" * 56 + "..."
    assert found("registry", f"recipe: {{lr: 1{'0' * 350}}}") == [
        f"f:1:14: recipe.lr: expected a number, found {shown}; nothing is that many"
    ]


def test_problems_come_in_the_order_of_the_file():
    text = "seed: -1\nrecipe:\n  lr: 0\n  epoch: 3\nnetwork: {experts: x}\n"
    assert [p.split(":")[1] for p in found("registry", text)] == ["1", "3", "4", "5"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("registry", "model: ''"),
        ("registry", "disputes: {FLOPs: {claimed: [], reason: wrong}}"),
        ("registry", "disputes: {FLOPs: {claimed: true}}"),
        ("registry", f"summary: {'x' * 301}"),
        ("result", "schema: 2"),
    ],
)
def test_no_message_leaves_the_reader_to_guess(name, text):
    assert not [problem for problem in found(name, text) if "something else" in problem]


@pytest.mark.parametrize(
    ("dispute", "message"),
    [
        ("0.016 is right", "; write {claimed: the figure as it is claimed, reason: why it is"),
        ("{reason: Not counted.}", "`claimed:` is missing; add it"),
        ("{claimed: 1, reason: Not counted., by: me}", "by: unknown key"),
        ("{claimed: {a: 1}, reason: Not counted.}", "expected text or a number or a list, found"),
        ("{claimed: 1, reason: wrong}", "expected at least 10 characters"),
    ],
)
def test_a_dispute_says_what_it_is_of_and_why(dispute, message):
    (problem,) = found("registry", f"disputes: {{LR: {dispute}}}")
    assert problem.startswith("f:1:")
    assert "disputes.LR" in problem
    assert message in problem


def test_the_page_about_disputes_shows_ones_that_are_right():
    page = Path(__file__).parents[1] / "docs" / "numbers.md"
    (example,) = re.findall(r"```yaml\n(disputes:.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert found("registry", example) == []


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("lrr", ["lr", "epochs"], "; did you mean 'lr'?"),
        ("LR", ["lr"], "; did you mean 'lr'?"),
        ("Batch size", ["Batch Size"], "; did you mean 'Batch Size'?"),
        ("momentum", ["epochs", "lr"], ""),
        ("x", [], ""),
    ],
)
def test_the_nearest_known_word_is_offered_if_one_is_near(word, known, hint):
    assert closest(word, known) == hint


@pytest.mark.parametrize("value", [".nan", ".inf", "1e999"])
@pytest.mark.parametrize("key", ["lr", "decay_epochs", "weight_decay", "ema_decay"])
def test_a_setting_is_a_finite_number(key, value):
    (problem,) = found("registry", f"recipe: {{{key}: {value}}}")
    assert problem.startswith(f"f:1:{12 + len(key)}: recipe.{key}: ")
