"""Questions about variants, as people type them and links carry them: rows, or a BadQuery."""

import variants
from fuzz import shapes as of
from hypothesis import strategies as st
from questions import ASKED, SORTS, WRONG

from effcc.catalog import query

ROWS = variants.rows(40)
LONGEST = 1200
_OPERATORS = (">", "<", ">=", "<=", "=", "!=", ":", "-", "!", '"', " ", "\u00a0", "%", "M", "ms")
_NUMBERS = ("8", "78", "0.5", "1e9", "1e308", "1e999999999", "-3", "13,314,116", ".", "e5", "٣")
PIECES = (*query.FIELDS, *query.ALIASES, *_OPERATORS, *_NUMBERS, "ImageNet", "İ", "ß", "\ud800")
TOKENS = tuple(piece.encode("utf-8", "surrogatepass") for piece in PIECES)


def seeds():
    """Questions that a test knows the answers or problems of, and figures to sort by."""
    return [text.encode("utf-8", "surrogatepass") for text in (*ASKED, *WRONG)] + [
        b"top1>78\n" + field.encode() for field in SORTS
    ]


def shapes():
    """Pieces that questions are made of."""
    text = st.lists(st.sampled_from(PIECES) | of.words, max_size=14).map("".join)
    return text.map(lambda words: words.encode("utf-8", "surrogatepass"))


def run(data, folder):
    """A question, and behind a line's end the figure to sort by."""
    text, _, field = data.decode("utf-8", "surrogateescape").partition("\n")
    found = query.select(ROWS, text)
    assert [row for row in ROWS if row in found] == found
    turned = query.parse(text)
    assert all(turned.matches(row) == (row in found) for row in ROWS)
    if field:
        ordered = query.ordered(ROWS, field)
        assert sorted(row.name for row in ordered) == sorted(row.name for row in ROWS)
