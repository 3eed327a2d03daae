"""No link brings into the project what was never in it, nor anything of ours out through one."""

import inspect
import os
import re
import shutil
import sys
import time

import pytest
import records
from images import source

from effcc import cli, sitebuild
from effcc.catalog import results
from effcc.claims import modelindex
from effcc.ground.errors import BadFile, UserError
from effcc.nn import weights
from effcc.sitebuild import NotBuilt
from effcc.sources import decode, index, listing
from effcc.sources.decode import MissingData

SECRET = "a-word-that-stands-nowhere-else"


@pytest.fixture
def outside(tmp_path_factory):
    return tmp_path_factory.mktemp("outside")


def moved(path, folder, more=""):
    """Put a link in the place of a file or folder, which goes elsewhere with a secret in it."""
    target = folder / path.name
    shutil.move(path, target)
    if more:
        target.write_text(target.read_text("utf-8") + more, "utf-8")
    path.symlink_to(target)
    return target


def holds_secret(folder):
    found = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    return [path for path in found if SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("registry/cc_pico_4e.yaml", f"# {SECRET}\n"),
        ("registry/shared/condconv.yaml", f"# {SECRET}\n"),
        ("registry/shared/digits.yaml", f"# {SECRET}\n"),
        ("model-index/tf-efficientnet-condconv.md", SECRET),
        ("CITATION.cff", f"# {SECRET}\n"),
        ("registry", ""),
        ("model-index", ""),
        ("registry/shared", ""),
    ],
)
def test_what_a_link_leads_to_outside_is_on_no_card(project, outside, name, more, capsys):
    moved(project.root / name, outside, more)
    assert cli.main(["docs"]) == 3
    assert "leads" in (said := capsys.readouterr().err)
    assert str(outside) in said
    assert name.partition("/")[0] in said
    assert not project.models.exists() or not list(project.models.iterdir())
    assert cli.main(["check"]) == 3 or name == "CITATION.cff"
    assert not holds_secret(project.root)


@pytest.mark.parametrize("target", ["/etc/passwd", "/dev/zero", "nowhere", "pw.yaml", "..", "/"])
def test_a_link_to_what_is_no_file_of_ours_is_one_line(project, target, capsys):
    (project.registry / "pw.yaml").symlink_to(target)
    assert cli.main(["check"]) == 3
    said = capsys.readouterr().err
    assert said.startswith("registry/pw.yaml: ")
    assert said.count("\n") == 1
    assert "root:" not in said
    (project.registry / "pw.yaml").unlink()
    for name in ("pw.md", "pw.yaml", "pw.json"):
        (project.model_index / name).symlink_to(target)
    assert cli.main(["check", "model-index"]) in (0, 1, 3)
    assert "root:" not in capsys.readouterr().err
    assert modelindex.files_in(project.model_index)


def test_a_pipe_is_not_waited_for(project, capsys):
    os.mkfifo(project.registry / "pipe.yaml")
    assert cli.main(["check"]) == 3
    (project.registry / "pipe.yaml").unlink()
    (project.results / "cc_pico_4e").mkdir(parents=True)
    os.mkfifo(project.results / "cc_pico_4e" / "20260131T120000Z-fit-digits-0.json")
    assert cli.main(["check"]) == 1
    os.mkfifo(project.model_index / "a.yaml")
    assert cli.main(["check", "model-index"]) == 0
    assert cli.main(["check"]) == 3
    assert "cannot be read: no file but a folder, a device or a pipe" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("train.csv", lambda at: source("folder", at, train="train.csv").classes),
        ("manifest.json", lambda at: source("shards", at).classes),
        ("state.json", lambda at: source("huggingface", at).classes),
        ("a.parquet", lambda at: source("huggingface", at, train="*.parquet").classes),
        ("a.png", lambda at: decode.read(at / "a.png")),
        ("last.ckpt", lambda at: weights.read(at / "last.ckpt")),
    ],
)
def test_among_data_nothing_waits_for_a_pipe_or_reads_a_device(tmp_path, name, read, kind):
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(UserError, match=re.escape(str(tmp_path))):
        read(tmp_path)


def test_an_index_that_is_a_pipe_is_none(tmp_path):
    os.mkfifo(tmp_path / "train-000000.index")
    assert index.load(tmp_path / "train-000000.index", 10240) is None


def test_a_link_inside_the_project_is_followed(project):
    elsewhere = project.root / "elsewhere"
    elsewhere.mkdir()
    for name in ("registry/cc_pico_4e.yaml", "model-index/tf-efficientnet-condconv.md"):
        moved(project.root / name, elsewhere)
    moved(project.shared, elsewhere)
    assert cli.main(["check"]) == 0
    assert cli.main(["docs"]) == 0
    assert cli.main(["show", "cc_pico_4e"]) == 0


def test_a_record_outside_is_none(project, outside, capsys):
    path = results.save(records.record(project), project)
    moved(path, outside)
    assert results.load(project, "cc_pico_4e") == []
    assert cli.main(["check"]) == 1
    assert "leads out of the project" in capsys.readouterr().err
    assert cli.main(["results", "show", path.stem]) == 3
    assert cli.main(["docs"]) == 0
    assert "97.2 %" not in (project.models / "cc_pico_4e.md").read_text("utf-8")


def test_nothing_is_written_through_a_link(project, outside, capsys):
    victim = outside / "victim"
    victim.write_text("mine")
    project.models.mkdir()
    (project.models / "cc_pico_4e.md").symlink_to(victim)
    assert cli.main(["docs"]) == 0
    assert not (project.models / "cc_pico_4e.md").is_symlink()
    path = project.results / "cc_pico_4e" / "20260131T120000Z-fit-digits-0.json"
    path.parent.mkdir(parents=True)
    path.symlink_to(victim)
    with pytest.raises((BadFile, FileExistsError)):
        results.save(records.record(project), project)
    for name in ("registry/cc_new.yaml", "model-index/cc_new.md"):
        (project.root / name).symlink_to(outside / "new")
        assert cli.main(["new", "cc_new", "--from", "cc_pico_4e"]) in (2, 3)
        (project.root / name).unlink()
    assert victim.read_text() == "mine"
    assert sorted(p.name for p in outside.iterdir()) == ["victim"]


@pytest.mark.parametrize("name", ["docs/models", "registry/results"])
def test_a_folder_that_leads_outside_is_refused_before_a_run(project, outside, name, capsys):
    folder = project.root / name
    folder.mkdir(exist_ok=True)
    target = moved(folder, outside)
    (target / "other.md").write_text("mine")
    assert cli.main(["fit", "--config", "registry/cc_pico_4e.yaml"]) == 3
    assert f"{name}" in (said := capsys.readouterr().err)
    assert "leads out of the project" in said
    assert cli.main(["docs"]) in (0, 3)
    with pytest.raises(BadFile):
        results.save(records.record(project), project) if "results" in name else project.hold(
            project.models
        )
    assert [p.name for p in target.iterdir()] == ["other.md"]


@pytest.mark.parametrize("how", ["file", "folder", "circle", "gone", "pipe", "changelog"])
def test_no_link_brings_a_file_onto_the_site(project, outside, how):
    (outside / "secret.txt").write_text(f"## {SECRET}\n")
    assets = project.docs / "assets"
    if how == "changelog":
        moved(project.root / "CHANGELOG.md", outside, f"\n## {SECRET}\n")
    elif how == "pipe":
        os.mkfifo(assets / "x")
    else:
        target = {"file": outside / "secret.txt", "folder": outside, "circle": "..", "gone": "no"}
        (assets / "x").symlink_to(target[how])
    assert cli.main(["docs"]) == 0
    with pytest.raises(NotBuilt, match=r"remove it|leads out of the project"):
        sitebuild.pages(project.root / "mkdocs.yml", project.root / "site")
    assert not (project.root / "site").exists()


def test_links_of_a_folder_of_images_end(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.png").write_bytes(b"")
    (tmp_path / "a" / "x").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "y").symlink_to(tmp_path / "a")
    for name in ("z", "z.png"):
        (tmp_path / "a" / name).symlink_to(name)
    (tmp_path / "c").symlink_to("c")
    assert listing.class_folders(tmp_path) == ["a", "b"]
    found = [entry.path[len(str(tmp_path)) :] for entry in listing.walk(tmp_path)]
    assert found == ["/a/a.png", "/a/x/b.png", "/b/b.png", "/b/y/a.png"]


def test_links_that_lead_to_several_links_are_given_up(tmp_path):
    for number in range(25):
        (tmp_path / f"{number}").mkdir()
        for name in "xy":
            (tmp_path / f"{number}" / name).symlink_to(f"../{number + 1}")
    (tmp_path / "25").mkdir()
    (tmp_path / "25" / "a.png").touch()
    before = time.process_time()
    with pytest.raises(MissingData, match=r"more than 100 times"):
        list(listing.walk(tmp_path / "0"))
    assert time.process_time() - before < 2
    assert len(list(listing.walk(tmp_path / "20"))) == 2**5


def test_every_class_may_be_a_link(tmp_path):
    (tmp_path / "classes").mkdir()
    for number in range(150):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "a.png").touch()
        (tmp_path / "classes" / f"{number}").symlink_to(f"../{number}")
    assert len(list(listing.walk(tmp_path / "classes"))) == 150


def test_images_may_lie_deeper_than_functions_may_call(tmp_path):
    (tmp_path / "/".join("d" * 200)).mkdir(parents=True)
    (tmp_path / "/".join("d" * 200) / "a.png").touch()
    most = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(len(inspect.stack()) + 100)
        assert [entry.name for entry in listing.walk(tmp_path)] == ["a.png"]
    finally:
        sys.setrecursionlimit(most)
