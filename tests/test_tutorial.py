"""The tutorial, typed along: every command and every edit on its page, in order, as they stand."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs" / "adding-a-variant.md").read_text("utf-8")
TUTORIAL = PAGE.partition("## What goes where")[0]
STEPS = re.findall(
    r'^```(sh|diff)(?: title="(.*?)")?\n(.*?)\n```$', TUTORIAL, re.DOTALL | re.MULTILINE
)
# All that is not as on the page: training is cut short, by documented flags.
SHORTER = " --trainer.max_epochs 1 --trainer.limit_train_batches 2"


def edit(file, diff):
    """Change a file as a block of the page shows it: each part must be found, and once."""
    text = file.read_text("utf-8")
    for part in diff.split("\n\n"):
        lines = part.split("\n")
        before = "\n".join(line[1:] for line in lines if line[0] in "- ")
        after = "\n".join(line[1:] for line in lines if line[0] in "+ ")
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    file.write_text(text, "utf-8")


def commands():
    return [line for kind, _, text in STEPS if kind == "sh" for line in text.splitlines()]


def test_the_page_walks_from_a_new_file_to_the_site():
    verbs = [line.split()[:2] for line in commands()]
    wanted = [["effcc", "new"], ["effcc", "check"], ["effcc", "fit"], ["mkdocs", "build"]]
    assert [verb for verb in verbs if verb in wanted] == wanted


@pytest.fixture
def typed(project):
    """A project with its records, and a shell to type in; returns what a command printed."""
    shutil.copytree(ROOT / "registry" / "results", project.results)
    folder = project.root / ".bin"  # the commands of this very checkout, by their names
    folder.mkdir()
    for name in ("effcc", "mkdocs"):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n')
        (folder / name).chmod(0o755)
    where = {"PATH": f"{folder}:{os.environ['PATH']}", "NO_MKDOCS_2_WARNING": "1"}
    ours = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")

    def run(line):
        done = subprocess.run(
            ["sh", "-c", line],
            capture_output=True,
            text=True,
            cwd=project.root,
            env=os.environ | where | {"PYTHONPATH": ours},
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


def test_every_command_of_the_tutorial_runs_and_every_edit_applies(project, typed):
    said = {}
    for kind, name, text in STEPS:
        if kind == "diff":
            edit(project.root / name, text)
            continue
        for line in text.splitlines():
            said[" ".join(line.split()[:2])] = typed(line + SHORTER * line.startswith("effcc fit"))

    for figure in re.findall(r"\d,\d{3},\d{3}", TUTORIAL):
        assert (
            figure in said["effcc show"] or figure in (project.models / "cc_pico_4e.md").read_text()
        )
    assert "no problem" in said["effcc check"]
    assert "chance" in said["effcc results"]
    (record,) = (project.results / "cc_pico_8e").glob("*.json")
    card = (project.models / "cc_pico_8e.md").read_text("utf-8")
    assert "2.12M" in card
    assert record.stem in card
    assert (project.root / "site" / "models" / "cc_pico_8e" / "index.html").is_file()


def test_a_claim_that_is_wrong_is_answered_as_the_page_says(project, typed):
    typed(commands()[0])
    for _, name, diff in (step for step in STEPS if step[0] == "diff"):
        edit(project.root / name, diff.replace("2.12M", "2.2M"))
    with pytest.raises(
        AssertionError, match=r"cc_pico_8e\.md:\d+.*claims 2\.2M, computed 2,119,306"
    ):
        typed("effcc check")
