"""Formulas of the site: LaTeX in the sources, MathML in the pages, made when the site is built.

Browsers draw MathML themselves, screen readers read it, and no script is needed. The sources keep
the two forms that code hosts show too: a fence called `math`, and a dollar before and after code,
$`x_e`$. An engine that knows neither shows the LaTeX as code.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree.ElementTree import fromstring

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor

# Before backticks (190), which would take what stands between them for code. Code is met on the
# way, and passed by: it may be about formulas, or end in a dollar.
_BEFORE_CODE = 195
_CODE_OR_FORMULA = r"(?:(?<![`\\])(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))|\$`([^`\n]+)`\$"


class Formulas(Extension):
    """Python-Markdown's way to formulas inside a line."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Register the form inside a line."""
        md.inlinePatterns.register(_Inline(_CODE_OR_FORMULA, md), "formula", _BEFORE_CODE)


def fence() -> dict[str, Any]:
    """The fence called `math`, as pymdownx.superfences takes one."""
    return {"name": "math", "class": "formula", "format": _block}


def mathml(latex: str, display: str) -> str:
    """A formula as MathML; `display` is `block` or `inline`.

    Raises:
        ValueError: it holds a command that the converter does not know.
        SyntaxError: what came out is no XML.
    """
    made = convert(latex.strip(), display=display)
    if unknown := re.search(r"\\\w*", "".join(fromstring(made).itertext())):
        raise ValueError(f"{latex.strip()!r}: the converter does not know {unknown[0]!r}")
    return made


class _Inline(InlineProcessor):
    def handleMatch(
        self, m: re.Match[str], data: str
    ) -> tuple[str, int, int] | tuple[None, None, None]:
        if m[2] is None:
            return None, None, None
        return self.md.htmlStash.store(mathml(m[2], "inline")), m.start(0), m.end(0)


def _block(source: str, *_: Any, **__: Any) -> str:
    return f'<div class="formula">{mathml(source, "block")}</div>'
