"""`effcc verify` as typed: networks built anew, claims beside code and records, a verdict each."""

import json
from dataclasses import replace

import pytest
import torch
from records import record

import effcc
from effcc import cli, verdicts
from effcc.catalog import layers, registry, results
from effcc.claims.claim import Fact
from effcc.nn.census import census
from effcc.nn.efficientnet import unfilled
from effcc.proof import verify

NAMES = ["cc_b0_4e", "cc_b0_8e", "cc_b1_8e", "cc_pico_4e"]
PAGE = "tf-efficientnet-condconv.md"


@pytest.fixture
def run(project, capsys, monkeypatch):
    """Runs a command in a project of its own: (exit code, standard output, standard error)."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("EFFCC_CACHE", str(project.root / "cache"))

    def typed(*words):
        code = cli.main([str(word) for word in words])
        return code, *capsys.readouterr()

    return typed


def change(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def figures(out, name):
    (variant,) = [v for v in json.loads(out)["variants"] if v["name"] == name]
    return {row["figure"]: row for row in variant["figures"]}


def test_the_shipped_claims_are_verified_without_a_problem(run):
    code, out, err = run("verify")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith(" disputed, 64 not compared: no problem")
    for name in NAMES:
        assert f"\n{name}  " in f"\n{out}"


def test_every_figure_has_its_line_what_stands_beside_it_and_a_verdict(run, project):
    code, out, _ = run("verify", "cc_b0_4e", "--json")
    assert code == 0
    found = figures(out, "cc_b0_4e")
    lines = (project.model_index / PAGE).read_text("utf-8").splitlines()
    for name, row in found.items():
        file, _, line = row["place"].partition(":")
        if name in ("FLOPs", "Parameters", "LR", "Crop Pct", "Top 1 Accuracy, ImageNet"):
            assert file == f"model-index/{PAGE}"
            assert row["claimed"] in lines[int(line) - 1]
    verdict = {name: row["verdict"] for name, row in found.items()}
    assert verdict["Modules"] == verdict["Parameters"] == verdict["File Size"] == "agrees"
    assert verdict["FLOPs"] == verdict["LR"] == verdict["Paper URL"] == "disputed"
    assert verdict["Top 1 Accuracy, ImageNet"] == "not compared"


def test_the_network_that_is_built_is_told_with_its_split(run):
    _, out, _ = run("verify", "cc_b0_4e", "cc_b1_8e", "--json")
    first, second = json.loads(out)["variants"]
    assert first["macs"] == {
        "convolution": 384_534_752,
        "linear": 1_284_736,
        "mixing": 10_694_400,
        "total": 396_513_888,
    }
    assert (first["parameters"], first["state_bytes"]) == (13_314_116, 53_424_920)
    assert (second["name"], second["macs"]["total"]) == ("cc_b1_8e", 723_282_704)


def test_a_card_without_figures_is_verified_by_what_it_has(run):
    code, out, err = run("verify", "cc_pico_4e")
    assert (code, err) == (0, "")
    assert "1,278,026 parameters" in out
    assert "FLOPs" not in out


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("Parameters: 13310000", "Parameters: 13320000", "Parameters"),
        ("File Size: 53490940", "File Size: 53424919", "File Size"),
        ("Momentum: 0.99", "Momentum: 0.01", "BatchNorm Momentum"),
        ("Top 1 Accuracy: 77.32%", "Top 1 Accuracy: 77.321%", "Top 1 Accuracy, ImageNet"),
        ("Top 5 Accuracy: 93.32%", "Top 5 Accuracy: 73.32%", "Top 5 Accuracy, ImageNet"),
        ("cc_b0_4e-4362b6b2.pth", "cc_b0_8e-4362b6b2.pth", "Weights"),
        ("ID: tf_efficientnet_cc_b0_4e", "ID: cc_b0_4e", "ID"),
        ("Jiquan Ngiam},", "Mingxing Tan},", "Citation Authors"),
    ],
)
def test_what_differs_ends_with_one_and_is_told_once_more_as_a_line(run, project, old, new, key):
    change(project.model_index / PAGE, old, new)
    code, out, err = run("verify", "cc_b0_4e")
    assert code == 1
    (line,) = err.splitlines()
    assert line.startswith(f"model-index/{PAGE}:")
    assert f": {key}: claims " in line
    assert line.endswith("; mend it or dispute it")
    assert f"{key}  differs" in out
    assert out.splitlines()[-1].endswith(": 1 problem")


def test_what_is_acknowledged_is_no_problem_and_the_reason_is_told(run, project):
    change(project.model_index / PAGE, "Parameters: 13310000", "Parameters: 13320000")
    with (project.registry / "cc_b0_4e.yaml").open("a") as file:
        file.write("disputes:\n  Parameters: {claimed: 13320000, reason: Somebody mistyped.}\n")
    code, out, err = run("verify", "cc_b0_4e")
    assert (code, err) == (0, "")
    assert "Parameters  disputed" in out
    assert "Somebody mistyped." in out


def test_an_acknowledgement_of_what_agrees_is_a_problem(run, project):
    with (project.registry / "cc_b0_4e.yaml").open("a") as file:
        file.write("disputes:\n  Parameters: {claimed: 13310000, reason: Somebody mistyped.}\n")
    code, _, err = run("verify", "cc_b0_4e")
    assert code == 1
    (line,) = err.splitlines()
    assert line.startswith("registry/cc_b0_4e.yaml:")
    assert f"disputes.Parameters: 13310000 of model-index/{PAGE}:80 agrees with" in line


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("FLOPs: 224153788", "FLOPs: 999M", "the dispute at registry/shared/condconv.yaml:"),
        ("LR: 0.256", "LR: 0.016", "is of 0.256"),
        ("paper/soft-", "paper/hard-", "is of https://paperswithcode.com/paper/soft-"),
    ],
)
def test_a_dispute_is_of_the_figure_that_it_names_and_of_no_other(run, project, old, new, told):
    change(project.model_index / PAGE, old, new)
    code, out, err = run("verify", "cc_b0_4e")
    assert code == 1
    line = err.splitlines()[0]
    assert told in line
    assert "the dispute at registry/shared/condconv.yaml:" in line
    assert "The dispute at registry/shared/condconv.yaml:" in " ".join(out.split())
    assert run("check")[0] == 1


def test_a_figure_that_agrees_has_no_reason_of_somebody_elses(run):
    found = json.loads(run("verify", "--json")[1])
    rows = [row for variant in found["variants"] for row in variant["figures"]]
    assert {row["verdict"] for row in rows if row["reason"]} == {"disputed"}
    assert all(row["reason"] for row in rows if row["verdict"] == "disputed")


def test_what_the_registry_takes_from_the_entry_is_not_compared_with_it(run):
    found = figures(run("verify", "cc_b0_4e", "--json")[1], "cc_b0_4e")
    own = {"LR"}  # what the registry states itself
    for key in layers.CLAIMED.keys() - own:
        told = (found[key]["verdict"], found[key]["computed"])
        assert told == ("not compared", "taken from the entry"), key
    assert found["LR"]["verdict"] == "disputed"


def test_a_claim_that_nothing_compares_is_listed(run):
    found = figures(run("verify", "cc_b0_4e", "--json")[1], "cc_b0_4e")
    for key in ("Architecture", "Code", "Tasks", "Training Data", "Weights SHA-256"):
        assert found[key]["verdict"] == "not compared"
        assert found[key]["claimed"]
    assert found["Training Data"]["claimed"] == "ImageNet"
    assert found["Architecture"]["claimed"].startswith("1x1 Convolution, Average Pooling, ")


def test_other_variants_do_not_end_a_check_of_one(run, project):
    change(project.model_index / PAGE, "Parameters: 24010000", "Parameters: 24020000")
    assert run("verify", "cc_b0_4e")[0] == 0
    assert run("verify", "cc_b0_8e", "cc_b0_4e")[0] == 1


def test_modules_that_are_not_the_layout_differ(shipped):
    spec = registry.load("cc_pico_4e", shipped)
    found = census(unfilled(spec.network), 3, 224, 224)
    assert verdicts.modules(spec, found).verdict == "agrees"
    row = verdicts.modules(spec, replace(found, tensors=377))
    assert row.verdict == "differs"
    assert "tensors=376" in row.computed
    assert "tensors=377" in row.measured


def test_modules_of_another_momentum_differ(shipped):
    (entry,) = [e for e in registry.entries(shipped) if e.spec.name == "cc_pico_4e"]
    (row,) = [r for r in verify.compare(entry.claim, entry.spec) if r.key == "BatchNorm Momentum"]
    found = census(unfilled(entry.spec.network), 3, 224, 224)
    right = verdicts.momentum(row, entry.spec, found)
    assert (right.verdict, right.measured) == ("not compared", "0.01 built")
    wrong = verdicts.momentum(row, entry.spec, replace(found, momenta=(0.01, 0.1)))
    assert (wrong.verdict, wrong.measured) == ("differs", "0.01, 0.1 built")


def test_a_record_of_the_claimed_images_stands_beside_the_claim(run, project):
    made = record(project, correct=350)
    results.save(made, project)
    page = project.model_index / "effcc-condconv-pico.md"
    told = "  Results:\n  - Task: t\n    Dataset: scanned digits\n    Metrics:\n"
    change(page, "-->", f"{told}      Top 1 Accuracy: 97.2%\n-->")
    row = figures(run("verify", "--json")[1], "cc_pico_4e")["Top 1 Accuracy, scanned digits"]
    assert (row["verdict"], row["measured"]) == ("agrees", "350 of 360, 95.0 to 98.5 %")
    change(page, "97.2%", "99.2%")
    code, out, err = run("verify")
    assert code == 1
    assert "measured 350 of 360, 95.0 to 98.5 %" in err
    assert "350 of 360" in out


def test_a_pulled_file_is_hashed_and_none_is_fetched(run, project, shipped):
    assert (
        figures(run("verify", "cc_b0_4e", "--json")[1], "cc_b0_4e")["Weights SHA-256"]["measured"]
        == ""
    )
    assert not (project.root / "cache" / "weights").exists()
    there = project.root / "cache" / "weights" / "tf_efficientnet_cc_b0_4e-4362b6b2.pth"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"another file")
    code, out, _ = run("verify", "cc_b0_4e", "--json")
    row = figures(out, "cc_b0_4e")["Weights SHA-256"]
    assert (code, row["verdict"]) == (1, "differs")
    assert "is another file, or damaged; delete it." in row["note"]
    digits = row["measured"].rstrip("…")
    change(project.model_index / PAGE, "cc_b0_4e-4362b6b2.pth", f"cc_b0_4e-{digits}.pth")
    there.rename(there.with_name(f"tf_efficientnet_cc_b0_4e-{digits}.pth"))
    code, out, _ = run("verify", "cc_b0_4e", "--json")
    assert (code, figures(out, "cc_b0_4e")["Weights SHA-256"]["verdict"]) == (0, "agrees")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("verify", "cc_b0_4"), "did you mean 'cc_b0_4e'?"),
        (("verify", "cc_b0_4e", "nobody"), "no variant 'nobody'"),
        (("verify", "--explain", "LR", "cc_b0_4e"), "only FLOPs can be explained"),
        (("verify", "--explain", "FLOPs", "nobody"), "no variant 'nobody'"),
        (("verify", "--recipe.lr", "1"), "'--recipe.lr' is not an option"),
    ],
)
def test_what_is_typed_wrong_is_one_line_and_two(run, words, message):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("name", NAMES[:3])
def test_the_rule_of_a_published_figure_is_found_and_told_by_type(run, name):
    code, out, err = run("verify", "--explain", "FLOPs", name, "--json")
    assert (code, err) == (0, "")
    (found,) = json.loads(out)
    (rule,) = found["rules"]
    assert found["fits"] == 1
    assert rule["total"] == int(found["claimed"]) == sum(rule["by_class"].values())
    assert {name for name, part in rule["by_class"].items() if part} == {
        "Conv2d",
        "Linear",
        "BatchNorm2d",
        "AdaptiveAvgPool2d",
    }


def test_an_explanation_is_told_in_words_and_what_claims_nothing_says_so(run):
    code, out, _ = run("verify", "--explain", "FLOPs", "cc_b0_4e", "cc_pico_4e")
    assert code == 0
    for part in ("206,781,052", "17,286,080", "4,736", "81,920", "224 x 285 pixels"):
        assert part in out
    assert "no FLOPs in effcc_cc_pico_4e" in out


def test_all_variants_are_explained_unless_some_are_named(run):
    found = json.loads(run("verify", "--explain", "FLOPs", "--json")[1])
    assert [each["name"] for each in found] == NAMES
    assert found[-1]["claimed"] is None


def test_a_figure_is_explained_as_precisely_as_it_is_written(run, project):
    change(project.model_index / PAGE, "FLOPs: 224153788", "FLOPs: 0.4G")
    (found,) = json.loads(run("verify", "--explain", "FLOPs", "cc_b0_4e", "--json")[1])
    assert (found["figure"], found["within"]) == (400_000_000, 50_000_000)


@pytest.mark.parametrize(
    ("text", "within"),
    [("224153788", 0), ("13310000", 5_000), ("0.4G", 50_000_000), ("402M", 500_000), ("5", 0)],
)
def test_how_far_a_rounded_figure_reaches(text, within):
    assert verdicts.reach(Fact(text, text)) == within


def test_a_verdict_needs_no_memory_for_weights(shipped):
    model = unfilled(effcc.load("cc_b1_8e").network)
    assert all(parameter.device == torch.device("meta") for parameter in model.parameters())
