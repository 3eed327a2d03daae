"""Claims are held against the code: agreement, a dispute with a reason, or an error."""

import pytest

from effcc.catalog import modelindex, registry, verify
from effcc.catalog.verify import bibtex_field

REASON = "Counted by another rule, as everybody knows."


def found(project):
    return [str(problem) for problem in verify.problems(registry.entries(project))]


def rows(home, name):
    (entry,) = [e for e in registry.entries(home) if e.spec.name == name]
    return {row.key: row for row in verify.compare(entry.claim, entry.spec)}


def change(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


@pytest.fixture
def page(project):
    return project.model_index / "tf-efficientnet-condconv.md"


def test_every_shipped_claim_agrees_or_is_disputed_with_a_reason(shipped):
    assert verify.problems(registry.entries(shipped)) == []


@pytest.mark.parametrize("name", ["cc_b0_4e", "cc_b0_8e", "cc_b1_8e"])
def test_of_the_published_figures_flops_and_citation_are_disputed(shipped, name):
    compared = rows(shipped, name)
    assert compared["Parameters"].agrees
    assert compared["File Size"].agrees
    assert not compared["FLOPs"].agrees
    assert not compared["Citation"].agrees
    for key in ("FLOPs", "Citation"):
        assert len(compared[key].reason) > 50


def test_where_the_published_flops_come_from_is_noted(shipped):
    row = rows(shipped, "cc_b0_4e")["FLOPs"]
    assert (row.claimed, row.computed) == ("224153788", "396,513,888 multiply-accumulates")
    assert "224,153,788" in row.note


@pytest.mark.parametrize("name", ["cc_b0_4e", "cc_b0_8e", "cc_b1_8e"])
def test_the_published_rate_is_disputed_and_the_computed_one_is_used(shipped, name):
    row = rows(shipped, name)["LR"]
    assert (row.claimed, row.computed) == ("0.256", "0.128 at 2,048 images a step")
    assert row.verdict == "disputed"
    assert "0.016 for every 256" in row.reason
    assert registry.load(name, shipped).recipe.lr == 0.128


def test_a_rate_is_compared_at_the_batch_that_is_claimed(project, page):
    assert rows(project, "cc_pico_4e")["LR"].agrees  # 0.016 at 256
    variant = project.registry / "cc_b0_4e.yaml"
    change(variant, "  lr: 0.128", "  batch_size: 256\n  lr: 0.016")
    assert rows(project, "cc_b0_4e")["LR"].computed == "0.128 at 2,048 images a step"
    change(page, "LR: 0.256", "LR: 0.128")
    assert rows(project, "cc_b0_4e")["LR"].agrees
    change(variant, "  lr: 0.016", "  lr: 0.017")
    assert not rows(project, "cc_b0_4e")["LR"].agrees


def test_a_rate_is_the_documented_one_whatever_the_data(shipped):
    claim = modelindex.load(shipped.model_index, shipped.root)["tf_efficientnet_cc_b0_4e"]
    typed = {"data.source": "digits", "recipe.lr": 5.0}
    row = {
        row.key: row
        for row in verify.compare(claim, registry.load("cc_b0_4e", shipped, flags=typed))
    }
    assert row["LR"].computed == "0.128 at 2,048 images a step"


def test_a_disagreement_without_a_reason_is_a_problem_at_the_claim(project, page):
    change(page, "Parameters: 13310000", "Parameters: 13320000")
    (problem,) = found(project)
    line = 1 + page.read_text().splitlines().index("    Parameters: 13320000")
    place = f"model-index/{page.name}:{line}:17"
    assert problem.startswith(f"{place}: Parameters: claims 13320000, computed 13,314,116; ")


@pytest.mark.parametrize("size", ["53424919", "54000000", "13310000"])
def test_a_file_is_its_tensors_and_a_little_more(project, page, size):
    change(page, "File Size: 53490940", f"File Size: {size}")
    (problem,) = found(project)
    assert "File Size: claims" in problem


def test_a_reason_ends_the_problem(project, page):
    change(page, "Parameters: 13310000", "Parameters: 13320000")
    with (project.registry / "cc_b0_4e.yaml").open("a") as file:
        file.write(f"disputes:\n  Parameters: {REASON}\n")
    assert found(project) == []
    assert rows(project, "cc_b0_4e")["Parameters"].reason == REASON


def test_a_reason_for_what_agrees_is_a_problem(project):
    with (project.registry / "cc_b0_4e.yaml").open("a") as file:
        file.write(f"disputes:\n  Parameters: {REASON}\n")
    (problem,) = found(project)
    assert "disputes.Parameters: claims 13310000" in problem
    assert problem.endswith("remove the dispute")


def test_a_shared_reason_may_outlive_its_need_in_one_variant_but_not_in_all(project, page):
    for claimed, computed in (
        ("224153788", "396513888"),
        ("224158524", "407213024"),
        ("370427824", "723282704"),
    ):
        assert found(project) == []
        change(page, f"FLOPs: {claimed}", f"FLOPs: {computed}")
    (problem,) = found(project)
    assert "disputes.FLOPs" in problem


def test_a_reason_for_something_that_nobody_claims_is_a_problem(project):
    with (project.registry / "cc_b0_4e.yaml").open("a") as file:
        file.write(f"disputes:\n  FLOP: {REASON}\n")
    (problem,) = found(project)
    assert "disputes.FLOP" in problem


def test_what_nobody_claims_is_not_compared(shipped):
    assert not {"FLOPs", "Parameters", "File Size"} & set(rows(shipped, "cc_pico_4e"))


@pytest.mark.parametrize(
    ("setting", "value", "name"),
    [
        ("policy", "v0", "AutoAugment"),
        ("policy", "original", "AutoAugment"),
        ("policy", "rand", "RandAugment"),
        ("erase", 0.25, "Random Erasing"),
        ("mixup", 0.2, "Mixup"),
        ("cutmix", 1.0, "CutMix"),
    ],
)
def test_augmentation_that_is_on_is_a_technique(shipped, setting, value, name):
    off = {"recipe.augment.policy": None}
    without = verify.techniques(registry.load("cc_b0_4e", shipped, flags=off))
    on = off | {f"recipe.augment.{setting}": value}
    assert name not in without
    found = verify.techniques(registry.load("cc_b0_4e", shipped, flags=on))
    assert found == sorted([*without, name])


@pytest.mark.parametrize("name", ["cc_b0_4e", "cc_b0_8e", "cc_b1_8e"])
def test_the_published_training_techniques_are_ours_too(shipped, name):
    assert rows(shipped, name)["Training Techniques"].agrees


def test_a_title_is_compared_by_its_letters(tmp_path, shipped):
    for title, agrees in (
        ("{{CondConv}}: Conditionally Parameterized\n   Convolutions", True),
        ("condconv - conditionally parameterized convolutions", True),
        ("Soft Conditional Computation", False),
    ):
        page = tmp_path / "f.md"
        page.write_text(
            f"```bibtex\n@misc{{x,\n  title = {{{title}}},\n}}\n```\n"
            "<!--\nType: model-index\nModels:\n- Name: a\n  Paper:\n"
            "    Title: 'CondConv: Conditionally Parameterized Convolutions'\n-->\n"
        )
        (claim,) = modelindex.load_file(page, tmp_path)
        spec = registry.load("cc_b0_4e", shipped)
        (row,) = verify.compare(claim, spec)
        assert (row.key, row.agrees) == ("Citation", agrees)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", "A Title of two lines"),
        ("Year", "2019"),
        ("booktitle", None),
        ("itle", None),
    ],
)
def test_a_field_of_a_citation_is_read_without_braces(name, value):
    bibtex = "@misc{a,\n  title     = {A {Title} of\n     two lines},\n  year={2019}\n}"
    assert bibtex_field(bibtex, name) == value
