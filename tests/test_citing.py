"""The page of citations: papers as the model-index has them, the software as CITATION.cff."""

import re

import pytest
import yaml
from conftest import ROOT

import effcc
from effcc import cli
from effcc.catalog import registry
from effcc.claims import bibtex
from effcc.ground.errors import BadFile
from effcc.report import citing

CFF = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))


def test_the_committed_page_is_up_to_date(shipped):
    assert (ROOT / "docs" / "citation.md").read_text("utf-8") == citing.page(shipped)


def test_every_bibtex_entry_of_the_registry_stands_there_once(shipped):
    text = citing.page(shipped)
    cited = {each for entry in registry.entries(shipped) for each in entry.claim.bibtex}
    assert len(cited) > 2
    for entry in cited:
        assert text.count(entry.rstrip()) == 1


def test_two_titles_of_one_paper_are_said_to_be_one(shipped):
    part = citing.page(shipped).partition("### Soft Conditional Computation")[2]
    assert "The same paper as *CondConv: Conditionally" in part.partition("```")[0]


def test_a_new_variant_changes_the_page_only_if_it_cites_something_new(project):
    before = citing.page(project)
    cli.main(["new", "cc_new", "--from", "cc_pico_4e"])
    assert citing.page(project) == before
    page = project.model_index / "cc_new.md"
    page.write_text(page.read_text().replace("{yang2019condconv,", "{else2030,", 1))
    assert "{else2030," in citing.page(project)


def test_the_file_has_what_the_format_requires_and_the_version_of_the_package():
    assert {"cff-version", "message", "title", "authors"} <= set(CFF)
    assert CFF["cff-version"] == "1.2.0"
    assert CFF["version"] == effcc.__version__
    assert CFF["authors"] == [{"name": "effcc contributors"}]
    assert CFF["license"] == "Apache-2.0"


def test_the_references_of_the_file_are_papers_of_the_model_index(shipped):
    known = {
        paper.title: paper
        for entry in registry.entries(shipped)
        for paper in map(bibtex.parse, entry.claim.bibtex)
    }
    assert len(CFF["references"]) == 2
    for reference in CFF["references"]:
        paper = known[reference["title"]]
        names = [f"{a['given-names']} {a['family-names']}" for a in reference["authors"]]
        assert names == paper.authors
        assert str(reference["year"]) == paper.year
        assert reference["collection-title"] == paper.venue
        assert [i["value"] for i in reference["identifiers"]] == [f"arXiv:{paper.arxiv[0]}"]


def test_the_softwares_bibtex_is_read_back_as_the_file_says_it(shipped):
    text = re.search(r"^@software.*?^}", citing.page(shipped), re.DOTALL | re.MULTILINE)[0]
    entry = bibtex.parse(text)
    assert entry.key == "effcc"
    assert entry.title == f"effcc: {CFF['abstract'].rstrip('.')}"
    assert entry.authors == ["effcc contributors"]
    assert entry.fields["version"] == CFF["version"]


def test_a_file_that_is_no_yaml_is_named_with_its_line(project):
    project.citation.write_text("title: [\n")
    with pytest.raises(BadFile, match=r"CITATION\.cff:\d"):
        citing.page(project)


def test_docs_says_that_a_page_is_stale_and_mends_it(project, capsys):
    cli.main(["docs"])
    for name in ("citation.md", "commands.md"):
        (project.docs / name).write_text("better")
    capsys.readouterr()
    assert cli.main(["docs", "--check"]) == 1
    assert "docs/commands.md: out of date" in capsys.readouterr().err
    assert cli.main(["docs"]) == 0
    assert cli.main(["docs", "--check"]) == 0


def test_a_project_without_these_pages_gets_none(project):
    for name in ("citation.md", "commands.md"):
        (project.docs / name).unlink()
    assert cli.main(["docs"]) == 0
    assert not (project.docs / "commands.md").exists()
    assert not (project.docs / "citation.md").exists()
