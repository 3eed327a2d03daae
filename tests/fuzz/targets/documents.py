"""The reader of YAML, JSON and Markdown: data with a place for every value, or a BadFile."""

from fuzz import shapes as of
from hypothesis import strategies as st

from effcc.ground import document

SUFFIXES = (".yaml", ".json", ".md")  # the first byte of an input says which
TOKENS = of.TOKENS


def seeds():
    """What people write, and files that are wrong in one thing."""
    yaml = of.below("registry/*.yaml", "registry/shared/*.yaml", "tests/bad/*.yaml")
    json = of.below("registry/results/*/*-test-*.json", "registry/results/*/*-bench-*.json")
    json.append(b'{"a": [1, 2.5, {"b": null}], "c": "\\u00e9 \\ud83d\\ude00"}')
    pages = of.below("model-index/*.md", "tests/bad/*.md")
    kinds = zip((b"0", b"1", b"2"), (yaml, json, pages), strict=True)
    return [first + text for first, texts in kinds for text in texts]


def shapes():
    """Real files with a few things changed, and data of any shape as JSON."""
    import json

    made = of.values.map(lambda value: b"1" + json.dumps(value).encode())
    return st.one_of(of.edited(seeds()), made, st.binary(max_size=60))


def run(data, folder):
    """A file as every command reads it."""
    path = folder / ("input" + SUFFIXES[data[0] % 3 if data else 0])
    path.write_bytes(data[1:])
    found = document.read(path, path.name)
    if found.data is None:  # stands nowhere
        return
    lines = found.text.count("\n") + 1
    for at in list(_paths(found.data, ()))[:200]:
        mark = found.mark(at)
        assert mark.value.file == path.name
        assert 1 <= mark.value.line <= lines, at
        assert mark.value.col >= 1
        str(found.problem(at, "a message")).encode()


def _paths(value, path):
    """The path of every value."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _paths(item, (*path, number))
