"""The package as others get it: what is in it, that it is the same again, that it works."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from conftest import ROOT

# What work leaves in a checkout, and no package may carry off.
STRAYS = (
    *("runs/cc_b0_4e/1/last.ckpt", "site/index.html", "site.zip", "dist/old.whl", "build/lib/a.py"),
    *("effcc/__pycache__/cli.pyc", "effcc.egg-info/PKG-INFO", ".hypothesis/a", ".venv/pyvenv.cfg"),
    *("tests/__pycache__/a.pyc", ".ruff_cache/a", ".pytest_cache/a", "effcc/.coverage"),
    *("notes.txt", ".env"),
)


def build(what, folder, out, umask=0o022, **environment):
    """The one file that hatchling makes, without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", what, "-d", str(out)]
    done = subprocess.run(
        command,
        cwd=folder,
        env=bare(PYTHONPATH="") | environment,
        umask=umask,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (made,) = out.iterdir()
    return made


def bare(**environment):
    """This environment without what tells a process where effcc is, or when now is."""
    left_out = {"PYTHONPATH", "EFFCC_HOME", "EFFCC_CACHE", "SOURCE_DATE_EPOCH", "XDG_CACHE_HOME"}
    return {k: v for k, v in os.environ.items() if k not in left_out} | environment


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(sdist, wheel) of this checkout."""
    out = tmp_path_factory.mktemp("built")
    return build("sdist", ROOT, out / "sdist"), build("wheel", ROOT, out / "wheel")


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
    """The sdist unpacked elsewhere, later, for its owner only, and worked in."""
    folder = tmp_path_factory.mktemp("un packed")
    with tarfile.open(built[0]) as archive:
        archive.extractall(folder, filter="data")
    (inner,) = folder.iterdir()
    for path in inner.rglob("*"):
        if path.is_file():
            path.chmod(0o700 if os.access(path, os.X_OK) else 0o600)
            os.utime(path, (1, 1))
    for name in STRAYS:
        path = inner / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left behind")
    return inner


def names(built):
    """(files of the sdist, files of the wheel)."""
    with tarfile.open(built[0]) as archive, zipfile.ZipFile(built[1]) as wheel:
        return {name.partition("/")[2] for name in archive.getnames()}, set(wheel.namelist())


def committed():
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or not (ROOT / ".git").exists():
        pytest.skip("no checkout: what is committed is not known")
    return {name for name in done.stdout.split("\0") if (ROOT / name).is_file()}


def test_the_sdist_is_what_is_committed_and_nothing_else(built):
    sdist, _ = names(built)
    assert sdist - {"PKG-INFO"} == committed()


def test_the_wheel_is_the_package_with_all_its_data_and_the_variants(built):
    _, wheel = names(built)
    files = {name for name in wheel if ".dist-info/" not in name}
    package = {name for name in committed() if name.startswith("effcc/")}
    project = {
        f"effcc/project/{name}"
        for name in committed()
        if name.startswith(("registry/", "model-index/"))
    }
    assert files == package | project
    for kind in ("schemas", "templates", "theme", "policies", "licenses", "c"):
        assert any(f"/{kind}/" in name for name in package), kind
    assert "effcc/py.typed" in files


def test_the_package_says_its_licence_by_its_name_and_in_full(built):
    with zipfile.ZipFile(built[1]) as wheel:
        (folder,) = {n.partition("/")[0] for n in wheel.namelist() if ".dist-info/" in n}
        said = HeaderParser().parsestr(wheel.read(f"{folder}/METADATA").decode())
        text = wheel.read(f"{folder}/licenses/LICENSE")
    assert tuple(map(int, said["Metadata-Version"].split("."))) >= (2, 4)
    assert said["License-Expression"] == "Apache-2.0"
    assert said["License-File"] == "LICENSE"
    assert text == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("epoch", [{}, {"SOURCE_DATE_EPOCH": "1700000000"}])
def test_the_package_is_the_same_bytes_wherever_and_whenever_it_is_built(
    built, unpacked, tmp_path, epoch
):
    """From the checkout and from the unpacked sdist; so the sdist makes the checkout's wheel."""
    for what, first in zip(("sdist", "wheel"), built, strict=True):
        there = build(what, unpacked, tmp_path / what, umask=0o077, TZ="Asia/Tokyo", **epoch)
        here = build(what, ROOT, tmp_path / f"{what}-here", **epoch) if epoch else first
        assert there.read_bytes() == here.read_bytes(), what


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Runs `effcc` from the installed wheel, in an environment that has its dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    # What else is installed here, but not what its own .pth files lead to: an editable effcc.
    beside = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    Path(paths["purelib"], "beside.pth").write_text("\n".join(beside))
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*pip, "--no-index", "--ignore-installed", built[1]],
        env=bare(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    package = Path(paths["purelib"], "effcc")
    assert (package / "project" / "registry").is_dir()

    def files():
        return {
            path: path.read_bytes()
            for path in sorted(package.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }

    before = files()

    def run(cwd, *words, code=0):
        done = subprocess.run(
            [folder / "bin" / "effcc", *words],
            cwd=cwd,
            env=bare(HOME=str(folder / "home")),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert files() == before, "the installed package was written to"
        return done.stdout + done.stderr

    return run


def test_outside_any_project_its_variants_can_be_read(installed, tmp_path):
    assert installed(tmp_path, "--version").startswith("effcc ")
    listed = installed(tmp_path, "list")
    for path in ROOT.glob("registry/*.yaml"):
        assert path.stem in listed
    assert "no problem" in installed(tmp_path, "check")
    assert "13,314,116" in installed(tmp_path, "show", "cc_b0_4e")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("fit", "--config", "registry/cc_pico_4e.yaml"),
        ("docs",),
        ("docs", "--check"),
        ("docs", "--build"),
        ("reproduce", "20261123T093104"),
    ],
)
def test_outside_any_project_what_would_write_says_how_to_begin_one(installed, tmp_path, words):
    said = installed(tmp_path, *words, code=3 if words[0] == "fit" else 2)
    assert "effcc new NAME --from cc_b0_4e" in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_in_an_empty_folder_a_new_variant_begins_a_project_that_trains(installed, tmp_path):
    """From nothing to a record and a card, all of it in that folder."""
    said = installed(tmp_path, "new", "cc_mine", "--from", "cc_pico_4e")
    assert f"began a project in {tmp_path}" in said
    assert {path.name for path in tmp_path.iterdir()} == {"registry", "model-index"}
    assert not (tmp_path / "registry" / "results").exists()
    listed = installed(tmp_path, "list")
    for name in ("cc_mine", *(path.stem for path in ROOT.glob("registry/*.yaml"))):
        assert name in listed
    assert "5 variants, 0 records: no problem" in installed(tmp_path, "check")
    short = ("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2")
    said = installed(tmp_path, "fit", "--config", "registry/cc_mine.yaml", *short)
    assert "slower" not in said, "the layers in C were not compiled"
    assert len(list((tmp_path / "registry" / "results" / "cc_mine").glob("*.json"))) == 1
    assert (tmp_path / "docs" / "models" / "cc_mine.md").is_file()
    assert "up to date" in installed(tmp_path, "docs", "--check")
    assert "no mkdocs.yml" in installed(tmp_path, "docs", "--build", "--no-demo", code=2)
