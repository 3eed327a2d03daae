"""A mend changes what it says and not a byte besides."""

import pytest

from effcc.claims import mend, modelindex


def mends(path):
    return modelindex.check([path], path.parent).problems


PAGE = """\
---
title: x   # kept
---
# Title  

<!-- Type: model-index
Models:   # a list
- Name: a
  metadata:
    LR:    1e-5   # a rate
    epochs: 5
    Training Data: no
    interpolation:  Bicubic
  Paper: {Title: 'x',   URL: https://a.org}
-->
after\t
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_everything_but_what_is_mended_stays_as_it_was(tmp_path, end, mark):
    path = tmp_path / "page.md"
    path.write_bytes(mark + PAGE.replace("\n", end).encode())
    assert mend.file(path, mends(path)) == 6
    expected = (
        PAGE.replace("metadata:", "Metadata:")
        .replace("1e-5", "1.0e-5")
        .replace("epochs:", "Epochs:")
        .replace("Data: no", "Data: 'no'")
        .replace("interpolation:", "Interpolation:")
        .replace("Bicubic", "bicubic")
    )
    assert path.read_bytes() == mark + expected.replace("\n", end).encode()
    assert mends(path) == []


def test_a_value_that_needs_quotes_to_be_yaml_gets_them(tmp_path):
    path = tmp_path / "a.yml"
    path.write_text(
        "Models:\n- Name: a\n  Paper:\n    Title: CondConv: it's  # one\n    URL: https://a.org\n"
        "  README: b: c\n"
    )
    for _ in range(2):  # the first hides the second
        assert mend.file(path, mends(path)) == 1
    assert path.read_text() == (
        "Models:\n- Name: a\n  Paper:\n    Title: 'CondConv: it''s'  # one\n    URL: https://a.org\n"
        "  README: 'b: c'\n"
    )
    (claim,) = modelindex.load_file(path, tmp_path)
    assert claim.papers[0].title == "CondConv: it's"


def test_a_mend_whose_text_is_gone_is_left_out(tmp_path):
    path = tmp_path / "a.yml"
    path.write_text("Models:\n- Name: a\n  metadata: {LR: 1e-5}\n")
    problems = mends(path)
    changed, done = mend.mended("Models:\n- Name: a\n  Metadata: {LR: 1e-5}\n", problems)
    assert (changed, done) == ("Models:\n- Name: a\n  Metadata: {LR: 1.0e-5}\n", 1)


def test_nothing_to_mend_is_nothing_written(tmp_path):
    path = tmp_path / "a.yml"
    path.write_text("Models: [{Name: a}]\n")
    before = path.stat()
    assert mend.file(path, mends(path)) == 0
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino
