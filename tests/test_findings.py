"""What is found is told to people, to programs, and to code hosts."""

import json

import pytest

from effcc.claims import rules
from effcc.ground.errors import Place, Problem
from effcc.report import findings

WRONG = Problem(Place("a.yml", 2, 5), "Models[0].LR", "no", "MI045")
DOUBT = Problem(Place("a.yml", 1, 1), "LR", "text to many", "MI041", ("1e-5", "1.0e-5"))
PLAIN = Problem(Place("b.yml"), "", "cannot be read")


@pytest.fixture
def files(tmp_path):
    (tmp_path / "a.yml").write_text("1e-5\n\tLR: é x\n")
    return {"a.yml": str(tmp_path / "a.yml")}


def test_a_caret_stands_below_what_is_wrong(files):
    assert findings.text([WRONG], files).splitlines() == [
        "a.yml:2:5: Models[0].LR: no [MI045]",
        "    2 |  LR: é x",
        "      |     ^",
    ]


def test_a_warning_is_called_one_and_a_problem_without_a_line_has_no_excerpt(files):
    lines = findings.text([DOUBT, PLAIN], files).splitlines()
    assert lines[0] == "a.yml:1:1: LR: text to many [MI041 warning]"
    assert lines[-1] == "b.yml: cannot be read"


def test_a_long_line_is_shown_around_the_place(tmp_path):
    (tmp_path / "a.yml").write_text("x" * 500 + "HERE" + "y" * 500)
    problem = Problem(Place("a.yml", 1, 501), "", "m")
    _, line, caret = findings.text([problem], {"a.yml": str(tmp_path / "a.yml")}).splitlines()
    assert len(line) < 120
    assert line[caret.index("^") :].startswith("HERE")


@pytest.mark.parametrize("hostile", ["\x1b[31m", "\x07", "\u202e", "\x9b1m", "\r"])
def test_nothing_in_a_file_moves_or_colours_the_terminal(tmp_path, hostile):
    (tmp_path / "a.yml").write_text(f"a{hostile}b: c\n", newline="")
    problem = Problem(Place("a.yml", 1, 1), f"a{hostile}b", f"found {hostile}")
    text = findings.text([problem], {"a.yml": str(tmp_path / "a.yml")})
    assert hostile not in text


def test_sarif_has_a_rule_for_each_code_and_a_fix_for_each_mend():
    (run,) = json.loads(findings.sarif([WRONG, DOUBT, PLAIN], "1.0"))["runs"]
    described = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    assert described["MI041"]["defaultConfiguration"] == {"level": "warning"}
    wrong, doubt, plain = run["results"]
    assert (wrong["ruleId"], wrong["level"]) == ("MI045", "error")
    (location,) = wrong["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "a.yml"},
        "region": {"startLine": 2, "startColumn": 5},
    }
    ((change,),) = (fix["artifactChanges"] for fix in doubt["fixes"])
    (replacement,) = change["replacements"]
    assert replacement["deletedRegion"] == {"startLine": 1, "startColumn": 1, "endColumn": 5}
    assert replacement["insertedContent"] == {"text": "1.0e-5"}
    assert "region" not in plain["locations"][0]["physicalLocation"]
    assert "ruleId" not in plain


def test_no_text_ends_an_annotation_or_begins_another():
    problem = Problem(Place("a,b:c.yml", 1, 2), "k", "100%\n::error::x", "MI045")
    assert findings.github([problem]) == (
        "::error file=a%2Cb%3Ac.yml,line=1,col=2,title=MI045::k: 100%25%0A::error::x"
    )


def test_every_rule_is_an_error_or_a_warning():
    assert {rule.severity for rule in rules.RULES.values()} == {"error", "warning"}
    assert rules.is_error("")
