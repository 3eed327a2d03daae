"""What every answer to an input is held against."""

import re

from effcc.ground.errors import BadFile

# What ends a line, moves or colours a terminal, or turns the reading direction.
MOVES = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def told(error):
    """An error that a person can use: each problem in words on one line."""
    lines = map(str, error.problems) if isinstance(error, BadFile) else str(error).split("\n")
    problems(lines)


def problems(found):
    """Problems, or lines, in words that a terminal prints as they are."""
    for line in map(str, found):
        assert line.strip(), "a problem without a word"
        printed(line)


def printed(line):
    """A line that a terminal prints as it is."""
    moves = MOVES.search(line)
    assert not moves, f"{moves[0]!r} in {line!r:.300}"
