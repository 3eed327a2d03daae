"""Mistakes that the person at the keyboard can mend: shown as a line, never as a traceback."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input: the message says what to do, `exit_code` is what the command ends with."""

    exit_code = 3


class UsageError(UserError):
    """A command that was typed wrong."""

    exit_code = 2
