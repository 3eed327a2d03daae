"""Eval results on the Hub say what a model-index says, one figure a task."""

from dataclasses import replace

import claims as drawn
import pytest
import yaml
from huggingface_hub import eval_result_entries_to_yaml, parse_eval_result_entries
from hypothesis import given, settings
from hypothesis import strategies as st

from effcc.claims import eval_results, huggingface_card, yamltext
from effcc.claims.claim import Claim, Fact, Paper, Result
from effcc.claims.hub_terms import KEPT
from effcc.claims.rules import is_error
from effcc.ground.document import parse

FILE = """\
- dataset:
    id: cais/hle
    task_id: hle
    revision: '5503434'
  value: 20.90
  verifyToken: eyJhbGciOiJFZERTQSJ9
  date: '2025-01-15T10:30:00Z'
  source:
    url: https://example.org/traces
    name: Eval traces
    user: somebody
  evaluation_framework: inspect-ai
  notes: no-tools
- dataset:
    id: Idavidrein/gpqa
    task_id: gpqa_diamond
  value: 0.412
"""


def read(text, model="m"):
    found, problems = eval_results.read(parse(text, "f.yaml"), model)
    return found, [problem.code for problem in problems]


def test_a_figure_with_a_comma_is_doubted():
    assert read(FILE.replace("20.90", "'20,9'"))[1] == ["MI079"]


def test_eval_results_become_a_claim_with_every_word_of_them():
    (claim,), problems = read(FILE)
    assert problems == []
    assert claim.name == "m"
    first, second = claim.results
    assert (first.task, first.dataset) == ("", "cais/hle")
    assert first.metrics == {"Score": Fact(20.9, "20.90")}
    assert first.metrics["Score"].place.line == 5
    assert first.extra[KEPT] == {
        "dataset": {"config": "hle", "revision": "5503434"},
        "metrics": {"Score": {"verifyToken": "eyJhbGciOiJFZERTQSJ9"}},
        "source": {"url": "https://example.org/traces", "name": "Eval traces", "user": "somebody"},
        "eval_results": {
            "date": "2025-01-15T10:30:00Z",
            "evaluation_framework": "inspect-ai",
            "notes": "no-tools",
        },
    }
    assert second.extra[KEPT] == {"dataset": {"config": "gpqa_diamond"}}


def test_eval_results_come_back_as_they_were():
    (claim,), _ = read(FILE)
    converted = eval_results.dump(claim)
    assert parse(converted.text).data == parse(FILE).data
    assert converted.lost == ()
    assert "value: 20.90\n" in converted.text


def test_huggingface_hub_reads_ours_and_writes_the_same():
    (claim,), _ = read(FILE.replace("  evaluation_framework: inspect-ai\n", ""))
    data = yaml.safe_load(eval_results.dump(claim).text)
    entries = parse_eval_result_entries(data)
    assert (entries[0].dataset_id, entries[0].task_id, entries[0].value) == (
        "cais/hle",
        "hle",
        20.9,
    )
    assert entries[0].date == "2025-01-15T10:30:00Z"
    assert eval_result_entries_to_yaml(entries) == data


def test_a_published_accuracy_is_the_score_of_its_data_set():
    paper = Paper("CondConv", drawn.PAPER)
    figures = {
        name: Fact(text, text) for name, text in (("Top 1 Accuracy", "77.30%"), ("Top 5", "9%"))
    }
    claim = Claim("a", papers=(paper,), results=(Result("T", "ImageNet", figures),))
    converted = eval_results.dump(claim)
    assert parse(converted.text).data == [
        {
            "dataset": {"id": "ILSVRC/imagenet-1k", "task_id": "default"},
            "value": 0.773,
            "notes": "Top 1 Accuracy: 77.30%",
            "source": {"name": "CondConv", "url": drawn.PAPER},
        }
    ]
    assert "value: 0.7730\n" in converted.text
    assert [p.key.removeprefix("Models.a.Results[0].") for p in converted.lost] == [
        "Task",
        "Dataset",
        "Metrics.Top 5",
    ]
    (back,), _ = read(converted.text, "a")
    assert back.papers == (paper,)
    assert back.results[0].metrics == {"Top 1 Accuracy": Fact("77.30%", "77.30%")}


def test_notes_that_disagree_with_the_value_are_only_notes():
    (claim,), _ = read("- dataset: {id: a/b, task_id: t}\n  value: 0.78\n  notes: 'acc: 77.30%'\n")
    (result,) = claim.results
    assert result.metrics == {"Score": Fact(0.78, "0.78")}
    assert result.extra[KEPT]["eval_results"] == {"notes": "acc: 77.30%"}


def test_a_data_set_that_the_hub_does_not_name_is_listed_and_not_made_up():
    claim = Claim("a", results=(Result("Detection", "COCO", {"box AP": Fact(39.4, "39.4")}),))
    converted = eval_results.dump(claim)
    assert converted.text == "[]\n"
    assert [(p.key, "'COCO'" in p.message) for p in converted.lost] == [
        ("Models.a.Results[0]", True)
    ]


def test_a_card_and_eval_results_share_data_set_task_revision_source_and_token():
    (claim,), _ = read(FILE)
    text = f"{huggingface_card.dump([claim]).text}"
    first, _ = parse(text).data["model-index"][0]["results"]
    assert first["task"] == {"type": "other", "name": "not stated"}
    assert first["dataset"] == {
        "type": "cais/hle",
        "name": "cais/hle",
        "config": "hle",
        "revision": "5503434",
    }
    assert first["metrics"][0]["verifyToken"] == "eyJhbGciOiJFZERTQSJ9"
    assert first["source"]["url"] == "https://example.org/traces"
    lost = [p.key.partition("eval_results.")[2] for p in huggingface_card.dump([claim]).lost]
    assert lost == ["date", "evaluation_framework", "notes"]


repository = st.sampled_from(["cais/hle", "a/b.c", "gpqa"])
values = drawn.nasty | drawn.percents | st.integers() | st.floats(allow_nan=False)
entry = st.fixed_dictionaries(
    {
        "dataset": st.fixed_dictionaries(
            {"id": repository, "task_id": drawn.nasty},
            optional={"revision": drawn.nasty, "more": drawn.nasty},
        ),
        "value": values,
    },
    optional={
        "verifyToken": drawn.nasty,
        "date": st.just("2025-01-15"),
        "notes": drawn.nasty | st.sampled_from(["acc: 77.30%", "Score: 5", "a: b: 5"]),
        "source": drawn.of_source,
        "more": drawn.nasty,
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(entry, min_size=1, max_size=3))
def test_any_eval_results_come_back_as_they_were(data):
    found, problems = read(yamltext.dump(data))
    assert not [code for code in problems if is_error(code)]
    converted = eval_results.dump(found[0])
    assert parse(converted.text).data == data
    assert converted.lost == ()


@settings(max_examples=60, deadline=None)
@given(drawn.claims)
def test_what_is_written_of_any_claim_is_right_and_readable(claim):
    text = eval_results.dump(claim).text
    found, problems = read(text)
    assert not [code for code in problems if is_error(code)]
    assert len(found[0].results) == len(parse_eval_result_entries(yaml.safe_load(text)))


@settings(max_examples=60, deadline=None)
@given(drawn.numbered())
def test_every_value_of_a_claim_is_in_the_file_or_on_the_list(claim):
    # The model is named by the folder that the file stands in.
    converted = eval_results.dump(claim)
    named = replace(converted, text=converted.text + claim.name)
    assert drawn.unaccounted(claim, named) == []


@pytest.mark.parametrize("text", ["", "a: 5\n", "5\n"])
def test_what_is_no_list_is_no_eval_results(text):
    assert read(text) == ([], ["MI080"])
