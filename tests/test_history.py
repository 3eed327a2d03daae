"""A record from before there were digests is held against the last commit, where there is one."""

import json
import subprocess

import pytest
import records
from conftest import copied

from effcc import cli, history
from effcc.catalog import results, seal
from effcc.catalog.seal import Seal
from effcc.ground import files
from effcc.ground import git as repository
from effcc.report import cards

FIRST, SECOND = "20260131T120000Z-fit-digits-0", "20260131T120500Z-fit-digits-1"


def git(folder, *words):
    identity = ("-c", "user.name=x", "-c", "user.email=x@y.invalid", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, "-C", str(folder), *words], check=True, capture_output=True)


def commit(folder):
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")


def unsealed(project, made):
    """A record as it was written before there were digests; returns its file."""
    path = project.results / made.variant / f"{made.id}.json"
    data = {"schema": seal.UNSEALED_SCHEMA, **results.plain(made)}
    files.create(path, json.dumps(data, indent=1) + "\n")
    return path


@pytest.fixture
def path(project, monkeypatch):
    """The file of an unsealed record that lies beside a sealed one, in the working directory."""
    monkeypatch.chdir(project.root)
    results.save(records.record(project, id=SECOND), project)
    return unsealed(project, records.record(project, id=FIRST, correct=351))


@pytest.fixture
def committed(project, path):
    """The same in a repository."""
    commit(project.root)
    return path


def standing(project):
    found, _ = records.everything(project)
    return {record.id: record.filed.seal for record in history.beside(found, project)}


def edit(path):
    """To another record that is as consistent with itself."""
    path.write_text(path.read_text("utf-8").replace('"seed": 0', '"seed": 7'))


def said(capsys, *words):
    code = cli.main(list(words))
    return code, *capsys.readouterr()


def test_an_unsealed_record_that_is_as_committed_is_called_that(project, committed, capsys):
    assert standing(project) == {FIRST: Seal.COMMITTED, SECOND: Seal.WHOLE}
    assert "none, as committed" in said(capsys, "results", "list")[1].splitlines()[1]
    shown = said(capsys, "results", "show", FIRST)[1].splitlines()[0]
    assert shown.endswith(": from before records were sealed, as committed")
    code, out, _ = said(capsys, "check")
    assert code == 0
    assert "2 records (1 unsealed, as committed): no problem" in out


def test_an_unsealed_record_that_differs_from_its_commit_was_edited(project, committed, capsys):
    edit(committed)
    assert standing(project) == {FIRST: Seal.BROKEN, SECOND: Seal.WHOLE}
    _, out, _ = said(capsys, "results", "list")
    assert out.splitlines()[1].endswith("edited by hand")
    assert out.splitlines()[-1].endswith(f"{FIRST}.json")
    assert said(capsys, "results", "show", FIRST)[1].splitlines()[0].endswith(": edited by hand")
    assert f"not compared, {FIRST}" in said(capsys, "results", "compare", FIRST, SECOND)[1]
    code, _, err = said(capsys, "check")
    assert code == 1
    assert err.startswith(f"registry/results/cc_pico_4e/{FIRST}.json: edited by hand: not what was")


def test_a_record_that_was_edited_and_sealed_anew_differs_from_its_commit(
    project, committed, capsys
):
    path = project.results / records.record(project).variant / f"{SECOND}.json"
    data = json.loads(path.read_text("utf-8"))
    del data["digest"]
    path.write_text(json.dumps(seal.sealed(data | {"seed": 7}), indent=1) + "\n", "utf-8")
    assert standing(project)[SECOND] is Seal.WHOLE
    code, out, err = said(capsys, "check")
    assert code == 1
    assert f"{project.shown(path)}: edited by hand: not what was committed" in err
    assert "1 unsealed, as committed" in out
    git(project.root, "checkout", "-q", "--", ".")
    assert said(capsys, "check")[0] == 0


def test_an_edit_that_was_staged_is_one_too(project, committed):
    edit(committed)
    git(project.root, "add", "-A")
    assert standing(project)[FIRST] is Seal.BROKEN


def test_other_line_ends_are_no_edit(project, committed):
    committed.write_bytes(committed.read_bytes().replace(b"\n", b"\r\n"))
    assert standing(project)[FIRST] is Seal.COMMITTED


def test_the_repository_may_begin_above_the_project(tmp_path):
    below = copied(tmp_path / "top" / "below")
    path = unsealed(below, records.record(below, id=FIRST))
    commit(tmp_path / "top")
    assert standing(below)[FIRST] is Seal.COMMITTED
    edit(path)
    assert standing(below)[FIRST] is Seal.BROKEN


def test_a_record_that_no_commit_has_is_not_judged(project, committed):
    unsealed(project, records.record(project, id="20260301T120000Z-fit-digits-0"))
    assert standing(project)["20260301T120000Z-fit-digits-0"] is Seal.NONE


def test_without_a_repository_or_git_nothing_is_claimed(project, path, monkeypatch, capsys):
    assert standing(project)[FIRST] is Seal.NONE
    assert "2 records (1 unsealed): no problem" in said(capsys, "check")[1]
    git(project.root, "init", "-q")  # and nothing is committed
    assert standing(project)[FIRST] is Seal.NONE
    monkeypatch.setenv("PATH", "/nowhere")
    assert standing(project)[FIRST] is Seal.NONE


def test_git_is_asked_once_and_not_at_all_where_everything_is_sealed(
    project, committed, monkeypatch
):
    asked = []
    real = repository.ask
    monkeypatch.setattr(repository, "ask", lambda *words: asked.append(words) or real(*words))
    standing(project)
    assert len(asked) == 1
    committed.unlink()
    standing(project)
    assert len(asked) == 1


def test_cards_are_the_same_bytes_with_and_without_a_history(project, path):
    without = cards.pages(project)
    commit(project.root)
    edit(path)
    edited = cards.pages(project)
    (project.root / ".git").rename(project.root / "gone")
    assert cards.pages(project) == edited
    path.write_text(path.read_text("utf-8").replace('"seed": 7', '"seed": 0'))
    assert cards.pages(project) == without
