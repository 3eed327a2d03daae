"""YAML text to nodes, and nodes to data: the only place where YAML is parsed.

Strict where leniency would hide a mistake: a key given twice, an unknown tag, a tab, a NUL are
problems with a place. Numbers follow YAML 1.2 (`1e-5` is a number, `no` is a word). The parser is
libyaml's; its nodes know their places.
"""

from __future__ import annotations

import functools
import math
import re
from typing import TYPE_CHECKING, Any

import yaml
from yaml import MappingNode, ScalarNode, SequenceNode

from effcc.ground.errors import BadFile, Place, Problem
from effcc.ground.page import place_of

if TYPE_CHECKING:
    from yaml import SafeLoader as _Loader
else:  # without libyaml a tenth as fast
    _Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

KeyPath = tuple[str | int, ...]
Pairs = dict[str, tuple[Any, Any]]  # of a mapping: by key, the nodes of the key and of the value

# Far above any real card, far below what makes a machine swap: bounds on hostile files.
MAX_NODES = 200_000
MAX_DEPTH = 60
MAX_DIGITS = 400
MAX_LINE = 2000  # characters that a mend is offered for

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[Any, str] = {
    None: " ~ null Null NULL",
    True: "true True TRUE",
    False: "false False FALSE",
    math.inf: ".inf .Inf .INF +.inf +.Inf +.INF",
    -math.inf: "-.inf -.Inf -.INF",
    math.nan: ".nan .NaN .NAN",
}
_CONSTANTS = {word: value for value, words in _WORDS.items() for word in words.split(" ")}
_CORE = "tag:yaml.org,2002:"
_TAGS = {_CORE + kind for kind in ("str", "int", "float", "bool", "null", "map", "seq")}
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "null": (type(None),),
}
PLAIN, QUOTED = "plain", "quoted"  # tags of nodes that state none
# Control characters, lone surrogates, and line ends that not everything counts: those that YAML 1.1
# and 1.2 disagree about, and a carriage return alone.
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]|\r(?!\n)"
)
# A key and a value that needs quotes, up to a comment.
_COLON_INSIDE = re.compile(
    r"[ ]*(?:-[ ]+)*[\w$(][^:#]*:[ ]+([^'\"\[{|>&*!%@`#\s].*?)[ ]*(?:\s#.*)?\r?$"
)


def dotted(path: KeyPath) -> str:
    """A key path as people write it: Models[0].Metadata.LR."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def compose(text: str, shown: str) -> Any:
    """The root of a YAML text's nodes, or None of an empty one.

    Raises:
        BadFile: syntax, or nesting and numbers of values beyond any real file.
    """
    if bad := UNPRINTABLE.search(text):
        message = f"control character {bad[0]!r}; remove it"
        if bad[0] == "\r":
            message = r"a line that ends in \r alone; save the file with line ends of \n"
        raise BadFile(Problem(place_of(text, bad.start(), shown), "", message, "MI003"))
    try:
        return _Composer(text, shown).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise BadFile(_syntax(error, text, shown)) from None
    except RecursionError:
        message = f"nested more than {MAX_DEPTH} deep"
        raise BadFile(Problem(Place(shown), "", message, "MI007")) from None
    except yaml.YAMLError as error:
        raise BadFile(Problem(Place(shown), "", f"not YAML: {error}", "MI004")) from None


@functools.lru_cache(maxsize=8192)  # cards repeat each other
def unquoted(text: str) -> Any:
    """What a scalar without quotes is in YAML 1.2: a number, true, false, nothing, or the text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    return float(text) if _FLOAT.fullmatch(text) else text


def is_plain(node: Any) -> bool:
    """Whether a node is a scalar without quotes or tag, which readers take for what they like."""
    return node.tag == PLAIN


class Nodes:
    """Nodes as data, with the mistakes that YAML lets pass collected in `problems`."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.problems: list[Problem] = []
        self.count = 0

    def place(self, node: Any) -> Place:
        """Where a node begins."""
        mark = node.start_mark
        return Place(self.shown, mark.line + 1, mark.column + 1)

    def report(self, node: Any, path: KeyPath, message: str, code: str) -> None:
        """Collect a problem at a node."""
        self.problems.append(Problem(self.place(node), dotted(path), message, code))

    def data(self, node: Any, path: KeyPath) -> Any:
        """Everything at and below a node as dicts, lists and scalars."""
        if isinstance(node, ScalarNode):
            return self.scalar(node, path)
        if isinstance(node, SequenceNode):
            return [self.data(item, (*path, i)) for i, item in enumerate(self.items(node, path))]
        pairs = self.pairs(node, path)
        return {key: self.data(value, (*path, key)) for key, (_, value) in pairs.items()}

    def scalar(self, node: Any, path: KeyPath) -> Any:
        """The value of a scalar."""
        tag, text = node.tag, node.value
        if tag == QUOTED:
            return text
        if len(text) > MAX_DIGITS and _INT.fullmatch(text):
            self.report(node, path, f"a number of more than {MAX_DIGITS} digits", "MI007")
            return 0
        if tag == PLAIN:
            return unquoted(text)
        self.check_tag(node)
        kind = tag.removeprefix(_CORE)
        value = text if kind == "str" else unquoted(text)
        if type(value) not in _KINDS.get(kind, ()):
            self.report(node, path, f"{text!r} is not of type {kind}", "MI006")
        return value

    def items(self, node: Any, path: KeyPath) -> list[Any]:
        """The nodes in a list."""
        self.enter(node, len(path))
        self.check_kind(node, path, "seq")
        return node.value

    def pairs(self, node: Any, path: KeyPath, depth: int = 0) -> Pairs:
        """The keys of a mapping, what `<<` brings before its own."""
        self.enter(node, len(path) + depth)
        self.check_kind(node, path, "map")
        own: Pairs = {}
        again = dict[str, list[Any]]()
        for pair in node.value:
            key = pair[0]
            word = key.value
            if not isinstance(word, str):
                self.report(key, path, "a key must be a word, not a list", "MI009")
            elif word in own:
                again.setdefault(word, []).append(key)
            else:
                own[word] = pair
        for word, keys in again.items():
            times = "twice" if len(keys) == 1 else f"{1 + len(keys):,} times"
            line = own[word][0].start_mark.line + 1
            message = f"given {times}, first on line {line}; keep one"
            self.report(keys[0], (*path, word), message, "MI005")
        if "<<" in own and is_plain(own["<<"][0]):
            return self.merge(own.pop("<<")[1], path, depth) | own
        return own

    def merge(self, node: Any, path: KeyPath, depth: int) -> Pairs:
        """What `<<` brings; of several mappings the first that has a key gives it."""
        merged: Pairs = {}
        several = isinstance(node, SequenceNode)
        for source in reversed(node.value if several else [node]):
            if isinstance(source, MappingNode):
                merged |= self.pairs(source, path, depth + 1)
            else:
                self.report(node, path, "<< takes a mapping", "MI009")
        return merged

    def check_kind(self, node: Any, path: KeyPath, kind: str) -> None:
        """Hold the tag of a list or mapping, if it states one, against what it is."""
        if node.tag != PLAIN:
            self.check_tag(node)
            if node.tag != _CORE + kind:
                message = f"a {kind} is not of type {node.tag.removeprefix(_CORE)}"
                self.report(node, path, message, "MI006")

    def check_tag(self, node: Any) -> None:
        """Refuse tags that make more than data."""
        if node.tag not in _TAGS:
            tag = node.tag.replace(_CORE, "!!")
            self.fail(node, f"tag {tag} is not allowed; data only", "MI006")

    def enter(self, node: Any, depth: int) -> None:
        """Count a list or mapping and what it holds, once for every alias that leads to it."""
        self.count += 1 + len(node.value)
        if self.count <= MAX_NODES and depth <= MAX_DEPTH:
            return
        if self.count > MAX_NODES:
            message = f"more than {MAX_NODES} values once aliases are followed"
            self.fail(node, message, "MI007")
        self.fail(node, f"nested more than {MAX_DEPTH} deep, or an alias in itself", "MI007")

    def fail(self, node: Any, message: str, code: str) -> None:
        """Give up the document."""
        raise BadFile(Problem(self.place(node), "", message, code), *self.problems)


class _Composer(_Loader):
    """The parser, and what it asks for every node: its tag, and whether there may be one more."""

    # What it tells at every step down and up is of no use here: functions that cost nothing.
    descend_resolver: Any = {}.get
    ascend_resolver: Any = ().__len__

    def __init__(self, text: str, shown: str) -> None:
        super().__init__(text)
        self.shown, self.count = shown, 0

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        self.count += 1
        if self.count > MAX_NODES:
            message = f"more than {MAX_NODES} values"
            raise BadFile(Problem(Place(self.shown), "", message, "MI007"))
        return QUOTED if isinstance(implicit, tuple) and not implicit[0] else PLAIN


def _syntax(error: yaml.MarkedYAMLError, text: str, shown: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    # A file that ends in a line's end ends on the line after it.
    line = next(iter(text.split("\n")[mark.line : mark.line + 1]), "") if mark else ""
    place = Place(shown, mark.line + 1, mark.column + 1) if mark else Place(shown)
    reason = str(error.problem or error.context)
    if "another document" in reason:
        return Problem(place, "", "a second document; keep one a file", "MI008")
    if "undefined alias" in reason:
        return Problem(place, "", "an alias without an anchor before it", "MI007")
    if "duplicate anchor" in str(error.context):
        return Problem(place, "", "an anchor given twice; rename one", "MI007")
    # The parser has a limit of its own, far above ours, and sees the whole nesting first.
    if "nesting depth" in reason:
        return Problem(place, "", f"nested more than {MAX_DEPTH} deep", "MI007")
    # Of a line longer than people write, to look takes the square of its length.
    colon = "mapping values are not allowed" in reason and len(line) <= MAX_LINE
    match = _COLON_INSIDE.match(line) if colon else None
    if mark and match and match.start(1) <= mark.column:
        quoted = "'" + match[1].replace("'", "''") + "'"
        place = place._replace(col=match.start(1) + 1)
        message = "not YAML: a value with `: ` in it; put it in quotes"
        return Problem(place, "", message, "MI004", (match[1], quoted))
    if error.context_mark and "quoted scalar" in str(error.context):
        begun = error.context_mark
        place = Place(shown, begun.line + 1, begun.column + 1)
        return Problem(place, "", "not YAML: a quote that does not end; close it", "MI004")
    if error.context_mark and "block" in str(error.context):
        reason = f"indented otherwise than what begins on line {error.context_mark.line + 1}"
    elif "mapping values" in reason:
        reason = "a value where none can be; is a space missing after a colon, or too many before?"
    elif mark and line[mark.column : mark.column + 1] == "\t":
        reason = "a tab; indent with spaces"
    language = "JSON" if shown.lower().endswith(".json") else "YAML"
    return Problem(place, "", f"not {language}: {reason}", "MI004")
