"""Each code from MI070 to MI089 has an example that gives it, and a mend that does not."""

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from huggingface_hub.repocard_data import ModelCardData

from effcc.claims import eval_results, huggingface_card
from effcc.claims.rules import RULES, is_error
from effcc.ground.document import parse

RESULT = "{task: {type: t}, dataset: {type: d, name: D}, metrics: [{type: m, value: 1}]}"
MODEL = "model-index: [{{name: a, results: [{}]}}]\n"
CARDS = {
    # code: what is wrong with it (as in `key`), and the same mended
    "MI070": ("model-index: {name: a, results: []}\n", "model-index: [{name: a, results: []}]\n"),
    "MI071": ("model-index: [{results: []}]\n", "model-index: [{name: a, results: []}]\n"),
    "MI072": ("model-index: [{name: a}]\n", "model-index: [{name: a, results: []}]\n"),
    "MI073": (
        MODEL.format(RESULT.replace("{type: d, name: D}", "{type: d}")),
        MODEL.format(RESULT),
    ),
    "MI074": (MODEL.format(RESULT.replace(", value: 1", "")), MODEL.format(RESULT)),
    "MI075": (
        MODEL.format(RESULT.replace("name: D", "name: D, revision: 0123")),
        MODEL.format(RESULT.replace("name: D", "name: D, revision: '0123'")),
    ),
    "MI076": (
        MODEL.format(RESULT.replace("]}", "], source: {name: Board}}")),
        MODEL.format(RESULT.replace("]}", "], source: {name: Board, url: 'https://x.org'}}")),
    ),
    "MI077": (
        f"model-index: [{{name: a, results: [{RESULT}]}}, {{name: b, results: []}}]\n",
        f"model-index: [{{name: a, results: [{RESULT}]}}]\n",
    ),
    "MI078": (
        MODEL.format(f"{RESULT}, {RESULT.replace('name: D', 'name: D, args: {shots: 5}')}"),
        MODEL.format(f"{RESULT}, {RESULT.replace('name: D', 'name: D, config: 5-shot')}"),
    ),
    "MI079": (MODEL.format(RESULT.replace("1}", "n/a}")), MODEL.format(RESULT)),
}
GOOD = "- dataset: {id: a/b, task_id: t}\n  value: 1\n"
FILES = {
    "MI080": ("dataset: {id: a/b, task_id: t}\nvalue: 1\n", GOOD),
    "MI081": (GOOD.replace("id: a/b, ", ""), GOOD),
    "MI082": (GOOD.replace("task_id", "config"), GOOD),
    "MI083": (GOOD.replace("  value: 1\n", "  notes: x\n"), GOOD),
    "MI084": (GOOD + "  source: {name: Traces}\n", GOOD + "  source: {url: 'https://x.org'}\n"),
    "MI085": (GOOD + "  date: '15.1.2025'\n", GOOD + "  date: '2025-01-15'\n"),
    "MI086": (GOOD + "  date: 2025-01-15\n", GOOD + "  date: '2025-01-15'\n"),
    "MI087": (GOOD.replace("a/b", "gpqa"), GOOD.replace("a/b", "Idavidrein/gpqa")),
    "MI088": (GOOD + "  note: no-tools\n", GOOD + "  notes: no-tools\n"),
    "MI089": (GOOD + GOOD, GOOD + GOOD + "  notes: tools\n"),
}
# The key that a problem is with, and what stands at its place.
PLACES = {
    "MI070": ("model-index", "model-index:"),
    "MI071": ("model-index[0]", "{results"),
    "MI072": ("model-index[0]", "{name: a}"),
    "MI073": ("model-index[0].results[0].dataset", "{type: d}"),
    "MI074": ("model-index[0].results[0].metrics[0]", "{type: m}"),
    "MI075": ("model-index[0].results[0].dataset.revision", "0123"),
    "MI076": ("model-index[0].results[0].source", "{name: Board}"),
    "MI077": ("model-index[1]", "{name: b"),
    "MI078": ("model-index[0].results[1]", "{task"),
    "MI079": ("model-index[0].results[0].metrics[0].value", "n/a"),
    "MI080": ("", "dataset"),
    "MI081": ("[0].dataset", "{task_id"),
    "MI082": ("[0].dataset.config", "config"),
    "MI083": ("[0]", "dataset"),
    "MI084": ("[0].source", "{name"),
    "MI085": ("[0].date", "'15.1.2025'"),
    "MI086": ("[0].date", "2025"),
    "MI087": ("[0].dataset.id", "gpqa"),
    "MI088": ("[0].note", "note:"),
    "MI089": ("[1]", "dataset"),
}


def problems(text):
    document = parse(text, "f")
    if text.startswith("model"):
        return huggingface_card.read(document)[1]
    return eval_results.read(document, "m")[1]


@pytest.mark.parametrize(("code", "texts"), [*CARDS.items(), *FILES.items()])
def test_a_code_has_an_example_with_its_place_and_a_mend(code, texts):
    wrong, mended = texts
    (problem,) = problems(wrong)
    assert problem.code == code
    key, there = PLACES[code]
    line = wrong.splitlines()[problem.place.line - 1]
    assert problem.key == key
    assert line[problem.place.col - 1 :].startswith(there)
    assert problems(mended) == []


def test_every_code_has_an_example():
    assert {*CARDS, *FILES} == {code for code in RULES if "MI070" <= code <= "MI089"}


def test_what_is_wrong_huggingface_hub_or_the_hub_refuses():
    """Of errors, the library refuses all but those that only the Hub itself refuses."""
    only_the_hub = {"MI075", "MI080", "MI085"}
    for code, (wrong, _) in CARDS.items():
        if is_error(code) and code not in only_the_hub:
            with pytest.raises(ValueError, match=r"model_index|source_url"):
                ModelCardData(**yaml.safe_load(wrong))
        elif not is_error(code):
            assert ModelCardData(**yaml.safe_load(wrong)).eval_results
    for code, (wrong, _) in FILES.items():
        if is_error(code) and code not in only_the_hub:
            with pytest.raises((KeyError, ValueError)):
                parse_eval_result_entries(yaml.safe_load(wrong))
        elif not is_error(code):
            assert parse_eval_result_entries(yaml.safe_load(wrong))


def test_every_problem_of_a_card_is_reported_at_once():
    text = """\
model-index:
- results: []
- name: b
  results:
  - task: {name: x}
    dataset: x
    metric: []
  - task: {type: t}
    dataset: {type: 5, name: D}
    metrics: [5, {type: m}, {value: 5}, {type: m, value: 5, name: [x]}]
"""
    found = [(p.code, str(p).partition(": ")[0]) for p in problems(text)]
    assert found == [
        ("MI071", "f:2:3"),
        ("MI077", "f:3:3"),
        ("MI078", "f:7:5"),
        ("MI073", "f:5:11"),
        ("MI073", "f:6:14"),
        ("MI073", "f:5:5"),
        ("MI075", "f:9:21"),
    ]


def test_what_is_right_in_a_card_is_kept_beside_what_is_wrong():
    bad = RESULT.replace("type: t", "name: t")
    two = RESULT.replace("[{", "[{type: m}, {")
    document = parse(MODEL.format(f"{bad}, {two}"))
    (claim,), found = huggingface_card.read(document)
    assert [p.code for p in found] == ["MI073", "MI074"]
    assert [list(r.metrics) for r in claim.results] == [["m"]]


@pytest.mark.parametrize(
    "text",
    [
        "license: mit\n",
        "model-index: []\n",
        MODEL.format(RESULT.replace("value: 1", "value: 20.0 ± 1.2")),
        MODEL.format(RESULT.replace("value: 1", "value: '<= 5'")),
        # As older cards have it: the configuration as bare arguments; and nothing said.
        MODEL.format(RESULT.replace("name: D", "name: D, args: conll2003, config: null")),
        MODEL.format(RESULT.replace("type: t", "type: t, name: ''")),
        MODEL.format(RESULT.replace("]}", "], source: null}")),
    ],
)
def test_what_is_legal_or_common_passes(text):
    assert huggingface_card.read(parse(text))[1] == []


@pytest.mark.parametrize("text", ["5\n", "- model-index\n", ""])
def test_front_matter_that_is_no_mapping_holds_no_models(text):
    assert huggingface_card.read(parse(text)) == ([], [])


def test_the_old_spelling_of_the_key_is_told_the_new_one():
    (problem,) = huggingface_card.read(parse(f"model_index: [{{name: a, results: [{RESULT}]}}]\n"))[
        1
    ]
    assert (problem.code, "`model-index:`" in problem.message) == ("MI070", True)


def test_a_key_that_is_nearly_right_is_told_the_right_one():
    (problem,) = problems(MODEL.format(RESULT.replace("value: 1", "value: 1, verfied: true")))
    assert problem.code == "MI078"
    assert problem.message.endswith("did you mean 'verified'?")
