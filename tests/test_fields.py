"""Fields are read in every form that real files have; what is doubtful about them has a code."""

import pytest

from effcc.claims import modelindex
from effcc.claims.claim import Fact, Paper


def read(text):
    found = modelindex.parse(text, "f.yml")
    return found.claims, [problem.code for problem in found.problems]


def model(fields):
    (claim,), codes = read(f"Models:\n- Name: a\n  {fields}\n")
    return claim, codes


def accepted(fields):
    claim, codes = model(fields)
    assert codes == []
    return claim


# What is legal or common is read without a word


@pytest.mark.parametrize(
    ("written", "papers"),
    [
        ("https://arxiv.org/abs/1", [(None, "https://arxiv.org/abs/1")]),
        ("Deep Nets", [("Deep Nets", None)]),
        ("{Title: t, URL: https://a.org}", [("t", "https://a.org")]),
        ("[https://a.org, {Title: t}]", [(None, "https://a.org"), ("t", None)]),
        ("null", []),
        ("", []),
    ],
)
def test_a_paper_is_a_link_a_title_both_or_several(written, papers):
    assert accepted(f"Paper: {written}").papers == tuple(Paper(*paper) for paper in papers)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("https://a.org/x.py", ("https://a.org/x.py", None)),
        ("{URL: https://a.org/x.py, Version: v2.0.0}", ("https://a.org/x.py", "v2.0.0")),
        ("null", (None, None)),
    ],
)
def test_code_is_a_link_and_perhaps_a_version(written, code):
    claim = accepted(f"Code: {written}")
    assert (claim.code, claim.code_version) == code


@pytest.mark.parametrize(
    ("written", "weights"),
    [
        ("https://a.org/a.pth", ("https://a.org/a.pth",)),
        (
            "[https://a.org/a.pth, https://a.org/b.pth]",
            ("https://a.org/a.pth", "https://a.org/b.pth"),
        ),
        ("null", ()),
        ("[]", ()),
    ],
)
def test_weights_are_one_link_several_or_none(written, weights):
    assert accepted(f"Weights: {written}").weights == weights


@pytest.mark.parametrize(
    "written",
    [
        "{Task: t, Dataset: d, Metrics: {Top 1 Accuracy: 77.32%}}",
        "[{Task: t, Dataset: d, Metrics: {Top 1 Accuracy: 77.32%}}]",
        "[{Task: {Name: t}, Dataset: {name: d}, Metrics: {Top 1 Accuracy: 77.32%}}]",
        "[{Task: t, Dataset: d, Metrics: [{Name: Top 1 Accuracy, Value: 77.32%}]}]",
        "[{Task: t, Dataset: d, Metrics: [{Top 1 Accuracy: 77.32%}]}]",
    ],
)
def test_results_are_a_list_or_one_alone(written):
    (result,) = accepted(f"Results: {written}").results
    assert (result.task, result.dataset) == ("t", "d")
    assert {key: fact.text for key, fact in result.metrics.items()} == {"Top 1 Accuracy": "77.32%"}


@pytest.mark.parametrize("written", ["{Epochs: 5, LR: 0.10}", "[{Epochs: 5}, {LR: 0.10}]"])
def test_metadata_is_a_mapping_or_a_list_of_them(written):
    facts = accepted(f"Metadata: {written}").metadata
    assert {key: fact.text for key, fact in facts.items()} == {"Epochs": "5", "LR": "0.10"}


@pytest.mark.parametrize(
    "key",
    [
        *("inference time (ms/im)", "RMSProp $\\epsilon$", "Training Resources", "Model Size"),
        *("Training Memory (GB)", "Training Time", "Gradient Clip", "Iterations", "Params(M)"),
        *("Width Multiplier", "Flops(G)"),
    ],
)
def test_keys_of_others_are_welcome_in_metadata(key):
    assert key in accepted(f"Metadata: {{'{key}': 1}}").metadata


def test_figures_inside_lists_of_mappings_keep_their_digits():
    claim = accepted("Metadata: {inference time (ms/im): [{value: 72.50, hardware: V100}]}")
    (row,) = claim.metadata["inference time (ms/im)"].data
    assert row.data["value"] == Fact(72.5, "72.50")
    assert "value: 72.50" in modelindex.dump([claim])


def test_keys_that_the_format_does_not_know_are_kept():
    claim = accepted("Config: configs/a.py\n  Training Log: https://a.org/log\n  Alias: [b, c]")
    assert {key: fact.data for key, fact in claim.extra.items()} == {
        "Config": "configs/a.py",
        "Training Log": "https://a.org/log",
        "Alias": ("b", "c"),
    }
    assert modelindex.parse(modelindex.dump([claim])).claims == [claim]


@pytest.mark.parametrize("text", ["Models: []\n", "# x\n", ""])
def test_nothing_is_no_mistake(text):
    assert read(text) == ([], [])


def test_a_list_of_models_and_a_model_alone_are_an_index():
    for text in ("- Name: a\n", "Name: a\n", "Models: {Name: a}\n"):
        (claim,), codes = read(text)
        assert (claim.name, codes) == ("a", [])


def test_an_anchor_is_no_data_of_its_own():
    models = "- {Name: a, Metadata: *x}\n- {Name: b, Metadata: {<<: *x}}\n"
    claims, codes = read(f".shared: &x {{Epochs: 5}}\nModels:\n{models}")
    assert codes == []
    assert [claim.metadata["Epochs"].data for claim in claims] == [5, 5]


# What is doubtful has a code, and is read all the same


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ("metadata: {Epochs: 5}", ["MI021"]),
        ("Metadata: {epochs: 5}", ["MI021"]),
        ("Metadata: {batch_size: 5}", ["MI021"]),
        ("Metadata: {Epoch: 5}", ["MI023"]),
        ("Metadata: {Weigth Decay: 0.1}", ["MI023"]),
        ("Paper: {Title: t, Venue: v}", ["MI025"]),
        ("Metadata: {Epochs: null}", ["MI040"]),
        ("Metadata: {Training Resources: ''}", ["MI040"]),
        ("Metadata: {LR: 1e-5}", ["MI041"]),
        ("Code: {URL: https://a.org, Version: 2020-01-01}", ["MI042"]),
        ("Code: {URL: https://a.org, Version: 1e5}", ["MI042"]),
        ("Weights: weights/a.pth", ["MI051"]),
        ("Weights: https://a.org/b c.pth", ["MI051"]),
        ("Metadata: {LR: '0,1'}", ["MI044"]),
        ("Results: {Task: t, Dataset: d, Metrics: {Top 1: 77,32}}", ["MI044"]),
        ("Results: {Task: t, Dataset: d, Metrics: {acc: '77,3'}}", ["MI044"]),
        ("Results: {Task: t, Dataset: d, Metrics: null}", ["MI040"]),
        ("Results: {Task: t, Dataset: d}", ["MI040"]),
        ("Results: {Task: t, Metrics: {a: 1}}", ["MI047"]),
        ("Results: {Task: t, Dataset: d, Metrics: {box AP: 39.3 (37.9)}}", ["MI043"]),
        ("Results: {Task: t, Dataset: d, Metrics: {a: '-', b: ~}}", ["MI040", "MI040"]),
    ],
)
def test_a_doubt_has_a_code_and_stops_nothing(fields, codes):
    claim, found = model(fields)
    assert found == codes
    assert claim.name == "a"


def test_a_key_without_models_says_so():
    assert read("Models:\nCollections: ~\n") == ([], ["MI040", "MI040"])


def test_what_an_alias_repeats_is_wrong_once():
    text = ".x: &x {LR: 1e-5}\nModels:\n- {Name: a, Metadata: *x}\n- {Name: b, Metadata: *x}\n"
    assert read(text)[1] == ["MI041"]


def test_keys_in_other_letters_are_read_as_the_known_ones():
    claim, codes = model("metadata: {epochs: 5}\n  In Collections: b\n  RESULTS: []")
    assert claim.metadata["Epochs"].data == 5
    assert codes == ["MI021"] * 4 + ["MI030"]


# What is wrong has a code


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ("Metadata: {Epochs: [1]}", ["MI044"]),
        ("Metadata: 5\n  Metadatas: {}", ["MI022", "MI033"]),
        ("metadata: {}\n  Metadata: {}", ["MI005"]),
        ("README: [a]", ["MI020"]),
        ("Results: [[a]]", ["MI020"]),
        ("Weights: javascript:alert(1)", ["MI050"]),
        ("Results: {Task: t, Dataset: d, Metrics: {Top 1: 90, Top 5: 80}}", ["MI046"]),
        ("Results: {Task: t, Dataset: d, Metrics: {Top 1: 77%, Top 5: 70%}}", ["MI046"]),
        ("Metadata: {Crop Pct: 87.5}", ["MI045"]),
        ("Metadata: {Flops(G): -4}", ["MI045"]),
    ],
)
def test_a_mistake_has_a_code(fields, codes):
    assert model(fields)[1] == codes


def test_accuracies_in_different_units_are_not_compared():
    assert model("Results: {Task: t, Dataset: d, Metrics: {Top 1: 77%, Top 5: 0.8}}")[1] == []


def test_a_link_that_a_browser_must_not_follow_is_not_in_the_claim():
    assert model("Code: javascript:alert(1)")[0].code is None


# Collections


COLLECTED = """
Collections:
- Name: c
  Paper: https://a.org
  Metadata: {Epochs: 5, LR: 0.1}
Models:
- Name: a
  In Collection: c
  Metadata: {LR: 0.2, Batch Size: 32}
"""


def test_a_model_inherits_what_it_does_not_say_and_each_fact_knows_from_whom():
    (claim,), codes = read(COLLECTED)
    assert codes == []
    assert {key: fact.data for key, fact in claim.facts.items()} == {
        "Epochs": 5,
        "LR": 0.2,
        "Batch Size": 32,
    }
    assert claim.origin("Epochs") == "inherited from c"
    assert claim.origin("LR") == "own, overriding c"
    assert claim.origin("Batch Size") == "own"
    assert claim.origin("Momentum") == ""
    assert claim.cited == Paper(None, "https://a.org")
    assert claim.facts["Epochs"].place.line == 5
