"""Schemas say what a file may hold; their failures say what to write instead."""

import pytest
from jsonschema import Draft202012Validator

from effcc.catalog import schema
from effcc.catalog.document import parse

NAMES = ("registry", "model-index", "result")


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


def test_problems_come_in_the_order_of_the_file():
    text = "seed: -1\nrecipe:\n  lr: 0\n  epoch: 3\nnetwork: {experts: x}\n"
    assert [p.split(":")[1] for p in found("registry", text)] == ["1", "3", "4", "5"]


def test_what_may_only_be_one_thing_is_named():
    (problem,) = found("model-index", "Type: models")
    assert problem.startswith("f:1:7: Type: expected ")
    assert "model-index" in problem
    assert "something else" not in problem


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("registry", "model: ''"),
        ("registry", "disputes: {FLOPs: wrong}"),
        ("registry", f"summary: {'x' * 301}"),
        ("model-index", "Collections: [{Name: ''}]"),
        ("model-index", f"Models: [{{Name: a, README: {'x' * 2001}}}]"),
        ("result", "schema: 2"),
    ],
)
def test_no_message_leaves_the_reader_to_guess(name, text):
    assert not [problem for problem in found(name, text) if "something else" in problem]


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
    assert schema.closest(word, known) == hint


@pytest.mark.parametrize(
    "key",
    [
        "inference time (ms/im)",
        "RMSProp $\\epsilon$",
        "Training Resources",
        "Training Memory (GB)",
        "Training Time",
        "Gradient Clip",
        "Iterations",
        "Model Size",
        "Width Multiplier",
    ],
)
def test_keys_of_others_are_welcome_in_metadata(key):
    assert found("model-index", f"Models: [{{Name: a, Metadata: {{{key}: 1}}}}]") == []


@pytest.mark.parametrize(
    "key", ["Batch size", "batch_size", "Epoch", "Weigth Decay", "BatchNorm momentum"]
)
def test_a_misspelt_key_in_metadata_is_a_mistake(key):
    (problem,) = found("model-index", f"Models: [{{Name: a, Metadata: {{{key}: 1}}}}]")
    assert f"Metadata.{key}: unknown key; did you mean" in problem


@pytest.mark.parametrize("text", ["350", "'350'"])
def test_a_published_count_may_be_quoted(text):
    assert found("model-index", f"Models: [{{Name: a, Metadata: {{Epochs: {text}}}}}]") == []


@pytest.mark.parametrize("value", [".nan", ".inf", "1e999"])
@pytest.mark.parametrize("key", ["lr", "decay_epochs", "weight_decay", "ema_decay"])
def test_a_setting_is_a_finite_number(key, value):
    (problem,) = found("registry", f"recipe: {{{key}: {value}}}")
    assert problem.startswith(f"f:1:{12 + len(key)}: recipe.{key}: ")
