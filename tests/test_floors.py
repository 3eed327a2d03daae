"""Imports only go down, and what only reads never waits for torch."""

import ast
import json
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

PACKAGE = ROOT / "effcc"
# Each floor and those it may import; the door (files directly in effcc/) imports any.
BELOW = {
    "ground": {"ground"},
    "claims": {"ground", "claims"},
    "catalog": {"ground", "claims", "catalog"},
    "proof": {"ground", "claims", "catalog", "proof"},
    "nn": {"ground", "claims", "catalog", "nn"},
    "sources": {"ground", "catalog", "sources"},
    "data": {"ground", "catalog", "sources", "data"},
    "report": {"ground", "claims", "catalog", "proof", "report"},
    "train": {"ground", "catalog", "nn", "sources", "data", "train"},
}
# Packages that are slow to load, and the floors that may load them.
HEAVY = {
    "torch": {"nn", "data", "train"},
    "torchmetrics": {"train"},
    "lightning": {"train"},
    "lightning_utilities": {"train"},
    "pytorch_lightning": {"train"},
    "numpy": {"nn", "sources", "data", "train"},
    "PIL": {"sources", "data"},
    "sklearn": {"sources"},
    "pyarrow": {"sources"},
    "jsonargparse": {"train"},
    "tensorboardX": {"train"},
    "wandb": {"train"},
    "mlflow": {"train"},
    "safetensors": {"nn"},
    "triton": {"nn"},
    "onnx": {"nn"},
    "onnxruntime": {"nn"},
    "openvino": {"nn"},
    "huggingface_hub": {"report"},
}
# Floors that no heavy package may be loaded by, nor before.
LIGHT = ("ground", "claims", "catalog", "proof", "report")
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if "project" not in path.relative_to(PACKAGE).parts
)


def floor(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else "door"


def imported(path):
    """The dotted names that a module imports, in functions and for types too, with their lines."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides its direction"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def own(name):
    """The file of this package that a dotted name leads to, if it does."""
    parts = name.split(".")
    if parts[0] != "effcc":
        return None
    while parts:
        path = ROOT.joinpath(*parts)
        if path.with_suffix(".py").is_file():
            return path.with_suffix(".py")
        if (path / "__init__.py").is_file():
            return path / "__init__.py"
        parts.pop()
    return None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_its_own_floor_and_those_below(path):
    here = floor(path)
    for name, line in imported(path):
        target = own(name)
        if target and here != "door":
            assert floor(target) in BELOW[here], f"line {line}: {name}"
        heavy = HEAVY.get(name.partition(".")[0])
        if heavy is not None:
            assert here in heavy, f"line {line}: {name}"


def test_every_folder_is_a_floor():
    assert {floor(path) for path in MODULES} == {*BELOW, "door"}


def plan():
    """The modules in the order of the README's plan."""
    tree = (ROOT / "README.md").read_text("utf-8").partition("\neffcc/\n")[2].partition("\n```")[0]
    folder = ""
    for line in tree.splitlines():
        if re.match(r"\S", line):
            return
        if match := re.match(r"  (\w+)/ ", line):
            folder = match[1]
        elif re.match(r"  \w", line):
            folder = ""
        for name in re.findall(r"\b(\w+\.py)\b", line):
            yield PACKAGE / folder / name


def test_the_readme_lists_every_module():
    special = {"__init__.py", "__main__.py"}
    assert sorted(plan()) == [path for path in MODULES if path.name not in special]


@pytest.mark.parametrize(
    "room", ["ground", "claims", "catalog", "proof", "nn", "sources", "data", "report"]
)
def test_inside_a_floor_imports_only_go_up_the_list(room):
    """A module of the README's plan imports only those that stand before it."""
    order = [path for path in plan() if floor(path) == room]
    for number, path in enumerate(order):
        for name, line in imported(path):
            target = own(name)
            if target in order:
                assert order.index(target) < number, f"{path.name}:{line}: {name}"


def test_no_module_imports_itself_through_others():
    graph = {path: {own(name) for name, _ in top_level(path)} - {None} for path in MODULES}
    done = set()

    def visit(path, above):
        assert path not in above, " -> ".join(p.stem for p in (*above, path))
        if path not in done:
            for target in sorted(graph[path] - {path}):
                visit(target, (*above, path))
            done.add(path)

    for path in MODULES:
        visit(path, ())


def top_level(path):
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


RUN = """
import contextlib, io, json, sys
heavy = json.loads(sys.argv[1])
for words in json.loads(sys.argv[2]):
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            code = __import__("effcc.cli").cli.main(words)
        except SystemExit as stopped:
            code = stopped.code
    loaded = sorted({name.partition(".")[0] for name in sys.modules} & set(heavy))
    assert (code or 0, loaded) == (0, []), f"effcc {' '.join(words)}: exit {code}, loaded {loaded}"
"""


def python(*words, **environment):
    # A measurement of coverage starts in such a process with modules of its own.
    without = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", *words],
        capture_output=True,
        text=True,
        env=without | environment,
    )
    assert done.returncode == 0, done.stderr


def test_reading_checking_and_writing_cards_load_nothing_heavy(project):
    verbs = [
        ["--version"],
        ["--help"],
        ["fit", "--help"],
        ["shards", "--help"],
        ["bench", "--help"],
        ["routing", "--help"],
        ["list"],
        ["list", "--json"],
        ["list", "top1>78", "--sort", "params"],
        ["show", "cc_b0_4e"],
        ["show", "cc_b0_4e", "--resolved"],
        ["check"],
        ["check", "model-index"],
        ["audit", "registry/cc_b0_4e.yaml", "--trainer.logger", "csv"],
        ["docs"],
        ["docs", "--check"],
        ["weights", "list"],
        ["results", "list"],
        ["results", "list", "--json"],
        ["convert", "--help"],
        ["convert", "model-index/tf-efficientnet-condconv.md", "--to", "pwc"],
        ["convert", "model-index/tf-efficientnet-condconv.md", "--to", "hf", "--out", "cards"],
    ]
    python(RUN, json.dumps(list(HEAVY)), json.dumps(verbs))
    assert (project.models / "cc_b0_4e.md").is_file()


def test_beginning_a_variant_loads_nothing_heavy(project):
    python(RUN, json.dumps(list(HEAVY)), json.dumps([["new", "cc_new", "--from", "cc_b0_4e"]]))


def test_importing_effcc_loads_nothing_at_all(project):
    python(LOADED + "import effcc\nassert_only(set(), {'effcc'})")


# What a command's help is made of; each of the rest is read by the verb that needs it.
HELPED = {
    *("effcc", "effcc.cli", "effcc.options", "effcc.runs", "effcc.reads", "effcc.exchange"),
    *("effcc.request", "effcc.terminal", "effcc.ground", "effcc.ground.errors"),
    *("effcc.ground.home", "effcc.ground.words", "effcc.train", "effcc.train.process"),
    *("effcc.measures", "effcc.nn", "effcc.nn.engines", "effcc.checks", "effcc.verdicts"),
    *("effcc.ledger", "effcc.reproduction", "effcc.checkout", "effcc.rerun", "effcc.tally"),
    *("effcc.bridges", "effcc.routes", "effcc.ground.git", "effcc.ground.jsontext", "effcc.audits"),
    "effcc.filing",
}
LOADED = """
import contextlib, io, sys
before = set(sys.modules)

def help_of(*words):
    from effcc.cli import main
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main([*words, "--help"])

def assert_only(standard, own):
    loaded = set(sys.modules) - before
    others = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    assert others == {"effcc"}, others
    assert {name for name in loaded if name.startswith("effcc")} == own
    slow = {"argparse", "json", "pathlib", "dataclasses", "hashlib", "tempfile", "difflib"}
    assert loaded & (slow | {"importlib.metadata", "importlib.resources"}) == standard

"""


def test_help_loads_the_standard_library_and_the_door_alone(project):
    needed = {"argparse", "json", "pathlib", "dataclasses"}
    python(LOADED + f"help_of()\nassert_only({needed}, {HELPED})")


def test_help_on_a_run_reads_the_schema_and_nothing_more(project):
    needed = {"argparse", "json", "pathlib", "dataclasses", "hashlib"}
    schema = {"effcc.catalog.schema", "effcc.catalog.fits"}
    own = HELPED | schema | {"effcc.catalog", "effcc.catalog.spec"}
    python(LOADED + f"help_of('fit')\nassert_only({needed}, {own})")


PUBLIC = """
import effcc
for name in effcc.__all__:
    getattr(effcc, name)
assert "cc_pico_4e" in effcc.list_variants()
effcc.load("cc_pico_4e")
model = effcc.create("cc_pico_4e", num_classes=10)
effcc.optimize(model)
effcc.create_module("cc_pico_4e", source="digits", num_classes=10)
"""


@pytest.mark.parametrize("code", ["import effcc", PUBLIC], ids=["import", "all that is public"])
def test_what_is_public_warns_of_nothing(project, code):
    """Nor of files left open, of which Python tells developers only."""
    python(code, PYTHONDEVMODE="1")


def test_loading_a_spec_loads_no_torch(project):
    python("import sys, effcc\neffcc.load('cc_b0_4e')\nassert 'torch' not in sys.modules")


def test_every_module_can_be_imported_first():
    """No module needs another to have been imported before it."""
    light = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in MODULES
        if floor(path) in LIGHT and path.name != "__init__.py"
    ]
    forget = "for n in [n for n in sys.modules if n.startswith('effcc')]: del sys.modules[n]"
    lines = "\n".join(f"importlib.import_module({name!r})\n{forget}" for name in light)
    python(f"import importlib, sys\n{lines}")
