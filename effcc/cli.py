"""The door: `effcc VERB`. A verb resolves its files, calls a room below, and prints."""

from __future__ import annotations

import errno
import io
import os
import shlex
import sys
from collections.abc import Sequence

from effcc import (
    audits,
    bridges,
    checks,
    exchange,
    ledger,
    measures,
    options,
    reads,
    reproduction,
    routes,
    runs,
    terminal,
    verdicts,
)
from effcc.ground.errors import UserError
from effcc.train import process


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code, as docs/commands.md lists them."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that has fewer letters than a name
            stream.reconfigure(errors="backslashreplace")
    words, settings = options.parted(arguments)
    parser = options.parser(VERBS, words)
    args, rest = parser.parse_known_args(words)
    args.command = shlex.join(["effcc", *arguments])
    args.verbs = VERBS  # what the page of commands is about
    try:
        args.flags = options.flags(args.verb, [*settings, *rest])
        if getattr(args, "seed", None) is not None:
            args.flags["seed"] = args.seed
        return args.run(args)
    except UserError as error:
        process.complain(error)
        return error.exit_code
    except BrokenPipeError:  # `effcc list | head`: the reader has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if _is_in_cache(error.filename):
            named = os.environ["EFFCC_CACHE"]
            terminal.say(f"EFFCC_CACHE={named}: {error.strerror}; name another folder", error=True)
            return 2
        if isinstance(error, FileNotFoundError) and not error.filename and not _is_somewhere():
            terminal.say("the folder that you are in is gone; go to another", error=True)
            return 2
        if error.errno not in _NOT_OURS:
            raise
        terminal.say(
            f"{error.filename or 'a file'}: {error.strerror}; nothing was left half-written: "
            f"{_NOT_OURS[error.errno]}, and give the command again",
            error=True,
        )
        return 3
    except (KeyboardInterrupt, SystemExit):  # the second is how Lightning ends on Ctrl-C
        terminal.say("stopped", error=True)
        return 130


# Failures to write that somebody else can mend, and how.
_NOT_OURS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "make the folder writable"),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR), "name another place"),
    errno.EEXIST: "name another place",  # of a folder, where a file stands
}


def _is_in_cache(file: object) -> bool:
    """Whether a file that fails is in the folder that somebody named for the cache."""
    named = os.environ.get("EFFCC_CACHE")
    return bool(named) and str(file).startswith(os.path.expanduser(named or ""))


def _is_somewhere() -> bool:
    """Whether the working folder is there: it may have been deleted since somebody entered it."""
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False


VERBS = {
    "fit": runs.fit,
    "validate": runs.validate,
    "test": runs.test,
    "predict": runs.predict,
    "bench": measures.bench,
    "routing": routes.routing,
    "export": exchange.export,
    "weights": exchange.weights,
    "results": ledger.results,
    "reproduce": reproduction.reproduce,
    "list": reads.list_,
    "show": reads.show,
    "check": checks.check,
    "audit": audits.audit,
    "verify": verdicts.verify,
    "new": reads.new,
    "docs": reads.docs,
    "shards": exchange.shards,
    "convert": bridges.convert,
}
