"""Every code is on the page of codes, with an example that has it and a mend that has none."""

import re

import pytest
from conftest import ROOT

from effcc.claims import mend, modelindex, rules

PAGE = (ROOT / "docs" / "model-index.md").read_text("utf-8")
SECTION = re.compile(
    r"^### (MI\d{3}): ([^\n]+)\n\n\*(error|warning)[^*]*\*(.*?)(?=^##|\Z)", re.M | re.S
)
BLOCK = re.compile(r"^```(yaml|md)\n(.*?)^```$", re.M | re.S)
SECTIONS = {code: parts for code, *parts in SECTION.findall(PAGE)}
# These are about bytes, which no example on a page can show.
OF_BYTES = {"MI001", "MI002", "MI003"}


def test_the_page_has_every_code_once_in_order_with_its_title_and_severity():
    codes = re.findall(r"^### (MI\d{3})", PAGE, re.M)
    assert codes == sorted(codes)
    described = {code: rules.Rule(*SECTIONS[code][:2]) for code in codes}
    assert described == rules.RULES


@pytest.mark.parametrize("code", sorted(rules.RULES.keys() - OF_BYTES))
def test_the_example_has_the_code_and_the_mend_has_none(code, tmp_path):
    (_, wrong), (suffix, mended) = BLOCK.findall(SECTIONS[code][2])
    below = tmp_path / "below"
    below.mkdir()
    (below / "models.yml").write_text("Models: [{Name: z}]\n")
    (below / "README.md").write_text("# z\n")
    path = tmp_path / ("page.md" if suffix == "md" else "model-index.yml")
    path.write_text(wrong)
    assert codes(path) == {code}
    path.write_text(mended)
    assert codes(path) == set()


@pytest.mark.parametrize("code", sorted(rules.RULES.keys() - OF_BYTES))
def test_what_the_page_says_is_mended_is_mended(code, tmp_path):
    """And nothing else is: an example without a mend stays as it is."""
    (suffix, wrong), (_, mended) = BLOCK.findall(SECTIONS[code][2])
    path = tmp_path / ("page.md" if suffix == "md" else "model-index.yml")
    path.write_text(wrong)
    problems = modelindex.check([path], tmp_path).problems
    promised = "`--fix`" in PAGE.partition(f"### {code}")[2].partition("```")[0]
    assert (mend.file(path, problems) > 0) == promised
    assert path.read_text() == (mended if promised else wrong)


@pytest.mark.parametrize(
    ("code", "data"), [("MI002", "é".encode("latin-1")), ("MI003", b"a: \x00")]
)
def test_bytes_that_are_no_text_have_their_code(code, data, tmp_path):
    path = tmp_path / "a.yml"
    path.write_bytes(data)
    assert codes(path) == {code}


def test_a_file_that_is_not_there_has_its_code(tmp_path):
    assert codes(tmp_path / "a.yml") == {"MI001"}


def codes(path):
    return {problem.code for problem in modelindex.check([path], path.parent).problems}
