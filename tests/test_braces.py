"""One pattern stands for many names."""

import pytest

from effcc.data.braces import expand
from effcc.data.decode import MissingData


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("train.tar", ["train.tar"]),
        ("t-{008..011}.tar", ["t-008.tar", "t-009.tar", "t-010.tar", "t-011.tar"]),
        ("{9..10}", ["9", "10"]),
        ("{a,b}-{0..1}", ["a-0", "a-1", "b-0", "b-1"]),
        ("{}{a}", ["{}{a}"]),
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
