"""Nothing that a file says becomes markup on a page."""

from html import unescape

import markdown
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup
from rendered import HOSTILE, Page, to_html

from effcc.report.markdown import code, data, escape, fence, link, mark, prose

PLAIN = "just some words"
# Where a page puts text: alone, amid lines, in a heading, after a word, in a table, in an item.
INLINE = "Word {0} word.\n\n| h | h |\n|---|---|\n| {0} | b |\n\n- item {0}\n\nend"
FRAME = "{0}\n\na\n{0}\nb\n\n# {0}\n\n" + INLINE


def same_as_plain(make, text, frame):
    """Whether the page has the elements that it has with plain words, and reads as the text."""
    hostile, plain = (Page(to_html(frame.format(make(t)))) for t in (text, PLAIN))
    assert hostile.elements == plain.elements
    expected = plain.text.replace(PLAIN, " ".join(text.split()))
    assert hostile.text == " ".join(expected.split())


@pytest.mark.parametrize("text", HOSTILE)
def test_escaped_text_reads_as_it_was_written(text):
    same_as_plain(escape, text, FRAME)


@pytest.mark.parametrize("text", HOSTILE)
def test_text_in_code_type_reads_as_it_was_written(text):
    same_as_plain(code, text, INLINE)


@pytest.mark.parametrize("text", HOSTILE)
def test_the_text_of_a_link_reads_as_it_was_written(text):
    same_as_plain(lambda t: link(t, "https://example.org/"), text, "See {} there.")


@pytest.mark.parametrize("text", HOSTILE)
def test_the_text_of_a_figure_reads_as_it_was_written(text):
    same_as_plain(lambda t: data(t, 0.5, top5=1.0), text, INLINE)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))
def test_the_number_of_a_figure_is_the_same_when_read_again(number):
    (_, (attributes,)) = Page(to_html(data("about that", number, top5=None))).elements[-1]
    assert attributes[0] == "value"
    assert float(attributes[1]) == number


@settings(max_examples=60, deadline=None)
@given(
    st.text(
        alphabet=st.sampled_from("ab1 <>&\"'`*_[]()|\\~${}!#-+=:.?^/@%\n"), min_size=1, max_size=20
    )
)
def test_any_text_reads_as_it_was_written(text):
    if text.strip():
        same_as_plain(escape, text, "Word {} word.")
        same_as_plain(escape, text, "{}")


@pytest.mark.parametrize(
    "text", ["1,234", "77.32%", "13310000", "1e-05", "-0.5", "0.08 to 1", "b_0"]
)
def test_a_figure_is_left_readable_in_the_source(text):
    assert escape(text) == text


def test_markup_of_our_own_passes_unchanged():
    assert escape(Markup("**x**")) == "**x**"
    assert escape(mark("claimed")) == '<span class="mark claimed">claimed</span>'


@pytest.mark.parametrize(
    "url",
    [
        *("javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "file:///etc/passwd"),
        *("", "//e.org", "https://e.org/ x", "https://e.org/a)b", "https://e.org/[x]"),
        *("https://e.org/\n", "https://e.org/`", 'https://e.org/"onclick="x', "https://e.org/<b>"),
        *("https://e.org/{{x}}", "https://e.org/|", None),
    ],
)
def test_what_is_no_plain_address_is_no_link(url):
    page = Page(to_html(str(link("word", url))))
    assert page.elements == Page(to_html("word")).elements
    assert page.text == "word"


@pytest.mark.parametrize(
    "url",
    [
        "https://arxiv.org/abs/1904.04971",
        "http://e.org/a_b_*c*~d~?x=1&y=2#f",
        "https://e.org/__a__",
    ],
)
def test_a_plain_address_is_a_link_to_exactly_that(url):
    (href,) = Page(to_html(str(link("word", url)))).links
    assert unescape(href) == url


@pytest.mark.parametrize(
    "text", [*HOSTILE, "```\nout\n```", "~~~\n````\n<b>", "@misc{a,\n  b = {c}\n}"]
)
def test_a_code_block_is_closed_by_its_end_only(text):
    source = f"{fence(text, 'text')}\n\nafter\n"
    page = Page(markdown.markdown(source, extensions=["fenced_code"]))
    assert [tag for tag, _ in page.elements] == ["pre", "code", "p"]
    assert page.text == " ".join(f"{text} after".split())


@pytest.mark.parametrize("make", [escape, code])
@pytest.mark.parametrize("text", HOSTILE)
def test_what_follows_a_text_is_as_it_was(make, text):
    rest = '\n\n<figure markdown="0"><svg></svg></figure>\n\n## Next\n\n<!--\nlast\n-->\n'
    hostile, plain = (Page(to_html(f"{make(t)} {mark('computed')}{rest}")) for t in (text, PLAIN))
    assert (hostile.elements, hostile.comments) == (plain.elements, plain.comments)


@pytest.mark.parametrize("text", [text for text in HOSTILE if "`" not in text])
def test_prose_is_plain_text_but_for_code_between_backticks(text):
    made = Page(to_html(f"A {prose(f'{text} and `{text}` end')}."))
    assert [name for name, _ in made.elements] == ["p", "code"]
    words = " ".join(text.split())
    assert made.text == f"A {words} and {words} end."
