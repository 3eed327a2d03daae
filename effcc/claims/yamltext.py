"""Data to YAML text that YAML 1.1 and YAML 1.2 read alike.

PyYAML reads 1.1 and the Hub 1.2, and they differ where figures are concerned: `1e-5` is a word to
one and a number to the other. So a text that either would take for a number is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from effcc.claims.claim import Fact
from effcc.ground.nodes import unquoted

# What stands in double quotes, where a line break or what could end a comment can be an escape.
_ESCAPED = re.compile(r"[<>]|--|[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe]")


def dump(data: Any) -> str:
    """Block YAML in the order of the data. A `Fact` is printed as it was written.

    No line of it is `---`, whatever the data: it may stand in front matter.
    """
    return yaml.dump(plain(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)


def plain(data: Any) -> Any:
    """Mappings as dicts and sequences as lists, all the way down; facts stay."""
    if isinstance(data, Mapping):
        return {key: plain(value) for key, value in data.items()}
    return [plain(item) for item in data] if isinstance(data, list | tuple) else data


if TYPE_CHECKING:
    from yaml import SafeDumper as _Emitter
else:  # without libyaml a fifth as fast
    _Emitter = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Emitter):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    style = None
    if _ESCAPED.search(text):
        style = '"'
    elif not isinstance(unquoted(text), str):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


def _represent_fact(dumper: _Dumper, fact: Fact) -> yaml.Node:
    if isinstance(fact.data, str):
        return _represent_text(dumper, fact.data)
    if isinstance(fact.data, dict | tuple):
        return dumper.represent_data(plain(fact.data))
    # YAML 1.1 takes `1e-5` for a word; under whatever tag it resolves to, it is printed plain.
    tag = dumper.resolve(yaml.ScalarNode, fact.text, (True, False))
    return dumper.represent_scalar(tag, fact.text)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(Fact, _represent_fact)
