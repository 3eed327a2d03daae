"""Formulas are LaTeX in the sources and MathML on the pages, or the build says which is not."""

from xml.etree import ElementTree

import pytest
from rendered import to_html

from effcc.report import formulas

SUM = r"W(x) = \sum_{e=1}^{n} \alpha_e(x)\, W_e"


def names(mathml):
    return [element.tag.rpartition("}")[2] for element in ElementTree.fromstring(mathml).iter()]


def test_a_fence_called_math_becomes_a_formula_of_its_own():
    html = to_html(f"Before\n\n```math\n{SUM}\n```\n\nAfter")
    (shown,) = html.partition("Before")[2].split("</div>")[:1]
    assert 'class="formula"' in shown
    assert 'display="block"' in shown
    assert "\\" not in shown
    assert "munderover" in shown


def test_code_between_dollars_becomes_a_formula_in_its_line():
    html = to_html(r"There are $`n`$ of $`W_e`$, and `code`.")
    assert html.count('display="inline"') == 2
    assert "<code>code</code>" in html
    assert "$" not in html


@pytest.mark.parametrize(
    "text", ["costs $5 and `code`, not $6", "`` $`x`$ ``", "$x$", "`a$` and `$b`", "`a` or \\`$"]
)
def test_dollars_and_code_that_are_no_formula_stay_what_they_are(text):
    assert "<math" not in to_html(text)


def test_a_formula_in_a_code_block_is_code():
    assert "<math" not in to_html("```text\n$`x`$\n```")


def test_a_command_that_the_converter_does_not_know_stops_the_build():
    with pytest.raises(ValueError, match=r"does not know '\\\\unknown'"):
        formulas.mathml(r"x + \unknown", "inline")


def test_what_a_formula_says_cannot_become_markup():
    made = formulas.mathml("a < b > c <script>", "block")
    assert "script" not in names(made)
