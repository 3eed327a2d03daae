"""The page of citations: papers as the model-index has them, the software as CITATION.cff."""

import re
import subprocess
import sys

import jsonschema
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


_NAMES = {"type": "string", "minLength": 1}
_PERSON = {
    "required": ["family-names", "given-names"],
    "properties": {"family-names": _NAMES, "given-names": _NAMES},
    "additionalProperties": False,
}
_GROUP = {"required": ["name"], "properties": {"name": _NAMES}, "additionalProperties": False}
_AUTHORS = {"type": "array", "minItems": 1, "items": {"anyOf": [_PERSON, _GROUP]}}
_IDENTIFIER = {
    "required": ["type", "value"],
    "properties": {
        "type": {"enum": ["doi", "url", "swh", "other"]},
        "value": _NAMES,
        "description": _NAMES,
    },
    "additionalProperties": False,
}
_REFERENCE = {
    "required": ["type", "title", "authors"],
    "properties": {
        "type": {"enum": ["article", "conference-paper", "software", "generic"]},
        "title": _NAMES,
        "authors": _AUTHORS,
        "collection-title": _NAMES,
        **{key: {"type": "integer"} for key in ("volume", "start", "end", "year")},
        "identifiers": {"type": "array", "minItems": 1, "items": _IDENTIFIER},
    },
    "additionalProperties": False,
}
# What the format allows of the keys that we use; other keys are refused here.
FORMAT = {
    "required": ["cff-version", "message", "title", "authors"],
    "properties": {
        "cff-version": {"const": "1.2.0"},
        "message": _NAMES,
        "type": {"enum": ["software", "dataset"]},
        "title": _NAMES,
        "abstract": _NAMES,
        "version": {"type": ["string", "number"]},
        "license": {"enum": ["Apache-2.0"]},
        "authors": _AUTHORS,
        "keywords": {"type": "array", "minItems": 1, "uniqueItems": True, "items": _NAMES},
        "references": {"type": "array", "minItems": 1, "items": _REFERENCE},
    },
    "additionalProperties": False,
}


def test_the_file_is_of_the_format():
    jsonschema.Draft202012Validator(FORMAT).validate(CFF)


@pytest.mark.network
@pytest.mark.slow
def test_the_formats_own_validator_accepts_the_file(tmp_path):
    """In an environment of its own: it needs a jsonschema that is older than ours."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path], check=True, timeout=120)
    pip = [tmp_path / "bin" / "python", "-m", "pip", "install", "-qq", "cffconvert==2.0.0"]
    subprocess.run(pip, check=True, timeout=300)
    validate = [tmp_path / "bin" / "cffconvert", "--validate", "-i", ROOT / "CITATION.cff"]
    done = subprocess.run(validate, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "are valid" in done.stdout) == (0, True), done.stderr


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


def test_a_file_with_line_ends_of_windows_gives_the_same_page(project):
    before = citing.page(project)
    for path in (project.citation, *project.model_index.glob("*.md")):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert citing.page(project) == before
    cli.main(["docs"])
    assert cli.main(["docs", "--check"]) == 0


USUAL = """cff-version: 1.2.0
message: Cite it.
title: My tool
authors:
- {family-names: Beethoven, given-names: Ludwig, name-particle: van}
- {family-names: King, given-names: Martin Luther, name-suffix: Jr.}
- {name: The group and friends}
- {alias: somebody}
"""


def test_persons_are_cited_by_their_names_and_what_the_file_leaves_out_is_left_out(project):
    project.citation.write_text(USUAL)
    text = re.search(r"^@software.*?^}", citing.page(project), re.DOTALL | re.MULTILINE)[0]
    persons = "van Beethoven, Ludwig and King, Jr., Martin Luther"
    assert f"= {{{persons} and {{The group and friends}} and somebody}}" in text
    entry = bibtex.parse(text)
    assert entry.key == "My-tool"
    assert set(entry.fields) == {"author", "title"}
    assert entry.title == "My tool"


def test_what_tex_would_take_for_more_than_a_letter_is_escaped(project):
    project.citation.write_text(
        'title: "R&D_1 {a"\nabstract: "100 % of C#, ~$5 ^2 \\\\ }."\nauthors: [{name: "A & B"}]\n'
    )
    text = re.search(r"^@software.*?^}", citing.page(project), re.DOTALL | re.MULTILINE)[0]
    assert r"author  = {{A \& B}}" in text
    assert r"{R\&D\_1 \textbraceleft{}a}: 100 \% of C\#, \textasciitilde{}\$5" in text
    assert text.count("{") == text.count("}")
    assert set(bibtex.parse(text).fields) == {"author", "title"}


@pytest.mark.parametrize(
    "text",
    [
        *("", "- a\n", "a word\n", "title: x\n", "title: [x]\nauthors: [{name: y}]\n"),
        *("title: x\nauthors: y\n", "title: x\nauthors: [y]\n", "title: x\nauthors: [{a: b}]\n"),
    ],
)
def test_a_file_that_is_no_cff_is_refused_in_a_line(project, capsys, text):
    project.citation.write_text(text)
    with pytest.raises(BadFile, match=r"^CITATION\.cff.*needs") as refused:
        citing.page(project)
    assert "\n" not in str(refused.value)
    assert cli.main(["docs"]) == 3
    assert "needs" in capsys.readouterr().err


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
