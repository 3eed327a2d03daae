"""A project is found from inside it, or by name."""

import sys
from pathlib import Path

import pytest

import effcc
from effcc import cli
from effcc.ground import home
from effcc.ground.errors import BadFile, UsageError


def test_a_project_is_found_from_a_folder_inside_it(project, monkeypatch):
    (project.root / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(project.root / "deep" / "er")
    assert home.find() == project
    monkeypatch.chdir("/")
    assert home.find(project.root / "deep") == project


def test_the_variable_wins_over_the_working_directory(project, tmp_path, monkeypatch):
    other = tmp_path / "other"
    (other / "registry").mkdir(parents=True)
    (other / "model-index").mkdir()
    monkeypatch.setenv("EFFCC_HOME", str(other))
    assert home.find().root == other.resolve()
    assert effcc.list_variants() == []


def test_a_variable_that_names_no_project_is_an_error_that_names_it(project, monkeypatch):
    monkeypatch.setenv("EFFCC_HOME", "/nowhere")
    with pytest.raises(UsageError, match=r"no folder with registry/ and model-index/ in /nowhere"):
        home.find()


def test_outside_any_project_the_package_brings_its_own(monkeypatch):
    monkeypatch.delenv("EFFCC_HOME", raising=False)
    monkeypatch.chdir("/")
    assert "cc_b0_4e" in effcc.list_variants()


def test_a_folder_with_one_half_of_a_project_is_none(tmp_path, monkeypatch, project):
    inner = project.root / "docs"
    (inner / "registry").mkdir()
    assert home.find(inner) == project


def test_paths_are_shown_relative_to_the_project(project):
    assert project.shown(project.registry / "cc_b0_4e.yaml") == "registry/cc_b0_4e.yaml"
    assert project.shown(Path("registry/cc_b0_4e.yaml")) == "registry/cc_b0_4e.yaml"
    assert project.shown(Path("/elsewhere/f")) == "/elsewhere/f"


def test_every_folder_is_inside_the_project(project):
    for folder in ("model_index", "registry", "shared", "results", "models", "runs"):
        assert getattr(project, folder).is_relative_to(project.root)


@pytest.mark.parametrize("by", ["a link", "a path from here"])
def test_a_project_by_another_path_is_the_same(project, tmp_path, monkeypatch, by):
    link = tmp_path / "link"
    link.symlink_to(project.root)
    monkeypatch.chdir(project.root)
    again = home.Home(link if by == "a link" else Path("."))
    monkeypatch.chdir("/")
    file = again.registry / "cc_b0_4e.yaml"
    assert again == project
    assert again.hold(file) == file
    assert again.shown(file) == "registry/cc_b0_4e.yaml"
    (project.registry / "out.yaml").symlink_to("/etc/hostname")
    with pytest.raises(BadFile, match=r"registry/out\.yaml.*a link leads out of the project"):
        again.hold(again.registry / "out.yaml")


def test_the_cache_is_the_platforms(monkeypatch, tmp_path):
    monkeypatch.delenv("EFFCC_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform.startswith("linux"):
        assert home.cache() == tmp_path / "effcc"
    monkeypatch.setenv("EFFCC_CACHE", str(tmp_path / "own"))
    assert home.cache() == tmp_path / "own"


def test_what_the_package_brings_is_read_and_never_written_to(tmp_path, monkeypatch, project):
    monkeypatch.setattr(home, "_BROUGHT", project.root)
    monkeypatch.setattr(home, "_PACKAGE", tmp_path / "site-packages" / "effcc")
    monkeypatch.chdir("/")
    assert home.around() is None
    assert home.find() == project
    with pytest.raises(UsageError, match=r"^/ is in no project to write to; begin one .*effcc new"):
        home.own()
    monkeypatch.setattr(home, "_BROUGHT", tmp_path / "nothing")
    with pytest.raises(UsageError, match="run effcc inside a project"):
        home.own()


@pytest.mark.parametrize("verb", ["fit", "test", "routing"])
def test_what_records_is_refused_where_the_package_is(project, monkeypatch, capsys, verb):
    """By the path of its copy it can be asked to; what only looks is answered."""
    monkeypatch.setattr(home, "_BROUGHT", project.root)
    command = [verb, "--config", "registry/cc_pico_4e.yaml"]
    assert cli.main(command) == 2
    assert "is in no project to write to; begin one in an empty folder" in capsys.readouterr().err
    assert cli.main([*command, "--print_config"]) == 0
    assert not project.runs.exists()
