"""A question about variants, `top1>78 macs<500M experts=8`, as a predicate over their rows.

Whatever is typed or comes in a link is parsed once, into terms, or refused with every problem at
its column. docs/assets/query.js reads the same language in the browser; a test holds both equal.

All terms have to be met. Those about accuracies are about results, of which a variant may have
several: `dataset:` says which count, and within one kind (`top1`, `claimed.top1`, ...) all terms
have to be met by one and the same result. A minus in front turns a term: it asks for the variants
that, as regards those results, do not meet it. What nobody claimed or measured meets no term.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from effcc.catalog.rows import Result, Row
from effcc.ground.errors import COMMAND_LINE, BadFile, Place, Problem, UsageError
from effcc.ground.words import closest

MAX_LENGTH = 1000
TEXT, COUNT, PERCENT, MS, PIXELS = "text", "count", "percent", "ms", "pixels"


class BadQuery(BadFile):
    """A query that cannot be read, with every problem found in it."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.exit_code = UsageError.exit_code


@dataclass(frozen=True, slots=True)
class Field:
    """What a term may ask about."""

    unit: str
    about: str
    of_row: Callable[[Row], float | str | None] | None = None
    of_result: Callable[[Result], float | str | None] | None = None
    kind: str = ""  # of the results that count: claimed, measured, or either


FIELDS: Mapping[str, Field] = {
    "name": Field(TEXT, "the variant's name", lambda row: row.name),
    "summary": Field(TEXT, "what its file says of it", lambda row: row.summary),
    "experts": Field(COUNT, "experts of a conditional layer", lambda row: row.experts),
    "pixels": Field(PIXELS, "side of the image", lambda row: row.pixels),
    "params": Field(COUNT, "parameters, computed", lambda row: row.params),
    "macs": Field(COUNT, "multiply-accumulates of an image, computed", lambda row: row.macs),
    "latency": Field(
        MS,
        "milliseconds for one image, measured, by the fastest engine",
        lambda row: row.latency and row.latency.seconds,
    ),
    "top1": Field(PERCENT, "top-1, claimed or measured", None, lambda result: result.top1),
    "top5": Field(PERCENT, "top-5, claimed or measured", None, lambda result: result.top5),
    "dataset": Field(TEXT, "which results count", None, lambda result: result.dataset),
    "claimed.top1": Field(PERCENT, "top-1, claimed", None, lambda of: of.top1, "claimed"),
    "claimed.top5": Field(PERCENT, "top-5, claimed", None, lambda of: of.top5, "claimed"),
    "claimed.params": Field(COUNT, "parameters, claimed", lambda row: row.claimed_params),
    "claimed.flops": Field(COUNT, "what is claimed as FLOPs", lambda row: row.claimed_flops),
    "measured.top1": Field(PERCENT, "top-1, measured", None, lambda of: of.top1, "measured"),
    "measured.top5": Field(PERCENT, "top-5, measured", None, lambda of: of.top5, "measured"),
}
# Other names of fields that have only one kind.
ALIASES = {
    "computed.params": "params",
    "computed.macs": "macs",
    "measured.latency": "latency",
}


@dataclass(frozen=True, slots=True)
class Term:
    """A condition on one value: text against `text`, a number against what was written.

    `low` to `high` is all that rounds to the number as it was written: 13.3M is 13.25 to 13.35.
    `=` takes it, `!=` does not, and `<=` and `>=` take it in: `<=` is `<` or `=`.
    """

    field: str  # empty for a bare word, which name or summary may hold
    operator: str
    text: str = ""
    number: float = 0
    low: float = 0
    high: float = 0

    def met_by(self, value: float | str | None) -> bool:
        """Whether a value meets it; one that nobody stated does not."""
        if value is None:
            return False
        if isinstance(value, str):
            here = value.lower()
            return self.text in here if self.operator == ":" else _TEXT[self.operator](self, here)
        return _NUMBER[self.operator](self, value)


@dataclass(frozen=True, slots=True)
class Query:
    """Terms in groups: one value of a row, or one result, has to meet all terms of a group."""

    datasets: tuple[Term, ...] = ()
    groups: tuple[tuple[Term, ...], ...] = ()
    turned: tuple[Term, ...] = ()  # that must not be met

    def matches(self, row: Row) -> bool:
        """Whether a variant is asked for."""
        counting = [r for r in row.results if all(t.met_by(r.dataset) for t in self.datasets)]
        if self.datasets and not counting:
            return False
        return all(_met(group, row, counting) for group in self.groups) and not any(
            _met((term,), row, counting) for term in self.turned
        )


def select(rows: Iterable[Row], text: str) -> list[Row]:
    """The rows that a query asks for, in their order.

    Raises:
        BadQuery: it cannot be read; all problems, each with its column.
    """
    query = parse(text)
    return [row for row in rows if query.matches(row)]


def parse(text: str) -> Query:
    """A query from what somebody typed.

    Raises:
        BadQuery: it cannot be read; all problems, each with its column.
    """
    if len(text) > MAX_LENGTH:
        raise BadQuery(_problem(0, "", f"longer than {MAX_LENGTH:,} characters; shorten it"))
    problems: list[Problem] = []
    plain: list[Term] = []
    turned: list[Term] = []
    for written in _written(text):
        term = _term(written)
        if isinstance(term, Problem):
            problems.append(term)
        else:
            (turned if written.minus else plain).append(term)
    if problems:
        raise BadQuery(*problems)
    about_results = [term for term in plain if _about_results(term)]
    groups: list[tuple[Term, ...]] = [(term,) for term in plain if not _about_results(term)]
    for kind in ("", "claimed", "measured"):
        of_kind = (t for t in about_results if FIELDS[t.field].kind == kind)
        groups.append(tuple(term for term in of_kind if term.field != "dataset"))
    datasets = tuple(term for term in about_results if term.field == "dataset")
    return Query(datasets, tuple(filter(None, groups)), tuple(turned))


def ordered(rows: Iterable[Row], field: str) -> list[Row]:
    """Rows by a figure, or by name; `-params` from the largest down, unknown ones last.

    Of several results the best counts.

    Raises:
        UsageError: there is no such figure.
    """
    down, name = field.startswith("-"), field.removeprefix("-")
    key = ALIASES.get(name, name)
    if key not in FIELDS or (FIELDS[key].unit == TEXT and key != "name"):
        known = [name for name, of in FIELDS.items() if of.unit != TEXT or name == "name"]
        shown = name if _FIELD.fullmatch(name) else ""
        raise UsageError(f"{COMMAND_LINE}: --sort: no such figure{_nearest(shown, known)}")
    known_first: list[tuple[float | str, Row]] = []
    unknown: list[Row] = []
    for row in rows:
        found = [v for v in _values(key, row, row.results) if v is not None]
        if found:
            known_first.append((max(found), row))
        else:
            unknown.append(row)
    known_first.sort(key=lambda pair: pair[0], reverse=down)
    return [*(row for _, row in known_first), *unknown]


# What stands in a query: blanks as they are typed and pasted, one term after the other.
_BLANK = " \t\r\n\u00a0"
_TERM = re.compile(
    rf"""(?P<minus>-?)
    (?: "(?P<quoted>[^"]*)(?P<end>"?)
      | (?P<word>(?: [^{_BLANK}"<>=:!] | !(?!=) )*)
        (?: [{_BLANK}]* (?P<operator>!=|<=|>=|[<>=:]) [{_BLANK}]*
            (?: "(?P<inner>[^"]*)(?P<inner_end>"?) | (?P<value>[^{_BLANK}"]*) ) )?
    )""",
    re.VERBOSE,
)
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,39}")
_DIGITS = re.compile(
    r"""([-+]?) ([0-9]{1,3}(?:,[0-9]{3})+ | [0-9]*) (?:\.([0-9]*))? (?:e([-+]?[0-9]{1,2}))?
    (k|m|g|b|t|%|ms|px|)""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# By unit: the power of ten of what may stand behind a number, and how numbers may look.
_SUFFIXES = {
    COUNT: ({"": 0, "k": 3, "m": 6, "g": 9, "b": 9, "t": 12}, "20000000, 20M or 2e7"),
    PERCENT: ({"": -2, "%": -2}, "78, 78.5 or 78%"),
    MS: ({"": -3, "ms": -3}, "20, 9.5 or 20ms"),
    PIXELS: ({"": 0, "px": 0}, "224 or 224px"),
}
_TEXT: Mapping[str, Callable[[Term, str], bool]] = {
    "=": lambda term, here: here == term.text,
    "!=": lambda term, here: here != term.text,
}
_NUMBER: Mapping[str, Callable[[Term, float], bool]] = {
    "<": lambda term, here: here < term.number,
    ">": lambda term, here: here > term.number,
    "<=": lambda term, here: here <= term.high,  # all that = takes too
    ">=": lambda term, here: here >= term.low,
    "=": lambda term, here: term.low <= here <= term.high,
    ":": lambda term, here: term.low <= here <= term.high,
    "!=": lambda term, here: not term.low <= here <= term.high,
}


@dataclass(frozen=True, slots=True)
class _Written:
    """A term as it stands in the text; positions count from 0."""

    at: int
    minus: bool
    word: str
    operator: str
    value: str | None  # of a comparison; None if nothing follows
    value_at: int
    closed: bool


def _written(text: str) -> Iterator[_Written]:
    at = 0
    while at < len(text):
        if text[at] in _BLANK:
            at += 1
            continue
        match = _TERM.match(text, at)
        assert match  # it matches anything, at least a word that is empty
        quoted, inner = match["quoted"], match["inner"]
        yield _Written(
            at=at,
            minus=bool(match["minus"]),
            word=match["word"] or "" if quoted is None else quoted,
            operator=match["operator"] or ("" if quoted is None else '"'),
            value=inner if inner is not None else match["value"] or None,
            value_at=match.start("inner") - 1 if inner is not None else match.start("value"),
            closed=match["end"] != "" and match["inner_end"] != "",
        )
        at = match.end()


def _term(written: _Written) -> Term | Problem:
    """A term, or what is wrong with it."""
    at = written.at + written.minus
    if not written.closed:
        place = at if written.operator == '"' else written.value_at
        return _problem(place, "", "the quote that begins here does not end")
    if written.operator in ("", '"'):
        if not written.word and not written.operator:
            return _problem(written.at, "", "a term has to follow the minus")
        return Term("", ":", written.word.lower())
    if not written.word:
        message = (
            f"a field has to stand before {written.operator}; to look for it, put it in quotes"
        )
        return _problem(at, "", message)
    key = ALIASES.get(written.word, written.word)
    if key not in FIELDS:
        shown = written.word if _FIELD.fullmatch(written.word) else ""
        return _problem(at, shown, f"no such field{_nearest(shown, FIELDS)}")
    if written.value is None:
        return _problem(at, written.word, f"a value has to follow {written.operator}")
    if FIELDS[key].unit != TEXT:
        return _number(written, key)
    if written.operator in ("<", ">", "<=", ">="):
        return _problem(at, written.word, "words have no order; use :, = or !=")
    return Term(key, written.operator, written.value.lower())


def _number(written: _Written, key: str) -> Term | Problem:
    assert written.value is not None
    unit = FIELDS[key].unit
    powers, examples = _SUFFIXES[unit]
    match = _DIGITS.fullmatch(written.value)
    digits = match and (match[2] or "") + (match[3] or "")
    if not match or not digits or match[5].lower() not in powers:
        return _problem(written.value_at, written.word, f"no number here; write it as {examples}")
    sign, decimals, suffix = match[1], len(match[3] or ""), match[5].lower()
    power = powers[suffix] + int(match[4] or 0) - decimals
    number = float(f"{sign}{digits.replace(',', '')}e{power}")
    half = float(f"5e{power - 1}")
    if not (math.isfinite(number) and math.isfinite(half)):
        return _problem(written.value_at, written.word, "no number that large; shorten it")
    if unit == PERCENT and suffix != "%" and 0 < number < 0.01:
        message = "accuracies are in percent: write 78, or put % behind it if that little is meant"
        return _problem(written.value_at, written.word, message)
    return Term(key, written.operator, "", number, number - half, number + half)


def _problem(at: int, key: str, message: str) -> Problem:
    return Problem(Place("query", 1, at + 1), key, message)


def _nearest(word: str, known: Iterable[str]) -> str:
    return closest(word, known) or f"; there are: {', '.join(known)}"


def _about_results(term: Term) -> bool:
    return bool(term.field) and FIELDS[term.field].of_result is not None


def _met(group: Sequence[Term], row: Row, results: Sequence[Result]) -> bool:
    """Whether one value of the row meets all terms of a group."""
    if not _about_results(group[0]):
        (term,) = group
        return any(term.met_by(value) for value in _values(term.field, row, results))
    kind = FIELDS[group[0].field].kind
    return any(
        all(term.met_by(_of_result(term.field, result)) for term in group)
        for result in results
        if kind in ("", result.kind)
    )


def _values(field: str, row: Row, results: Iterable[Result]) -> Iterator[float | str | None]:
    """All that a field says of a row; of results, those of its kind."""
    if not field:
        yield from (row.name, row.summary)
        return
    of = FIELDS[field]
    if of.of_row:
        yield of.of_row(row)
    else:
        yield from (_of_result(field, r) for r in results if of.kind in ("", r.kind))


def _of_result(field: str, result: Result) -> float | str | None:
    read = FIELDS[field].of_result
    assert read
    return read(result)
