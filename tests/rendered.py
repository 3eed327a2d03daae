"""Pages as readers get them: Markdown made into HTML as the site does, and taken apart."""

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import markdown
from mkdocs.utils.yaml import yaml_load

from effcc.report import formulas

# One of each kind, for whole cards; the others are variations.
WORST = (
    "<script>alert(1)</script>",
    "</td></tr></table><b>out</b>",
    "<!-- comment",
    "--> <b>out</b>",
    "-- > <b>out</b>",
    "[x](javascript:alert(1)) <javascript:alert(1)>",
    "{{ 7 * 7 }} {% raw %} {# x #}",
    "{: onclick=alert(1) .x #y }",
    "`code` | **bold** || _em_",
    "quotes \" and ' and \\",
    "# two\n- lines",
    '??? danger "x"',
)
HOSTILE = (
    *WORST,
    "<img src=x onerror=alert(1)>",
    "<div>",
    "--!> <b>out</b>",
    "<?php x ?>",
    "<![CDATA[x]]>",
    "&lt;b&gt; &amp; &#60;",
    "**bold** _em_ __strong__ *em*",
    "`code` and ``more``",
    "a | b || c",
    "[x](javascript:alert(1))",
    "![x](https://e.org/x.png)",
    "[x]: javascript:alert(1)",
    "<javascript:alert(1)> <https://e.org>",
    "x {: .y }",
    "# heading",
    "- item",
    "+ item",
    "* item",
    "1. item",
    "> quote",
    "--- | ---",
    "---",
    "===",
    "***",
    "??? danger",
    "???+ note",
    '!!! note "x"',
    '=== "tab"',
    "~~~ text",
    "``` text",
    "~~gone~~ ^^new^^ ==marked==",
    "$x$ \\(y\\) \\* \\_",
    "$`x^2`$ ```math",
    "[TOC]",
    "[^1] and [^1]: note",
    ":smile: @user #1",
    ": definition",
    "*[HTML]: abbreviation",
    "    four spaces",
    "\ttab",
)


class Page(HTMLParser):
    """The elements of a page with their attributes, its comments, links and text."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.comments, self.links, self.words = [], [], [], []
        self.feed(html)
        self.close()

    @property
    def text(self):
        return " ".join("".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        # The id of a heading follows its words.
        kept = [(key, value) for key, value in attrs if key not in ("id", "href")]
        self.elements.append((tag, tuple(kept)))
        self.links += [value for key, value in attrs if key == "href"]

    def handle_comment(self, data):
        self.comments.append(data)

    def handle_data(self, data):
        self.words.append(data)

    def handle_decl(self, decl):
        self.elements.append(("!", decl))

    unknown_decl = handle_pi = handle_decl


def legible(text):
    """A page's text with its HTML tables written as its Markdown ones are."""
    text = re.sub(r"<code>(.*?)</code>", r"`\1`", text)
    text = re.sub(r'<a href="([^"]*)">(.*?)</a>', r"[\2](\1)", text)
    text = re.sub(r"^<tr><t[dh]>(.*)</t[dh]></tr>$", r"| \1 |", text, flags=re.MULTILINE)
    return re.sub(r"</t[dh]><t[dh]>", " | ", text)


def to_html(text):
    """Markdown as the site renders it; the front matter is not part of it."""
    return renderer().reset().convert(text)


@cache
def renderer():
    with (Path(__file__).resolve().parents[1] / "mkdocs.yml").open("rb") as file:
        config = yaml_load(file)
    options = {"toc": {}, "tables": {}, "fenced_code": {}}
    for extension in config["markdown_extensions"]:
        options |= extension if isinstance(extension, dict) else {extension: {}}
    options["toc"] = {**options["toc"], "permalink": False}
    options["pymdownx.superfences"] = {"custom_fences": [formulas.fence()]}
    extensions = [*options, formulas.Formulas()]
    return markdown.Markdown(extensions=extensions, extension_configs=options)
