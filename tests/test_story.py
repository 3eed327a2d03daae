"""The whole walk of a newcomer: a variant in YAML only, fitted, recorded, carded, on the site."""

import json
import os
import re
import subprocess
import sys

import pytest


def effcc(*words):
    """Run the command as a person does; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "effcc", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def git(*words):
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", *identity, *words], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def checkout(project):
    """A project under version control with its cards written."""
    (project.root / ".gitignore").write_text("runs/\nsite/\n")
    effcc("docs")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "start")
    return project


def test_a_new_variant_needs_two_files_and_no_python(checkout):
    effcc("new", "cc_mini_16e", "--from", "cc_pico_4e")
    variant = checkout.registry / "cc_mini_16e.yaml"
    variant.write_text(variant.read_text().replace("experts: 4", "experts: 16"))
    page = checkout.model_index / "cc_mini_16e.md"
    page.write_text(
        page.read_text().replace("    LR: 0.016", "    LR: 0.016\n    Parameters: 3.0M")
    )
    wrong = subprocess.run(
        [sys.executable, "-m", "effcc", "check"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 1  # a claim that the code does not bear out
    computed = re.search(r"Parameters: claims 3.0M, computed ([\d,]+)", wrong.stderr)[1]
    page.write_text(page.read_text().replace("3.0M", computed.replace(",", "")))
    effcc("check")
    effcc("docs")
    git("add", "--all")
    git("commit", "--quiet", "--message", "a new variant")
    assert "cc_mini_16e" in effcc("list")

    said = effcc(
        "fit",
        "--config",
        "registry/cc_mini_16e.yaml",
        "--trainer.max_epochs",
        "1",
        "--trainer.limit_train_batches",
        "3",
    )

    (record,) = (checkout.results / "cc_mini_16e").glob("*.json")
    measured = json.loads(record.read_text())
    assert measured["git"] == {"commit": git("rev-parse", "HEAD").strip(), "dirty": False}
    right = f"{measured['metrics']['top1']['correct']} of 360 images"
    assert right in said
    # Nothing but the record and the pages it changes.
    changed = {line[3:] for line in git("status", "--porcelain").splitlines()}
    assert changed == {"docs/models/cc_mini_16e.md", "registry/results/"}

    card = (checkout.models / "cc_mini_16e.md").read_text()
    assert record.stem in card
    assert computed in card
    site = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert site.returncode == 0, site.stderr
    built = (checkout.root / "site" / "models" / "cc_mini_16e" / "index.html").read_text()
    assert computed in built
    assert record.stem in built


def test_the_readme_begins_with_the_two_commands_of_the_project():
    from conftest import ROOT

    blocks = re.findall(r"```sh\n(.*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks[0] == "python -m pip install -e . && effcc fit --config registry/cc_b0_4e.yaml"
    assert blocks[1] == "python -m pip install -e '.[test]' && pytest"


@pytest.mark.slow
def test_the_default_fit_reaches_its_accuracy(project):
    effcc("fit", "--config", "registry/cc_pico_4e.yaml")
    (record,) = (project.results / "cc_pico_4e").glob("*.json")
    assert json.loads(record.read_text())["metrics"]["top1"]["value"] > 0.95
