"""Model-index files with all that they import, and the Hub's formats: claims, or problems."""

import os
import shutil

from fuzz import answers
from fuzz import shapes as of

from effcc import checks
from effcc.claims import formats, mend, modelindex
from effcc.ground.errors import UserError
from effcc.report import findings

FILES = ("README.md", "index.yml", "part.json", "sub/part.yaml", ".eval_results/x.yaml", "l.md")
TOKENS = of.TOKENS + tuple(
    f"{word}:".encode()
    for word in (
        *(
            "Models",
            "Collections",
            "Import",
            "Name",
            "In Collection",
            "Metadata",
            "Results",
            "Task",
        ),
        *("Dataset", "Metrics", "Paper", "URL", "Title", "Weights", "README", "Code", "Version"),
        *(
            "model-index",
            "results",
            "task",
            "type",
            "dataset",
            "metrics",
            "value",
            "source",
            "date",
        ),
        *("task_id", "verifyToken", "notes", "args", "config", "split", "revision", "verified"),
    )
)
_CARD = b"""---
license: mit
model-index:
- name: org/net
  results:
  - task: {type: image-classification, name: Image Classification}
    dataset: {type: imagenet-1k, name: ImageNet, config: default, split: test, revision: abc}
    metrics:
    - {type: accuracy, value: 77.3, name: Top 1, verified: false, args: {k: [1]}}
    source: {name: A paper, url: 'https://arxiv.org/abs/1904.04971'}
---
# A page

<!--
Type: model-index
Models:
- Name: b
  Results: [{Task: T, Dataset: D, Metrics: {Accuracy: 50%}}]
-->
"""
_EVALUATED = b"""- dataset: {id: org/data, task_id: default, revision: abc}
  value: 22.5
  verifyToken: abc
  date: '2025-01-31T12:00:00Z'
  source: {url: 'https://example.org/x', name: A blog, user: someone}
  notes: 'Accuracy: 22.50%'
- dataset: {id: org/other, task_id: x}
  value: 0.1
"""
_IMPORTS = b"Import:\n- sub/*.yaml\n- part.json\nModels: sub/part.yaml\n"
_PART = b"- Name: b\n  In Collection: a\n  Metadata: {LR: 0.1, 'Params(M)': 6.5}\n"
_COLLECTION = b'{"Collections": [{"Name": "a", "Metadata": {"FLOPs": "4.1G"}, "Paper": "x"}]}'


def seeds():
    """Pages of all formats, an index of imports, and files with one mistake each."""
    pages = [of.packed((0, text)) for text in of.below("model-index/*.md", "tests/bad/index-*.md")]
    data = [of.packed((1, text)) for text in of.below("tests/bad/index-*.yaml")]
    imports = of.packed((1, _IMPORTS), (3, _PART), (2, _COLLECTION))
    circle = of.packed((1, b"Import: sub/part.yaml\n"), (3, b"Import: ../index.yml\n"))
    linked = of.packed((1, b"Import: l.md\nModels: []\n"), (0, _CARD))
    up = of.packed((1, b"Import: ['../../x', /etc/passwd, '/etc/*']\n"))
    return [
        *(*pages, *data, imports, circle, linked, up),
        of.packed((0, _CARD)),
        of.packed((4, _EVALUATED), (5, b"<!-- Type: model-index\nModels: {a: b: c}\n-->")),
    ]


def shapes():
    """Sets of files in which a few things are changed."""
    return of.packs(seeds())


def run(data, folder):
    """The files as `effcc check` and `effcc convert` read them."""
    root = folder / "tree"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("sub", ".eval_results"):
        (root / name).mkdir(parents=True)
    (root / "l.yml").symlink_to("/etc/passwd")
    files = of.unpacked(data, FILES)
    for name, text in files.items():
        (root / name).write_bytes(text)
    os.chdir(root)
    try:
        _checked(modelindex.files_in(root), root)
        for name in files:
            _converted(root / name)
            _mended(root / name, root)
    finally:
        os.chdir(folder)


def _checked(paths, root):
    found = modelindex.check(paths, root, named_from=root)
    answers.problems(found.problems)
    outside = [file for file in found.files.values() if not file.startswith(str(root) + os.sep)]
    assert not outside, outside
    for line in findings.text(found.problems, found.files).split("\n"):
        answers.printed(line)
    findings.sarif(found.problems, "1").encode()
    findings.github(found.problems).encode()
    for claim in found.claims:
        for fact in claim.facts.values():
            assert fact.share is None or fact.number is not None
            fact.agrees_with(1.0)
    if not found.problems:
        again = modelindex.parse(modelindex.dump(found.claims))
        assert [claim.name for claim in again.claims] == [claim.name for claim in found.claims]
    return found


def _converted(path):
    for to in formats.FORMATS:
        try:
            found = formats.read(path, to, "org/model")
        except UserError as error:
            answers.told(error)
            continue
        answers.problems((*found.apart, *found.doubts))
        shares = [[claim] for claim in found.claims] if to == formats.EVAL_RESULTS else []
        for share in shares or ([found.claims] if found.claims else []):
            converted = formats.dump(share, to, path.name)
            answers.problems(converted.lost)
            converted.text.encode()
            if converted.text.strip() != "[]":
                formats.doubts(converted.text, to, "output")


def _mended(path, root):
    """Mends come to an end: a text that is no YAML shows one a time, at most one a line.

    `effcc check --fix` goes through a file a hundred times at most, and says what is left.
    """
    enough = path.read_bytes().count(b"\n") + 3
    for _ in range(min(enough, checks._PASSES)):
        found = modelindex.check([path], root)
        if not mend.file(path, [problem for problem in found.problems if problem.mend]):
            return
    assert enough > checks._PASSES, "mends do not come to an end"
