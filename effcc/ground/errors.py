"""Mistakes that the person at the keyboard can mend: shown as a line, never as a traceback."""

from __future__ import annotations

from typing import NamedTuple

from effcc.ground.words import in_a_line, printable

COMMAND_LINE = "command line"  # the file of what was typed there


class UserError(ValueError):
    """Bad input: the message says what to do, `exit_code` is what the command ends with."""

    exit_code = 3

    def __str__(self) -> str:
        return printable(super().__str__())


class UsageError(UserError):
    """A command that was typed wrong."""

    exit_code = 2


class Place(NamedTuple):
    """A position in a file, counted from 1; line 0 is the whole file, or a command line."""

    file: str
    line: int = 0
    col: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}" if self.line else self.file

    @property
    def short(self) -> str:
        """`file:line`, as a card prints it."""
        return f"{self.file}:{self.line}" if self.line else self.file


class Problem(NamedTuple):
    """Something wrong in a file, in words that say what to write instead.

    `code` names the rule of model-index files that it breaks, see `rules`; `mend` is the text that
    stands there and the text to put in its stead, where that needs no thought.
    """

    place: Place
    key: str
    message: str
    code: str = ""
    mend: tuple[str, str] | None = None

    def __str__(self) -> str:
        said = f"{self.key}: {self.message}" if self.key else self.message
        return in_a_line(f"{self.place}: {said}")


class BadFile(UserError):
    """A file, or a command line, that cannot be used, with every problem found in it."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))
        if all(problem.place.file == COMMAND_LINE for problem in problems):
            self.exit_code = UsageError.exit_code

    def __reduce__(self) -> tuple[type[BadFile], tuple[Problem, ...]]:
        return type(self), self.problems
