"""Other countries' machines: their languages, their letters, and names that are alike there."""

import os
import shutil
import subprocess
import sys

import pytest
from child import Command
from conftest import ROOT, copied
from images import photograph, photographs
from records import record

from effcc.catalog import results
from effcc.cli import main
from effcc.ground.words import alike_but_for_case
from effcc.report import cards

PICO = "cc_pico_4e"
LETTERS = "Iki \u0130stanbul, \u0131 ü 模型 …"
# What reads and writes text, in one process; what each prints and returns, and every page at last.
VERBS = """
from effcc.cli import main
for words in ("list", "list dataset:ImageNet MACs<500M", "check", "results list", "docs",
              "docs --check", "new cc_i --from cc_b0_4e"):
    print("code", main(words.split()), flush=True)
"""
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def spoken(folder, code=VERBS, words=(), **environment):
    """What a process says in an environment of its own, as bytes."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env=clean | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        timeout=200,
    )


def pages(project):
    return {path.name: path.read_bytes() for path in project.models.iterdir()}


def filled(project):
    """A project with letters of other languages in what is listed and on cards."""
    file = project.registry / "cc_b0_4e.yaml"
    text = file.read_text("utf-8").partition("\nsummary:")
    file.write_text(f"{text[0]}\nsummary: {LETTERS}\n{text[2].partition(chr(10))[2]}", "utf-8")
    results.save(record(project, command=f"effcc {LETTERS!r}"), project)
    return project


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """What the verbs print where letters are UTF-8 and the language nobody's, and their pages."""
    project = filled(copied(tmp_path_factory.mktemp("usual")))
    done = spoken(project.root, LC_ALL="C.UTF-8")
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout, pages(project)


def test_where_only_ascii_can_be_shown_everything_is_written_and_shown_as_it_can_be(project, usual):
    done = spoken(filled(project).root, **ASCII)
    assert done.returncode == 0, done.stderr.decode()
    assert pages(project) == usual[1]
    said = done.stdout.decode("ascii")
    assert said == usual[0].decode("utf-8").encode("ascii", "backslashreplace").decode()
    assert "\\u6a21\\u578b \\u2026" in said  # so there was something to be shown otherwise


@pytest.fixture(scope="module")
def turkish(tmp_path_factory):
    """The environment of a Turkish machine, whose small I has no dot."""
    if not (shutil.which("localedef") and os.path.exists("/usr/share/i18n/locales/tr_TR")):
        pytest.skip("no localedef, or no source of Turkish to make the language from")
    folder = tmp_path_factory.mktemp("locales")
    words = ["localedef", "-i", "tr_TR", "-f", "UTF-8", str(folder / "tr_TR.UTF-8")]
    made = subprocess.run(words, capture_output=True, text=True, timeout=120)
    if not (folder / "tr_TR.UTF-8").exists():
        pytest.skip(f"localedef made no Turkish: {made.stderr}")
    return {"LOCPATH": str(folder), "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}


def test_in_turkish_everything_is_as_anywhere(project, usual, turkish):
    # Set for the C library too, which writes 0,5 there; Python itself leaves that alone.
    head = (
        "import locale; locale.setlocale(locale.LC_ALL, '')\n"
        "assert locale.localeconv()['decimal_point'] == ','\n"
    )
    done = spoken(filled(project).root, head + VERBS, **turkish)
    assert done.returncode == 0, done.stderr.decode()
    assert (done.stdout, pages(project)) == usual


FIT = "import sys\nfrom effcc.cli import main\nsys.exit(main())"
FOLDER = "Foto\u011fraf \u0131\u0130"


def test_letters_that_a_terminal_does_not_have_are_refused_with_what_to_set(project):
    done = spoken(project.root, FIT, fit_words(FOLDER), **ASCII)
    assert done.returncode == 2
    assert done.stderr.decode("ascii") == (
        "command line: --data.root: bytes that are no text in this terminal's language; say "
        "PYTHONUTF8=1 before the command, or rename what has this name\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("environment", ["ascii", "turkish"])
def test_a_fit_in_another_language_records_what_was_typed(project, environment, request):
    photographs(project.root / FOLDER, classes=("kedi", "köpek"))
    other = ASCII | {"PYTHONUTF8": "1"}
    environment = other if environment == "ascii" else request.getfixturevalue("turkish")
    words = [*fit_words(FOLDER), "--data.workers", "1"]
    done = spoken(project.root, FIT, words, **environment)
    assert done.returncode == 0, done.stderr.decode()
    (made,) = results.load(project, PICO)
    assert f"'{FOLDER}'" in made.command
    assert made.settings["data"]["root"] == FOLDER
    assert made.dataset.title == f"images of {FOLDER}"
    assert FOLDER in (project.models / f"{PICO}.md").read_text("utf-8")
    assert main(["check"]) == 0


def fit_words(root):
    return [
        *("fit", "--config", f"registry/{PICO}.yaml", "--data.source", "folder"),
        *("--data.root", str(root), "--data.batch_size", "4", "--preprocessing.image_size", "32"),
        *("--network.depth", "0.3", "--network.head", "64", "--trainer.max_epochs", "1"),
        *("--trainer.accelerator", "cpu", "--recipe.warmup_epochs", "0"),
    ]


def test_a_project_data_and_checkpoints_may_have_any_name(tmp_path, monkeypatch):
    home = tmp_path / "mein Projekt ü 模型 %s #1 'a'"
    home.mkdir()
    project, data = copied(home), photographs(tmp_path / "die Bilder ñ & 照片 %d")
    command = Command(project, *fit_words(data), "--data.workers", "1")
    assert command.wait() == 0, command.said
    (made,) = results.load(project, PICO)
    assert made.settings["data"]["root"] == str(data)
    assert cards.stale(project) == []
    elsewhere = tmp_path / "ein Ort" / "letzter 点.ckpt"
    elsewhere.parent.mkdir()
    shutil.copy(project.root / made.checkpoint["path"], elsewhere)
    words = ["test", *fit_words(data)[1:], "--ckpt_path", str(elsewhere)]
    command = Command(project, *words)
    assert command.wait() == 0, command.said
    again = results.load(project, PICO)[-1]
    assert again.verb == "test"
    assert again.metrics["top1"] == made.metrics["top1"]
    assert again.checkpoint["path"] == str(elsewhere)
    monkeypatch.chdir(project.root)
    assert main(["check"]) == 0


# Names that are one where file systems ignore case


def test_variants_whose_names_differ_in_case_are_refused(project, capsys):
    # Where such names are one, the second replaces the first before anybody can look.
    shutil.copy(project.registry / "cc_b0_4e.yaml", project.registry / "cc_B0_4e.yaml")
    assert main(["check"]) == 3
    assert capsys.readouterr().err == (
        "registry/cc_B0_4e.yaml: rename the file: a variant's name is of a-z, 0-9 and _, at most "
        "64\n"
    )


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["cat", "dog", "Cat"], ("cat", "Cat")),
        (["STRASSE", "Straße"], ("STRASSE", "Straße")),
        (["a", "b", "ab"], None),
        ([], None),
    ],
)
def test_names_that_differ_in_case_alone_are_found(words, found):
    assert alike_but_for_case(words) == found


def test_classes_whose_names_differ_in_case_are_two_and_it_is_said(project):
    for seed, name in enumerate(("train/Cat", "train/cat", "val/Cat", "val/cat")):
        for number in range(4):
            photograph(project.root / "data" / name / f"{number}.png", 10 * seed + number)
    command = Command(project, *fit_words("data"), "--data.workers", "0")
    assert command.wait() == 0, command.said
    assert "classes 'Cat' and 'cat' are two here, and one wherever names are" in command.said
    assert results.load(project, PICO)[0].dataset.classes == 2
