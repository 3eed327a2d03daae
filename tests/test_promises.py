"""The page of promises names tests that exist."""

import re

from conftest import ROOT

PAGE = (ROOT / "docs" / "promises.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if re.match(r"\| (?!promise \|)\S", line)]


def test_every_promise_names_what_proves_it():
    assert ROWS
    for row in ROWS:
        promise, proof, figure = (cell.strip() for cell in row.strip("|").split(" | "))
        assert promise, row
        assert figure, row
        assert re.search(r"`(?:tests|benchmarks)/\w[\w/]*\.py", proof), row


def test_every_test_that_is_named_exists():
    for path, name in re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)(?:::(\w+))?`", PAGE):
        text = (ROOT / path).read_text("utf-8")
        assert not name or re.search(rf"^def {name}\(", text, re.MULTILINE), f"{path}::{name}"


def test_a_test_that_is_slow_is_called_slow():
    """A reader who copies the name would else be told that nothing was run."""
    for row in ROWS:
        for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row):
            text = (ROOT / path).read_text("utf-8")
            above = re.search(
                rf"((?:^@.*\n|^    .*\n|^[)\]].*\n)*)^def {name}\(", text, re.MULTILINE
            )
            assert above, f"{path}::{name}"
            if "mark.slow" in above[1]:
                assert "*slow*" in row, f"{path}::{name}"
