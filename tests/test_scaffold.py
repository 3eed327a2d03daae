"""A new variant begins as two files that pass every check."""

import re

import pytest

from effcc import cli
from effcc.catalog import registry, scaffold
from effcc.catalog.registry import UnknownVariant
from effcc.ground.errors import UsageError
from effcc.ground.home import Home
from effcc.proof import verify
from effcc.report import cards

BASES = ("cc_b0_4e", "cc_b0_8e", "cc_b1_8e", "cc_pico_4e")


@pytest.mark.parametrize("base", BASES)
def test_a_new_variant_passes_as_written(project, base):
    variant, page = scaffold.new("cc_new", base, project)
    assert project.shown(variant) == "registry/cc_new.yaml"
    assert project.shown(page) == "model-index/cc_new.md"
    entries = registry.entries(project)
    registry.entries(project, source="digits")
    assert verify.problems(entries) == []
    assert project.models / "cc_new.md" in cards.pages(project)


def test_a_summary_that_nobody_wrote_is_no_problem_and_named(project, monkeypatch, capsys):
    monkeypatch.chdir(project.root)
    variant, _ = scaffold.new("cc_new", "cc_b0_4e", project)
    assert cli.main(["check"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    where = r"registry/cc_new\.yaml:\d+:\d+: summary: "
    assert re.match(where + "as effcc new wrote it; say what is different", line)
    variant.write_text(variant.read_text().replace(scaffold.UNSAID, "with a third more"))
    assert cli.main(["check"]) == 0
    assert capsys.readouterr().err == ""
    copy = variant.with_stem("cc_newer")  # a copy says what the other does
    copy.write_text(variant.read_text())
    assert cli.main(["check"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(
        r"registry/cc_newer\.yaml:\d+:\d+: summary: that of cc_new too; say what is different", line
    )


def test_a_file_that_ends_in_yml_is_said_to_be_none_of_ours(project, monkeypatch, capsys):
    monkeypatch.chdir(project.root)
    (project.registry / "cc_new.yml").write_text("model: x\n")
    assert cli.main(["check"]) == 0
    said = "registry/cc_new.yml: not read: a variant's file is called cc_new.yaml"
    assert capsys.readouterr().err.splitlines() == [said]


@pytest.mark.parametrize("base", BASES)
def test_a_new_variant_is_its_base_until_it_is_edited(project, base):
    scaffold.new("cc_new", base, project)
    new, old = (registry.load(name, project) for name in ("cc_new", base))
    assert (new.network, new.preprocessing, new.recipe) == (
        old.network,
        old.preprocessing,
        old.recipe,
    )
    assert new.entry == "cc_new"
    assert new.summary.startswith(f"Like {base}")


def test_a_new_variant_claims_nothing_that_its_base_earned(project):
    scaffold.new("cc_new", "cc_b0_4e", project)
    claim = {e.spec.name: e.claim for e in registry.entries(project)}["cc_new"]
    assert not {"FLOPs", "Parameters", "File Size", "ID"} & set(claim.metadata)
    assert (claim.weights, claim.code, claim.results) == ((), None, ())
    assert claim.papers[0].title.startswith("CondConv")


def test_facts_that_are_taken_over_keep_their_written_form(project):
    _, page = scaffold.new("cc_new", "cc_b1_8e", project)
    text = page.read_text("utf-8")
    for line in ("Crop Pct: '0.882'", "Image Size: '240'", "Weight Decay: 1.0e-05"):
        assert line in text


def test_the_card_of_a_new_variant_says_nothing_untrue_of_its_citation(project):
    scaffold.new("cc_new", "cc_b0_4e", project)
    text = cards.pages(project)[project.models / "cc_new.md"]
    assert "**Citation.**" not in text


def test_comments_of_the_base_are_kept_and_its_first_line_not_doubled(project):
    path = project.registry / "cc_b0_8e.yaml"
    path.write_text(path.read_text().replace("experts: 8", "experts: 8  # as published"))
    variant, _ = scaffold.new("cc_new", "cc_b0_8e", project)
    text = variant.read_text("utf-8")
    assert "experts: 8  # as published" in text
    assert text.count("yaml-language-server") == 1
    assert text.startswith("# yaml-language-server: $schema=../effcc/catalog/schemas/")
    assert "registry.schema.json\n" in text


def test_what_the_base_disputes_and_published_is_its_own(project):
    with (project.registry / "cc_b0_4e.yaml").open("a") as file:
        file.write(
            "disputes:\n  FLOPs:\n    claimed: 5M\n    reason: >-\n      Of\n      two lines.\n"
        )
        file.write(f"weights:\n  sha256: {'a' * 64}\nseed: 5\n")
    scaffold.new("cc_new", "cc_b0_4e", project)
    spec = registry.load("cc_new", project)
    assert (spec.weights.url, spec.weights.sha256) == (None, None)
    assert not spec.disputes["FLOPs"].covers("5M")
    assert registry.load("cc_b0_4e", project).disputes["FLOPs"].covers("5M")
    assert spec.seed == 5


@pytest.mark.parametrize(
    "summary",
    ["summary: >-\n  Folded over\n  two lines.\n", "summary: 'Quoted over\n  two lines.'\n", ""],
)
def test_a_summary_of_any_shape_is_replaced_whole(project, summary):
    path = project.registry / "cc_b0_4e.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("summary")]
    path.write_text("\n".join(lines) + "\n" + summary)
    scaffold.new("cc_new", "cc_b0_4e", project)
    assert registry.load("cc_new", project).summary.startswith("Like cc_b0_4e")


@pytest.mark.parametrize("name", ["cc_b0_4e", "index", "Caps", "a-b", "../up", "", "x" * 65, "é"])
def test_a_name_that_cannot_be_is_refused_and_nothing_written(project, name):
    before = sorted(project.root.rglob("*"))
    with pytest.raises(UsageError):
        scaffold.new(name, "cc_b0_8e", project)
    assert sorted(project.root.rglob("*")) == before


def test_a_name_that_an_entry_has_is_refused(project):
    with pytest.raises(UsageError, match="an entry named 'effcc_cc_pico_4e' is in model-index/"):
        scaffold.new("effcc_cc_pico_4e", "cc_b0_8e", project)


def test_a_page_that_stands_there_is_not_written_over(project):
    (project.model_index / "cc_new.md").write_text(
        "<!--\nType: model-index\nModels: [{Name: other}]\n-->\n"
    )
    with pytest.raises(UsageError, match=r"model-index/cc_new.md exists"):
        scaffold.new("cc_new", "cc_b0_8e", project)
    assert not (project.registry / "cc_new.yaml").exists()


def test_an_unknown_base_is_answered_with_the_nearest(project):
    with pytest.raises(UnknownVariant, match="did you mean 'cc_b0_8e'"):
        scaffold.new("cc_new", "cc_b0_8", project)


def test_a_project_begins_with_every_variant_and_nothing_measured(project, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (project.results / "cc_b0_4e").mkdir(parents=True)
    variant, page = scaffold.new("cc_new", "cc_b0_4e", project, within=folder)
    begun = Home(folder.resolve())
    assert (variant, page) == (begun.registry / "cc_new.yaml", begun.model_index / "cc_new.md")
    assert registry.names(begun) == sorted([*BASES, "cc_new"])
    assert verify.problems(registry.entries(begun)) == []
    assert registry.load("cc_b1_8e", begun).digest == registry.load("cc_b1_8e", project).digest
    assert {path.name for path in folder.iterdir()} == {"registry", "model-index"}
    assert not begun.results.exists()
    assert "yaml-language-server" not in variant.read_text("utf-8"), "the schema is not there"
    assert not (project.registry / "cc_new.yaml").exists()


@pytest.mark.parametrize("half", ["registry", "model-index"])
def test_no_project_begins_over_what_stands_there(project, tmp_path, half):
    folder = tmp_path / "mine"
    (folder / half).mkdir(parents=True)
    with pytest.raises(UsageError, match="stands there, and no project"):
        scaffold.new("cc_new", "cc_b0_4e", project, within=folder)
    assert [path.name for path in folder.rglob("*")] == [half]


def test_a_name_that_is_taken_begins_no_project(project, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(UsageError, match="exists; choose another name"):
        scaffold.new("cc_b0_8e", "cc_b0_4e", project, within=folder)
    assert list(folder.iterdir()) == []
