"""A project of its own for every test that writes, and the project that is shipped."""

import gc
import os
import shutil
from pathlib import Path

import pytest

from effcc.ground.home import Home

# Before torch is imported: on tensors this small, threads cost more in waiting than they save.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Modules and tests, half a million objects, are there to the end. Gone through for garbage as often
# as the little that a command has, they take a sixth of the time of tests that train nothing.
gc.set_threshold(700, 10, 100)

ROOT = Path(__file__).resolve().parents[1]
# Files of a project that its site is made of, beside the folders.
BESIDE = ("mkdocs.yml", "CITATION.cff", "CHANGELOG.md")


@pytest.fixture
def shipped():
    """The checkout itself, to read."""
    return Home(ROOT)


def copied(folder):
    """A copy of what people write, without measurements or cards."""
    for name, left_out in (("registry", "results"), ("model-index", ""), ("docs", "models")):
        ignored = shutil.ignore_patterns(left_out)
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in BESIDE:
        shutil.copy(ROOT / name, folder)
    return Home(folder.resolve())


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """A cache that tests share, because graphs take seconds to make."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cache(kept, monkeypatch):
    """That cache in the place of the user's own."""
    monkeypatch.setenv("EFFCC_CACHE", str(kept))
    return kept


@pytest.fixture(scope="session")
def learned(tmp_path_factory):
    """A small network that has learned something, trained once for all tests; not to change."""
    from learned import small

    return small(Home(tmp_path_factory.mktemp("learned").resolve()))


@pytest.fixture
def unburdened():
    """For a test that counts its own time: what other tests left is not collected in it."""
    gc.freeze()
    gc.collect()  # of nothing, so that counts begin anew
    yield
    gc.unfreeze()


@pytest.fixture
def poison():
    """Memory that nobody wrote to holds no numbers while the test lasts."""
    import torch  # tests of what needs no torch are quick without

    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    assert torch.empty(9).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of the test's own, as the working directory."""
    home = copied(tmp_path)
    monkeypatch.delenv("EFFCC_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The shipped documentation, built with cards written afresh."""
    from site_pages import build

    return build(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def browser(site):
    """(driver, address of the site) with the site served on loopback."""
    from site_pages import chromium, served

    with served(site) as address, chromium() as chrome:
        yield chrome, address
