"""Claims are held against the code: agreement, a dispute with a reason, or an error."""

from dataclasses import replace

import pytest
from records import record

from effcc.catalog import layers, registry
from effcc.catalog.results import Run, accuracy
from effcc.claims import modelindex
from effcc.claims.claim import Fact
from effcc.proof import verify
from effcc.proof.comparison import AGREES, DIFFERS, DISPUTED, NOT_COMPARED

REASON = "Counted by another rule, as everybody knows."


def dispute(project, key, claimed, name="cc_b0_4e"):
    """Add a dispute to a variant's file; returns the place that messages point to."""
    path = project.registry / f"{name}.yaml"
    with path.open("a") as file:
        file.write(f"disputes:\n  {key}:\n    claimed: {claimed}\n    reason: {REASON}\n")
    line = 1 + path.read_text("utf-8").splitlines().index(f"  {key}:")
    return f"registry/{name}.yaml:{line}:3"


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
def test_of_the_published_figures_these_are_disputed_and_no_other(shipped, name):
    compared = rows(shipped, name)
    disputed = {key for key, row in compared.items() if row.verdict == DISPUTED}
    assert disputed == {"FLOPs", "LR", "Citation", "Citation Venue", "Paper URL"}
    assert all(len(compared[key].reason) > 50 for key in disputed)
    assert not [row for row in compared.values() if row.verdict == DIFFERS]


def test_where_the_published_flops_come_from_is_noted(shipped):
    row = rows(shipped, "cc_b0_4e")["FLOPs"]
    assert (row.claimed, row.computed) == ("224153788", "396,513,888 multiply-accumulates")
    assert row.note.startswith("On 224 x 285 pixels it adds up Conv2d 206,781,052, ")
    assert row.note.endswith(": 224,153,788.")


@pytest.mark.parametrize("name", ["cc_b0_4e", "cc_b0_8e", "cc_b1_8e"])
def test_the_published_rate_is_disputed_and_the_computed_one_is_used(shipped, name):
    row = rows(shipped, name)["LR"]
    assert (row.claimed, row.computed) == ("0.256", "0.128 at 2,048 images a step")
    assert row.verdict == "disputed"
    assert row.note == "By that rule 0.256 is the rate of 4,096 images a step."
    assert "0.016 for every 256" in row.reason
    assert registry.load(name, shipped).recipe.lr == 0.128


def test_a_rate_is_compared_at_the_batch_that_is_claimed(project, page):
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
    dispute(project, "Parameters", 13320000)
    assert found(project) == []
    assert rows(project, "cc_b0_4e")["Parameters"].reason == REASON


def test_a_reason_for_what_agrees_is_a_problem(project):
    place = dispute(project, "Parameters", 13310000)
    (problem,) = found(project)
    claim = "model-index/tf-efficientnet-condconv.md:80"
    assert problem == (
        f"{place}: disputes.Parameters: 13310000 of {claim} agrees with 13,314,116; "
        "remove the dispute"
    )


def test_a_reason_covers_the_figure_that_it_was_written_for(project, page):
    change(page, "FLOPs: 370427824", "FLOPs: 999M")
    (problem,) = found(project)
    assert "FLOPs: claims 999M, computed 723,282,704" in problem
    assert "; the dispute at registry/shared/condconv.yaml:" in problem
    assert problem.endswith(" is of 224153788 or 224158524 or 370427824; mend it or dispute it")
    assert rows(project, "cc_b1_8e")["FLOPs"].reason == ""
    dispute(project, "FLOPs", "[999M, 1G]", "cc_b1_8e")
    assert found(project) == []
    change(page, "FLOPs: 999M", "FLOPs: 999000000")  # the same, written as somebody else would
    assert len(found(project)) == 1


def test_a_figure_is_disputed_in_the_form_that_it_is_written_in(project, page):
    change(page, "Weight Decay: 1.0e-05", "Weight Decay: 1.50e-05")
    change(project.registry / "cc_b0_4e.yaml", "  lr:", "  weight_decay: 1.0e-05\n  lr:")
    dispute(project, "Weight Decay", "1.50e-05")
    assert rows(project, "cc_b0_4e")["Weight Decay"].verdict == DISPUTED


def test_a_shared_reason_may_outlive_its_need_in_one_variant_but_not_in_all(project, page):
    for claimed, computed in (
        ("370427824", "723282704"),
        ("224158524", "407213024"),  # before that with fewer experts, which may not have more
        ("224153788", "396513888"),
    ):
        assert found(project) == []
        change(page, f"FLOPs: {claimed}", f"FLOPs: {computed}")
    (problem,) = found(project)
    assert problem.startswith("registry/shared/condconv.yaml:")
    assert ":3: disputes.FLOPs: 396513888 of model-index/" in problem


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("Paramters", "; did you mean 'Parameters'?"),
        ("Throughput", ""),
        ("Records", ""),  # is compared, and nobody's claim
        ("FLOPs beside cc_b0_4e", "; did you mean"),  # is claimed, of another variant
    ],
)
def test_a_reason_for_something_that_nobody_claims_is_a_problem(project, key, hint):
    place = dispute(project, key, 5)
    (problem,) = found(project)
    assert problem.startswith(
        f"{place}: disputes.{key}: nobody claims that; remove the dispute{hint}"
    )
    assert hint or problem.endswith("; remove the dispute")


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


@pytest.mark.parametrize(
    ("key", "claimed", "other"),
    [
        ("Epochs", "350", "300"),
        ("Batch Size", "2048", "4096"),
        ("Momentum", "0.9", "0.8"),
        ("RMSProp Decay", "0.9", "0.99"),
        ("Weight Decay", "1.0e-05", "2.0e-05"),
        ("Label Smoothing", "0.1", "0.2"),
        ("Image Size", "'224'", "'240'"),
        ("Crop Pct", "'0.875'", "'0.9'"),
        ("Interpolation", "bicubic", "bilinear"),
    ],
)
def test_a_claimed_setting_is_compared_if_the_registry_states_it_too(project, key, claimed, other):
    section, setting = layers.CLAIMED[key].split(".")
    row = rows(project, "cc_b0_4e")[key]
    assert (row.verdict, row.computed) == (NOT_COMPARED, verify.TAKEN)
    assert row.claimed == claimed.strip("'")
    variant = project.registry / "cc_b0_8e.yaml"
    text = variant.read_text("utf-8")

    def state(value):
        stated = text + f"{section}: {{{setting}: {value}}}\n"
        if section == "recipe":
            stated = text.replace("  lr: 0.128", f"  {setting}: {value}\n  lr: 0.128")
        variant.write_text(stated, "utf-8")
        return rows(project, "cc_b0_8e")[key]

    assert state(claimed.strip("'")).verdict == AGREES
    value = other.strip("'")
    row = state(value)
    assert row.verdict == DIFFERS
    assert row.computed.startswith(f"{float(value):.6g}" if value[0].isdigit() else value)
    assert any(f"{key}: claims" in problem for problem in found(project))


def test_what_a_shared_file_states_under_the_entry_is_compared(project):
    shared = project.shared / "condconv.yaml"
    change(shared, "  warmup_epochs: 5", "  warmup_epochs: 5\n  epochs: 350")
    assert rows(project, "cc_b0_4e")["Epochs"].verdict == AGREES
    change(shared, "  epochs: 350", "  epochs: 300")
    row = rows(project, "cc_b0_4e")["Epochs"]
    assert (row.verdict, row.computed) == (DIFFERS, "300")
    assert row.note.endswith("says so; built is what the entry says, over it.")
    assert registry.load("cc_b0_4e", project).recipe.epochs == 350


def test_a_rate_of_the_entry_is_compared_if_the_registry_states_its_batch(project):
    assert rows(project, "cc_pico_4e")["LR"].computed == verify.TAKEN
    with (project.registry / "cc_pico_4e.yaml").open("a") as file:
        file.write("recipe: {batch_size: 512}\n")
    assert rows(project, "cc_pico_4e")["LR"].computed == "0.008 at 256 images a step"


def test_the_authors_crop_in_pixels_is_compared_with_the_claimed_share(project):
    variant = project.registry / "cc_b1_8e.yaml"
    padded = "preprocessing: {crop_padding: 32}\n"
    variant.write_text(variant.read_text("utf-8") + padded, "utf-8")
    row = rows(project, "cc_b1_8e")["Crop Pct"]
    assert (row.claimed, row.computed, row.agrees) == ("0.882", "240 of 272 pixels, 0.882", True)
    change(variant, "crop_padding: 32", "crop_padding: 64")
    assert not rows(project, "cc_b1_8e")["Crop Pct"].agrees


def test_a_momentum_is_read_in_the_convention_that_it_is_written_in(project, page):
    row = rows(project, "cc_b0_4e")["BatchNorm Momentum"]
    assert (row.computed, row.agrees) == (verify.TAKEN, None)
    change(page, "BatchNorm Momentum: 0.99", "BatchNorm Momentum: 0.01")
    row = rows(project, "cc_b0_4e")["BatchNorm Momentum"]  # as TensorFlow's it would be 0.01
    assert (row.computed, row.agrees) == ("0.99 PyTorch's, 0.01 TensorFlow's", False)
    variant = project.registry / "cc_b0_4e.yaml"
    change(variant, "  experts: 4", "  experts: 4\n  bn_momentum: 0.99")
    row = rows(project, "cc_b0_4e")["BatchNorm Momentum"]
    assert (row.computed, row.agrees) == ("0.01 PyTorch's, 0.99 TensorFlow's", True)
    change(page, "BatchNorm Momentum: 0.01", "BatchNorm Momentum: 0.99")
    row = rows(project, "cc_b0_4e")["BatchNorm Momentum"]
    assert (row.computed, row.agrees) == ("0.99 TensorFlow's, 0.01 PyTorch's", True)


def test_a_technique_that_is_not_used_differs(project, page):
    change(page, "    - AutoAugment\n", "    - CutMix\n")
    assert rows(project, "cc_b0_4e")["Training Techniques"].verdict == DIFFERS


def test_a_single_technique_need_not_be_a_list(shipped):
    (entry,) = [e for e in registry.entries(shipped) if e.spec.name == "cc_b0_4e"]
    for text, agrees in (("RMSProp", True), ("CutMix", False)):
        claim = replace(entry.claim, metadata={"Training Techniques": Fact(text, text)})
        (row, *_) = verify.compare(claim, entry.spec)
        assert (row.key, row.claimed, row.agrees) == ("Training Techniques", text, agrees)


def test_a_number_that_nothing_here_can_tell_is_not_compared(project, page):
    change(page, "    FLOPs: 224153788\n", "    FLOPs: 224153788\n    Throughput: 1200\n")
    row = rows(project, "cc_b0_4e")["Throughput"]
    assert (row.claimed, row.computed, row.verdict) == ("1200", "", "not compared")
    assert found(project) == []


def test_a_reason_for_what_nothing_contradicts_is_a_problem(project, page):
    change(page, "    FLOPs: 224153788\n", "    FLOPs: 224153788\n    Throughput: 1200\n")
    place = dispute(project, "Throughput", 1200)
    (problem,) = found(project)
    assert problem.startswith(f"{place}: disputes.Throughput: 1200 of model-index/")
    assert " is contradicted by nothing here; remove" in problem


def test_variants_beside_each_other_are_part_of_the_check(project, page):
    change(page, "FLOPs: 224158524", "FLOPs: 224153787")
    dispute(project, "FLOPs", 224153787, "cc_b0_8e")
    (problem,) = found(project)  # the figure is disputed, not what it is beside another's
    assert "FLOPs beside cc_b0_4e: claims 224153787, computed at least 224153788" in problem
    with (project.registry / "cc_b0_8e.yaml").open("a") as file:
        file.write(f"  FLOPs beside cc_b0_4e: {{claimed: 224153787, reason: {REASON!r}}}\n")
    assert found(project) == []


def test_records_are_part_of_the_check(project):
    entries, made = registry.entries(project), record(project)

    def problems_with(entries, run):
        measured = {"cc_pico_4e": [run]}
        rows = verify.every(entries, lambda entry: measured.get(entry.spec.name, ()))
        return verify.problems(entries, rows)

    assert problems_with(entries, Run(made, "")) == []
    worse = replace(made, metrics=made.metrics | {"top5": accuracy(349, 360)})
    (problem,) = problems_with(entries, Run(worse, ""))
    assert str(problem).startswith(f"registry/results/cc_pico_4e/{made.id}.json: Records: ")
    assert "measured 97.22 and 96.94 %" in problem.message
