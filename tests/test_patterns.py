"""One pattern stands for many names."""

import time

import pytest

from effcc.sources.decode import MissingData
from effcc.sources.patterns import expand, matches


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("train.tar", ["train.tar"]),
        ("t-{008..011}.tar", ["t-008.tar", "t-009.tar", "t-010.tar", "t-011.tar"]),
        ("{9..10}", ["9", "10"]),
        ("{a,b}-{0..1}", ["a-0", "a-1", "b-0", "b-1"]),
        ("{}{a}", ["{}{a}"]),
        (f"{{1..{'9' * 5000}}}", [f"{{1..{'9' * 5000}}}"]),
    ],
)
def test_a_pattern_is_expanded_as_a_shell_does(pattern, names):
    assert list(expand(pattern)) == names


def test_in_a_command_only_ranges_are_expanded():
    command = "curl x-{0..1} | awk '{print $1,$2}'"
    assert list(expand(command, lists=False)) == [command.replace("{0..1}", n) for n in "01"]


@pytest.mark.parametrize("pattern", ["{5..1}", "{0..999999999999}"])
def test_a_range_that_cannot_be_meant_is_said(pattern):
    with pytest.raises(MissingData, match="stands for no names, or too many"):
        list(expand(pattern))


@pytest.mark.parametrize("pattern", ["{0..99999}{0..1}", "{1,2}" * 40, "a{,}{./,.//}" * 20])
def test_patterns_that_multiply_are_given_up(pattern):
    before = time.process_time()
    with pytest.raises(MissingData, match="more than 100,000 names"):
        list(expand(pattern))
    assert time.process_time() - before < 2


def test_a_name_is_looked_for_in_one_folder_after_the_other(tmp_path, monkeypatch):
    root, here = tmp_path / "ro[o]t", tmp_path / "here"
    for path in (root / "a-2.tar", root / "a-1.tar", here / "a-3.tar", root / "[b].tar"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert matches("a-*.tar", root, here) == [root / "a-1.tar", root / "a-2.tar"]
    assert matches("a-3.tar", root, here) == [here / "a-3.tar"]
    assert matches("a-3.tar", root) == []
    assert matches(str(here / "*.tar"), root) == [here / "a-3.tar"]
    assert matches("[b].tar", root) == [root / "[b].tar"]
    assert matches("b.tar", root) == []
    monkeypatch.setenv("HOME", str(here))
    assert matches("~/a-3.tar", root) == [here / "a-3.tar"]
