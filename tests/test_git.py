"""A repository that somebody sent says what it likes, and nothing of it is run."""

import os
import shutil
import subprocess
from dataclasses import replace

import pytest
import records

from effcc import checkout, tally
from effcc.catalog import results, timings
from effcc.ground import git
from effcc.report import cards
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


def test_a_repository_that_has_git_wait_is_given_up(project):
    run(project.root, "init", "-q")
    assert git.ask(project.root, "rev-parse", "--show-prefix") == ""
    (project.root / ".git" / "config").unlink()
    os.mkfifo(project.root / ".git" / "config")
    assert git.ask(project.root, "rev-parse", "--show-prefix", patience=0.5) is None


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


@pytest.mark.parametrize("name", ["a=b", "=", "a.b", "ä=", "a b"])
def test_a_filter_of_any_name_is_not_run(project, trap, name):
    config = project.root / ".git" / "config"
    more = f'[filter "{name}"]\nclean = touch {trap}/named; cat\nrequired = true\n'
    config.write_text(config.read_text("utf-8") + more, "utf-8")
    attributes = project.root / ".git" / "info" / "attributes"
    attributes.write_text(f'"*" "filter={name}"\n* filter={name}\n', "utf-8")
    assert git.has_changes(project.root, ".") is False
    assert names(trap) == set()
    if name != "a b":  # no attribute can name it
        git_itself = ["git", "-C", str(project.root), "-c", "core.fsmonitor=", "status"]
        subprocess.run(git_itself, capture_output=True)
        assert names(trap) == {"named"}


def another_git(folder, monkeypatch, script):
    """Have a script be asked before git, the real one, is `"$real" "$@"` there."""
    git_itself = shutil.which("git")
    folder.mkdir()
    (folder / "git").write_text(f'#!/bin/sh\nreal={git_itself}\n{script}\nexec $real "$@"\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    "script",
    [
        'case "$*" in *--show-scope*) exit 129;; esac',  # git before 2.26
        "unset GIT_CONFIG_COUNT",  # git before 2.31
    ],
)
def test_where_filters_cannot_be_turned_off_changes_are_unknown(
    project, trap, tmp_path_factory, monkeypatch, script
):
    another_git(tmp_path_factory.mktemp("path") / "bin", monkeypatch, script)
    found = provenance.git(project.root)
    assert names(trap) == set()
    assert found == {"commit": run(project.root, "rev-parse", "HEAD").strip(), "dirty": None}


def test_what_a_repository_lacks_is_not_fetched_as_it_says(
    project, trap, tmp_path_factory, monkeypatch
):
    # As a git that does not know this variable yet.
    bin = tmp_path_factory.mktemp("path") / "bin"
    another_git(bin, monkeypatch, "unset GIT_NO_LAZY_FETCH")
    settings = {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": str(project.root),
        "remote.origin.uploadpack": f"touch {trap}/uploadpack; false",
    }
    for key, value in settings.items():
        run(project.root, "config", key, value)
    with (
        pytest.raises(checkout.NoSuchCode, match="has no commit"),
        checkout.of({"commit": "ab" * 20, "dirty": False}, project.root),
    ):
        raise AssertionError
    assert names(trap) == set()


def test_variables_that_configure_git_stay_in_force(project, trap, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "somebody")
    assert git.ask(project.root, "config", "user.name") == "somebody"
    assert git.has_changes(project.root, ".") is False
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


def test_what_git_did_not_tell_is_on_record_and_on_every_page_as_unknown(project):
    unknown = {"commit": "ab" * 20, "dirty": None}
    record = replace(records.record(project), git=unknown)
    results.save(record, project)
    timings.save(replace(records.bench(project), git=unknown), project)
    kept = results.load(project, record.variant)
    assert [found.git for found in kept] == [unknown]
    assert tally.commit(**unknown) == "abababa?"
    cards.write(project)
    page = (project.models / f"{record.variant}.md").read_text("utf-8")
    assert page.count("abababababab`, with or without uncommitted changes") == 2
