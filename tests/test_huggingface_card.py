"""A card on the Hub and a model-index say the same, as far as the card can say it."""

from dataclasses import replace

import claims as drawn
import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import ModelCardData, model_index_to_eval_results
from hypothesis import example, given, settings
from hypothesis import strategies as st

from effcc.claims import front_matter, huggingface_card, modelindex, yamltext
from effcc.claims.claim import Claim, Collection, Fact, Paper, Result
from effcc.claims.hub_terms import KEPT
from effcc.claims.rules import is_error
from effcc.ground.document import parse

CARD = """---
license: apache-2.0
model-index:
- name: org/tiny-vit
  results:
  - task:
      type: image-classification
      name: Image Classification
    dataset:
      type: imagenet-1k
      name: ImageNet
      split: validation
      revision: '0123456789012345678901234567890123456789'
      args: {crop: center}
    metrics:
    - type: accuracy
      value: 0.7730
      name: Top 1
      verified: true
      verifyToken: eyJhbGciOiJFZERTQSJ9
    - type: accuracy
      value: 20.0 ± 1.2
      config: hard
    source:
      name: Leaderboard
      url: https://example.org/board
  - task: {type: image-classification}
    dataset: {type: a/b, name: a/b}
    metrics:
    - {type: wer, value: 1.0e-05, args: [beam]}
---
# A page
"""


def read(text):
    found, problems = huggingface_card.read(front_matter.read(text, "README.md"))
    return found, [(problem.code, str(problem)) for problem in problems]


def card(claim):
    return f"---\n{huggingface_card.dump([claim]).text}---\n"


def index_of(text):
    return parse(text).data["model-index"]


def test_a_card_becomes_claims_with_every_word_of_it():
    (claim,), problems = read(CARD)
    assert problems == []
    assert (claim.name, claim.place.line, claim.place.col) == ("org/tiny-vit", 4, 9)
    first, second = claim.results
    assert (first.task, first.dataset) == ("Image Classification", "ImageNet")
    assert first.metrics == {
        "Top 1": Fact(0.773, "0.7730"),
        "accuracy": Fact("20.0 ± 1.2", "20.0 ± 1.2"),
    }
    assert first.extra[KEPT] == {
        "dataset": {
            "type": "imagenet-1k",
            "split": "validation",
            "revision": "0123456789" * 4,
            "args": {"crop": "center"},
        },
        "metrics": {
            "Top 1": {"type": "accuracy", "verified": True, "verifyToken": "eyJhbGciOiJFZERTQSJ9"},
            "accuracy": {"config": "hard"},
        },
        "source": {"name": "Leaderboard", "url": "https://example.org/board"},
    }
    assert (second.task, second.dataset) == ("image-classification", "a/b")
    assert second.extra[KEPT] == {"metrics": {"wer": {"args": ["beam"]}}}


def test_a_card_comes_back_as_it_was():
    found, _ = read(CARD)
    converted = huggingface_card.dump(found)
    assert index_of(converted.text) == front_matter.read(CARD).data["model-index"]
    assert converted.lost == ()
    assert "value: 0.7730\n" in converted.text


def test_two_metrics_of_one_name_stay_two():
    text = CARD.replace("      name: Top 1\n", "")
    (claim,), _ = read(text)
    assert list(claim.results[0].metrics) == ["accuracy", "accuracy (2)"]
    assert (
        index_of(huggingface_card.dump([claim]).text) == front_matter.read(text).data["model-index"]
    )


def test_a_percentage_is_a_fraction_on_the_hub_and_comes_back_to_the_digit():
    result = Result("T", "D", {"Top 1 Accuracy": Fact("77.30%", "77.30%")})
    text = card(Claim("a", results=(result,)))
    assert "value: 0.7730\n      args:\n        written: 77.30%\n" in text
    assert read(text)[0][0].results == (result,)


def test_a_value_that_was_edited_counts_and_not_the_words_beside_it():
    text = card(Claim("a", results=(Result("T", "D", {"m": Fact("77.30%", "77.30%")}),)))
    (claim,), _ = read(text.replace("0.7730", "0.7800"))
    (result,) = claim.results
    assert result.metrics == {"m": Fact(0.78, "0.7800")}
    assert result.extra[KEPT]["metrics"]["m"] == {"args": {"written": "77.30%"}}


def test_a_figure_is_a_number_to_yaml_1_1_too():
    facts = {text: Fact(parse(text).data, text) for text in ("1e-5", "010", "5.", "0x1F", "0.10")}
    text = card(Claim("a", results=(Result("T", "D", facts),)))
    (model,) = yaml.safe_load(text.split("---\n")[1])["model-index"]
    assert [m["value"] for m in model["results"][0]["metrics"]] == [1e-5, 10, 5.0, 31, 0.1]
    assert read(text)[0][0].results[0].metrics == facts


def test_a_papers_link_is_the_source_and_becomes_the_paper_again():
    paper = Paper("CondConv", drawn.PAPER)
    claim = Claim("a", papers=(paper,), results=(Result("T", "D", {"m": Fact(1, "1")}),) * 2)
    (model,) = index_of(huggingface_card.dump([claim]).text)
    assert [r["source"] for r in model["results"]] == [{"name": "CondConv", "url": drawn.PAPER}] * 2
    assert read(card(claim))[0] == [claim]


def test_a_source_that_is_no_paper_stays_with_its_results():
    paper = Paper("A board", "https://example.org/board")
    claim = Claim("a", papers=(paper,), results=(Result("T", "D", {"m": Fact(1, "1")}),))
    (back,), _ = read(card(claim))
    assert back.papers == ()
    assert back.results[0].extra[KEPT]["source"] == {"name": "A board", "url": paper.url}


def test_a_model_without_results_has_its_collections():
    collection = Collection("c", results=(Result("T", "D", {"m": Fact(1, "1")}),))
    (back,), _ = read(card(Claim("a", collection=collection)))
    assert back.results == collection.results


def test_what_a_card_has_no_place_for_is_listed_with_its_line(shipped):
    page = shipped.model_index / "tf-efficientnet-condconv.md"
    claims = modelindex.load_file(page, shipped.root)
    lost = huggingface_card.dump(claims).lost
    flops = [p for p in lost if p.key.endswith("Metadata.FLOPs")]
    assert [p.key for p in flops] == [f"Models.{c.name}.Metadata.FLOPs" for c in claims]
    lines = page.read_text("utf-8").splitlines()
    assert all(lines[p.place.line - 1].strip().startswith("FLOPs:") for p in flops)
    # The collection's paper is the source.
    assert not [p for p in lost if "Paper" in p.key]


# The Hub's own library


def hubs(text):
    """The front matter as huggingface_hub reads it."""
    return ModelCardData(**yaml.safe_load(text.split("---\n")[1]))


def test_huggingface_hub_reads_what_was_published(shipped):
    page = shipped.model_index / "tf-efficientnet-condconv.md"
    for claim in modelindex.load_file(page, shipped.root):
        data = hubs(card(claim))
        assert data.model_name == claim.name
        top1, top5 = data.eval_results
        published = claim.results[0].metrics
        assert top1.metric_value == published["Top 1 Accuracy"].number
        assert top5.metric_value == published["Top 5 Accuracy"].number
        assert (top1.task_type, top1.dataset_type) == ("image-classification", "ILSVRC/imagenet-1k")
        assert (top1.metric_type, top5.metric_type) == ("accuracy", "top-5-accuracy")
        assert top1.source_url == "https://paperswithcode.com/paper/soft-conditional-computation"
        assert ModelCard(card(claim)).data.eval_results == data.eval_results


def test_huggingface_hub_takes_two_models_for_one_and_we_say_so():
    claims = [Claim(n, results=(Result("T", n, {"m": Fact(1, "1")}),)) for n in ("a", "b")]
    text = f"---\n{huggingface_card.dump(claims).text}---\n"
    name, results = model_index_to_eval_results(index_of(text.split("---\n")[1]))
    assert (name, len(results)) == ("b", 2)  # both results are b's: the reason for one model a card
    found, problems = read(text)
    assert found == claims
    assert [code for code, _ in problems] == ["MI077"]


def flat(index):
    """What a model-index says, a line for each metric."""
    return sorted(
        repr(
            [
                m["name"],
                *(sorted(r.get(k, {}).items()) for k in ("task", "dataset", "source")),
                sorted(metric.items()),
            ]
        )
        for m in index
        for r in m["results"]
        for metric in r["metrics"]
    )


@settings(max_examples=60, deadline=None)
@given(drawn.claims)
@example(
    Claim(
        "a", results=(Result("t", "D", {"m": Fact(1, "1")}), Result("T", "D", {"m": Fact(1, "1")}))
    )
)
@example(Claim("a", results=(Result("t", "D", {}),)))
def test_what_huggingface_hub_would_change_in_a_card_of_ours_is_a_doubt(claim):
    text = card(claim)
    before = yaml.safe_load(text[4:-4])["model-index"]
    after = hubs(text).to_dict()["model-index"]
    _, problems = read(text)
    assert [code for code, _ in problems if is_error(code)] == []
    nothing_lost = flat(before) == flat(after) and all(
        r["metrics"] for m in before for r in m["results"]
    )
    assert nothing_lost == ("MI078" not in [code for code, _ in problems])


# There and back


def held(claim):
    """Of a claim, what a card can hold."""
    results = claim.results or (claim.collection.results if claim.collection else ())
    owner = claim if claim.papers or claim.collection is None else claim.collection
    paper = next((p for p in owner.papers if p.url), None)
    source = paper and ({"name": paper.title} if paper.title else {}) | {"url": paper.url}
    back = []
    for result in results:
        kept = dict(result.extra.get(KEPT, {}))
        if source and "source" not in kept:
            kept["source"] = source
        figures = {name: fact for name, fact in result.metrics.items() if fact.data is not None}
        back.append(replace(result, metrics=figures, extra={KEPT: kept} if kept else {}))
    sources = [result.extra.get(KEPT, {}).get("source") for result in back]
    papers = ()
    if (
        back
        and sources[0]
        and sources[0]["url"] == drawn.PAPER
        and sources.count(sources[0]) == len(back)
    ):
        papers = (Paper(sources[0].get("name"), drawn.PAPER),)
        for number, result in enumerate(back):
            kept = {key: part for key, part in result.extra[KEPT].items() if key != "source"}
            back[number] = replace(result, extra={KEPT: kept} if kept else {})
    return Claim(claim.name, papers=papers, results=tuple(back))


@settings(max_examples=60, deadline=None)
@given(drawn.claims)
def test_from_a_model_index_to_a_card_and_back_all_is_there_that_a_card_holds(claim):
    (back,), _ = read(card(claim))
    assert back == held(claim)


args = st.just("beam") | st.dictionaries(drawn.nasty, st.integers() | drawn.nasty, max_size=2)
values = (
    drawn.nasty | st.integers() | st.floats(allow_nan=False) | st.lists(drawn.nasty, max_size=2)
)
described = {"type": drawn.nasty}, {"name": drawn.nasty}
metrics = st.fixed_dictionaries(
    {"type": drawn.nasty, "value": values},
    optional={
        "name": drawn.nasty,
        "config": drawn.nasty,
        "args": args,
        "verified": st.booleans(),
        "more": args,
    },
)
index = st.lists(
    st.fixed_dictionaries(
        {
            "name": drawn.nasty,
            "results": st.lists(
                st.fixed_dictionaries(
                    {
                        "task": st.fixed_dictionaries(described[0], optional=described[1]),
                        "dataset": st.fixed_dictionaries(
                            described[0] | described[1],
                            optional={"split": drawn.nasty, "args": args},
                        ),
                        "metrics": st.lists(metrics, max_size=3),
                    },
                    optional={"source": drawn.of_source, "more": args},
                ),
                max_size=3,
            ),
        },
        optional={"more": args},
    ),
    max_size=2,
)


@settings(max_examples=60, deadline=None)
@given(index)
def test_from_a_card_to_a_model_index_and_back_nothing_has_changed(data):
    text = f"---\n{yamltext.dump({'model-index': data})}---\n"
    found, _ = read(text)
    converted = huggingface_card.dump(found)
    assert index_of(converted.text) == data
    assert converted.lost == ()


@settings(max_examples=60, deadline=None)
@given(index)
def test_the_text_of_a_model_index_holds_every_word_of_a_card(data):
    found, _ = read(f"---\n{yamltext.dump({'model-index': data})}---\n")
    again = modelindex.parse(modelindex.dump(found)).claims
    assert index_of(huggingface_card.dump(again).text) == data


# Nothing is lost without a word


@settings(max_examples=60, deadline=None)
@given(drawn.numbered())
def test_every_value_of_a_claim_is_in_the_card_or_on_the_list(claim):
    converted = huggingface_card.dump([claim])
    assert drawn.unaccounted(claim, converted) == []
    # And the list holds nothing that the card has: a lie the other way.
    listed = {problem.key for problem in converted.lost}
    held = [path for path, text in drawn.leaves(claim) if text in converted.text]
    assert not listed & {path for path in held if path.rpartition(".")[2] != "null"}


@pytest.mark.parametrize(
    "kept",
    [
        5,
        {"task": 5},
        {"metrics": {"m": 5}},
        {"metrics": {"gone": {}}},
        {"metrics": {"m": {"value": 7}}},
    ],
)
def test_kept_words_that_somebody_broke_are_listed_and_the_figures_stay(kept):
    claim = Claim("a", results=(Result("T", "D", {"m": Fact(1, "1")}, {KEPT: kept}),))
    converted = huggingface_card.dump([claim])
    assert [p.key for p in converted.lost] == ["Models.a.Results[0].Hugging Face"]
    assert index_of(converted.text)[0]["results"][0]["metrics"] == [{"type": "m", "value": 1}]
