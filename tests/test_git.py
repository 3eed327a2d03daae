"""A repository that somebody sent says what it likes, and nothing of it is run."""

import os
import subprocess

import pytest

from effcc import checkout
from effcc.ground import git
from effcc.train import provenance


def run(folder, *words):
    identity = ("-c", "user.name=x", "-c", "user.email=x@y.invalid", "-c", "commit.gpgsign=false")
    command = ["git", *identity, "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def trap(project, tmp_path_factory):
    """A folder to which everything leaves a mark that the project's repository has git run."""
    marks = tmp_path_factory.mktemp("marks")
    run(project.root, "init", "-q")
    run(project.root, "add", "-A")
    run(project.root, "commit", "-qm", "one")
    for key in ("core.fsmonitor", "core.pager", "diff.external", "core.sshCommand"):
        run(project.root, "config", key, f"touch {marks}/{key}; false")
    run(project.root, "config", "include.path", "more")
    (project.root / ".git" / "more").write_text(
        "".join(f'[filter "{n}"]\n{n} = touch {marks}/{n}; cat\n' for n in ("clean", "smudge"))
        + f'[filter "process"]\nprocess = touch {marks}/process; cat\n'
    )
    (project.root / ".git" / "info" / "attributes").write_text(
        "*.yaml filter=clean\n*.md filter=process\n*.cff filter=smudge\n* diff=external\n"
    )
    hook = project.root / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {marks}/hook\n")
    hook.chmod(0o755)
    for path in (*project.registry.glob("*.yaml"), *project.model_index.glob("*.md")):
        os.utime(path, (1, 1))  # so that git reads it
    return marks


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_where_a_record_comes_from_is_asked_without_running_anything(project, trap):
    assert provenance.git(project.root) == {
        "commit": run(project.root, "rev-parse", "HEAD").strip(),
        "dirty": False,
    }
    assert git.ask(project.root, "ls-tree", "-r", "HEAD")
    assert names(trap) == set()
    # The trap works: git itself falls into it.
    subprocess.run(["git", "-C", str(project.root), "status"], capture_output=True)
    assert names(trap) >= {"core.fsmonitor", "process"}
    (project.root / ".git" / "info" / "attributes").write_text("* filter=clean\n")
    subprocess.run(["git", "-C", str(project.root), "status"], capture_output=True)
    assert names(trap) >= {"clean"}


def test_a_changed_file_is_noticed_all_the_same(project, trap):
    file = project.registry / "cc_b0_4e.yaml"
    file.write_text(file.read_text("utf-8") + "# more\n", "utf-8")
    assert provenance.git(project.root)["dirty"] is True
    assert names(trap) == set()


def test_the_code_of_a_commit_is_checked_out_without_running_anything(project, trap):
    commit = run(project.root, "rev-parse", "HEAD").strip()
    with checkout.of({"commit": commit, "dirty": False}, project.root) as there:
        assert (there.registry / "cc_b0_4e.yaml").is_file()
    assert names(trap) == set()


@pytest.mark.parametrize("commit", ["--output=x", "-h", "HEAD", "main", "0" * 65, "abc 1234"])
def test_what_a_record_calls_a_commit_is_no_option_of_git(project, commit):
    with (
        pytest.raises(checkout.NoSuchCode, match="no name of a commit"),
        checkout.of({"commit": commit, "dirty": False}, project.root),
    ):
        raise AssertionError


def test_outside_a_repository_nothing_is_known(tmp_path):
    assert provenance.git(tmp_path) == {"commit": None, "dirty": None}
    assert git.has_changes(tmp_path) is None
