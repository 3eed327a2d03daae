"""A record can be run again, as what it was, and leaves nothing behind."""

import dataclasses
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import records
import torch
import yaml
from conftest import ROOT, copied

from effcc import checkout, cli, rerun
from effcc.catalog import registry, results, timings
from effcc.catalog.spec import digest
from effcc.ground.home import Home

PICO = "registry/cc_pico_4e.yaml"
SHORT = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=3")
SAME_BITS = "the same: every figure to its last digit"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with one short run in it, made once."""
    home = copied(tmp_path_factory.mktemp("trained"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("EFFCC_HOME", raising=False)
        patch.chdir(home.root)
        assert cli.main(["fit", "--config", PICO, "--seed", "5", *SHORT]) == 0
        assert cli.main(["test", "--config", PICO, "--ckpt_path", "last"]) == 0
    return home


@pytest.fixture
def effcc(trained, tmp_path, monkeypatch, capsys):
    """A copy of that project, and `effcc reproduce` in it: (exit code, all that was said)."""
    home = Home(tmp_path.resolve() / "project")
    shutil.copytree(trained.root, home.root)
    monkeypatch.delenv("EFFCC_HOME", raising=False)
    monkeypatch.chdir(home.root)

    def run(*words):
        code = cli.main(["reproduce", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out + err

    run.home = home
    run.fit, run.test = (
        next(r for r in results.load(home, "cc_pico_4e") if r.verb == verb)
        for verb in ("fit", "test")
    )
    return run


def files(home):
    return {path: path.stat().st_mtime_ns for path in home.root.rglob("*") if path.is_file()}


def rewritten(effcc, record, **changes):
    """The record once more under another id, changed and sealed anew."""
    made = replace(record, id=f"20300101T000000Z-{record.verb}-digits-5", filed=None, **changes)
    results.save(made, effcc.home)
    return made.id


# A fit


def test_a_fit_comes_back_to_the_last_bit_and_leaves_nothing(effcc):
    before = files(effcc.home)
    code, said = effcc(effcc.fit.id)
    assert code == 0
    assert "within the interval" in said
    assert SAME_BITS in said
    assert "same code, packages and machine" in said
    assert files(effcc.home) == before


def test_it_is_the_run_of_then_whatever_the_registry_says_now(effcc):
    path = effcc.home.root / PICO
    changes = "recipe: {lr: 0.5, momentum: 0.1}\nseed: 9\ntrainer: {max_steps: 1}\n"
    path.write_text(path.read_text("utf-8") + changes)
    code, said = effcc(effcc.fit.id)
    assert code == 0
    assert SAME_BITS in said


def test_a_setting_that_is_newer_than_the_record_has_its_default(effcc):
    settings = json.loads(json.dumps(dict(effcc.fit.settings)))
    del settings["recipe"]["head_lr"], settings["recipe"]["augment"]["mixup"]
    older = rewritten(effcc, effcc.fit, settings=settings)
    path = effcc.home.root / PICO
    path.write_text(path.read_text("utf-8") + "recipe: {head_lr: 5, augment: {mixup: 1}}\n")
    assert SAME_BITS in effcc(older)[1]


def test_a_figure_outside_the_interval_ends_with_1(effcc):
    top1 = results.accuracy(355, 360)
    better = rewritten(effcc, effcc.fit, metrics={**effcc.fit.metrics, "top1": top1})
    code, said = effcc(better)
    assert code == 1
    assert "recorded  98.6 % (96.8 to 99.4): 355 of 360" in said
    assert "outside the interval, which is of the recorded figure alone" in said
    assert ", more than chance explains (p = " in said
    assert "not the same: top1 0.98611111111111116 then" in said


def test_outside_the_interval_is_told_from_more_than_chance(effcc):
    """The interval is of one figure, the test of both."""
    top1 = effcc.fit.metrics["top1"]
    off = next(
        found
        for right in range(top1.correct, 361)
        if not (found := results.accuracy(right, 360)).low <= top1.value <= found.high
    )
    code, said = effcc(rewritten(effcc, effcc.fit, metrics={**effcc.fit.metrics, "top1": off}))
    assert code == 1
    assert "outside the interval, which is of the recorded figure alone" in said
    (both,) = [line for line in said.splitlines() if line.startswith("both ")]
    assert "points, which chance explains (p = 0." in both
    assert both.endswith(", Fisher's exact test, two-sided)")


def test_what_differs_from_the_record_is_said(effcc):
    older = rewritten(effcc, effcc.fit, versions={**effcc.fit.versions, "torch": "1.0"})
    (row,) = [line for line in effcc(older)[1].splitlines() if line.startswith("versions.torch ")]
    assert row.split()[1:] == ["1.0", effcc.fit.versions["torch"]]


def test_bits_that_differ_are_explained_by_the_processor_or_by_nothing(effcc):
    """Names of processors say little: hosts call many generations alike."""
    loss = replace(effcc.fit.metrics["loss"], value=effcc.fit.metrics["loss"].value * (1 + 1e-7))
    metrics = {**effcc.fit.metrics, "loss": loss}
    said = effcc(rewritten(effcc, effcc.fit, metrics=metrics))[1]
    assert "bits      not the same: loss" in said
    assert "nothing on record explains that" in said.splitlines()[-1]
    (effcc.home.results / "cc_pico_4e" / "20300101T000000Z-fit-digits-5.json").unlink()
    device = {**effcc.fit.device, "instructions": "AVX17", "threads": 99}
    del device["model"]
    said = effcc(rewritten(effcc, effcc.fit, metrics=metrics, device=device))[1]
    assert said.splitlines()[-1].endswith(
        "these are others: processor's model (not on record then), vector instructions, threads"
    )


def test_a_record_says_which_instructions_summed(effcc):
    assert effcc.fit.device["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert len(effcc.fit.device["model"].split()) == 4  # vendor, family, model, stepping


def test_a_record_that_was_edited_is_announced_as_such_and_does_not_come_back(effcc):
    path = effcc.home.results / "cc_pico_4e" / f"{effcc.test.id}.json"
    correct = effcc.test.metrics["top1"].correct
    path.write_text(path.read_text("utf-8").replace(f'"correct": {correct}', '"correct": 59'))
    code, said = effcc(effcc.test.id)
    assert "edited by hand: this is not what was measured" in said
    assert f"not the same: top1 of 59 then, of {correct} now" in said
    assert code == 1


def test_it_is_kept_where_somebody_asks_for_it(effcc):
    code, said = effcc(effcc.fit.id, "--record")
    assert code == 0
    (made,) = [
        r
        for r in results.load(effcc.home, "cc_pico_4e")
        if r.id not in (effcc.fit.id, effcc.test.id)
    ]
    assert made.command == f"effcc reproduce {effcc.fit.id} --record"
    assert made.settings == effcc.fit.settings
    assert made.overrides == effcc.fit.overrides
    assert (effcc.home.root / made.checkpoint["path"]).is_file()
    assert made.id in (effcc.home.models / "cc_pico_4e.md").read_text("utf-8")
    assert f"registry/results/cc_pico_4e/{made.id}.json" in said


# A test


def test_a_test_comes_back_from_the_checkpoint_it_measured(effcc):
    before = files(effcc.home)
    code, said = effcc(effcc.test.id)
    assert code == 0
    assert SAME_BITS in said
    assert files(effcc.home) == before


def test_a_checkpoint_that_is_gone_or_another_is_named(effcc, tmp_path):
    path = effcc.home.root / effcc.test.checkpoint["path"]
    moved = path.rename(tmp_path / "elsewhere.ckpt")
    code, said = effcc(effcc.test.id)
    assert code == 3
    assert f"{effcc.test.checkpoint['path']}: not there" in said
    assert effcc(effcc.test.id, "--ckpt_path", moved)[0] == 0
    path.write_bytes(b"something else")
    code, said = effcc(effcc.test.id)
    assert code == 3
    assert f"the record is of {effcc.test.checkpoint['sha256'][:12]}" in said


# What cannot be the same run


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"fingerprint": "sha256:" + "ab" * 32}, "fingerprint"),
        ({"train_images": 99}, "number of training images"),
        ({"train_fingerprint": "sha256:" + "ab" * 32}, "fingerprint of the training images"),
        ({"classes": 11}, "number of classes"),
    ],
)
@pytest.mark.parametrize("how", [(), ("--at-commit",)])
def test_other_images_are_noticed_before_anything_is_trained(effcc, changes, what, how):
    git = {"commit": "ab" * 20, "dirty": False}
    data = replace(effcc.fit.dataset, **changes)
    other = rewritten(effcc, effcc.fit, dataset=data, git=git)
    before = files(effcc.home)
    code, said = effcc(other, *how)
    assert code == 3
    assert f"other images: the {what} of handwritten digits was" in said
    assert "epoch 1" not in said
    assert files(effcc.home) == before


REFUSED = [
    (("--recipe.lr", "0.1"), 2, "--recipe.lr: the settings are the record's"),
    (("--record", "--at-commit"), 2, "leave out --at-commit"),
    (("--at-commit",), 3, "made outside version control"),
]


@pytest.mark.parametrize(("words", "code", "said"), REFUSED)
def test_what_would_be_another_run_is_refused_in_a_line(effcc, words, code, said):
    found, text = effcc(effcc.fit.id, *words)
    assert found == code
    assert said in text.splitlines()[-1]


def test_a_time_is_measured_again_by_another_verb(effcc):
    timings.save(records.bench(effcc.home), effcc.home)
    code, said = effcc("20260131T120000Z-bench-2-threads")
    assert code == 2
    assert "effcc bench cc_pico_4e" in said


def test_a_setting_that_this_version_does_not_know_is_named(effcc):
    settings = json.loads(json.dumps(dict(effcc.fit.settings)))
    settings["recipe"]["sharpness"] = 2
    code, said = effcc(rewritten(effcc, effcc.fit, settings=settings))
    assert code == 3
    assert "does not take the record's recipe.sharpness: unknown key" in said
    assert said.rstrip().endswith("try --at-commit")


@pytest.mark.parametrize("how", [(), ("--at-commit",)])
@pytest.mark.parametrize("named", ["pipe:touch ran", ["a.tar", "pipe:touch ran"]])
def test_a_record_cannot_run_a_command(effcc, how, named):
    """A pipe may be typed, but a record is a file."""
    settings = json.loads(json.dumps(dict(effcc.fit.settings)))
    settings["data"] |= {"source": "shards", "root": ".", "train": named}
    dataset = dataclasses.replace(effcc.fit.dataset, name="shards")
    code, said = effcc(rewritten(effcc, effcc.fit, settings=settings, dataset=dataset), *how)
    assert code == 3
    assert "data.train runs a command, 'pipe:touch ran'; a pipe may only be typed" in said
    assert not (effcc.home.root / "ran").exists()


@pytest.mark.parametrize("place", ["/elsewhere", "ftp://example.org/out", "../out"])
def test_a_record_writes_nowhere_else(effcc, place):
    settings = json.loads(json.dumps(dict(effcc.fit.settings)))
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": place}}
    settings["trainer"] |= {"logger": logger}
    code, said = effcc(rewritten(effcc, effcc.fit, settings=settings))
    assert code == 3
    assert f"{place!r}" in said
    assert "may only be typed, as a flag" in said


# The code of then


def git(folder, *words):
    identity = ("-c", "user.name=x", "-c", "user.email=x@y.invalid", "-c", "commit.gpgsign=false")
    command = ["git", *identity, "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def versioned(tmp_path):
    """A project with its code, under version control."""
    root = tmp_path.resolve() / "versioned"
    ignored = shutil.ignore_patterns("__pycache__", "results", "models", "project")
    for name in ("effcc", "registry", "model-index"):
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    (root / ".gitignore").write_text("__pycache__\nruns\n")
    git(tmp_path, "init", "-q", str(root))
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    return Home(root)


# What stands for the code of then: it says what it was asked for, and leaves a record.
OLD = """
import json, os, pathlib, sys
said = {"words": sys.argv[1:], "folder": os.getcwd(), "threads": os.environ["OMP_NUM_THREADS"],
        "overlay": pathlib.Path(sys.argv[5]).read_text(), "home": os.environ.get("EFFCC_HOME")}
pathlib.Path(SAID).write_text(json.dumps(said))
record = json.loads(RECORD)
folder = pathlib.Path("registry/results/cc_pico_4e")
folder.mkdir(parents=True, exist_ok=True)
(folder / (record["id"] + ".json")).write_text(json.dumps(record))
"""


def test_the_code_of_then_is_given_the_settings_of_then(effcc, tmp_path, monkeypatch):
    """Code that knew fewer settings, and records without a digest."""
    home, said = effcc.home, tmp_path / "said.json"
    then = json.loads(json.dumps(results.plain(effcc.fit)))
    del then["settings"]["recipe"]["head_lr"]
    then |= {"schema": 1, "id": "20300202T000000Z-fit-digits-5"}
    text = OLD.replace("SAID", repr(str(said))).replace("RECORD", repr(json.dumps(then)))
    (home.root / "effcc").mkdir()
    (home.root / "effcc" / "__init__.py").write_text("")
    (home.root / "effcc" / "__main__.py").write_text(text)
    git(home.root, "init", "-q")
    git(home.root, "add", "-A")
    git(home.root, "commit", "-qm", "one")
    head = {"commit": git(home.root, "rev-parse", "HEAD"), "dirty": False}
    older = rewritten(effcc, effcc.fit, git=head, settings=then["settings"])
    (home.root / "effcc" / "__main__.py").write_text("raise SystemExit('the code of today')")
    monkeypatch.setenv("EFFCC_HOME", str(home.root))
    before = files(home)
    code, out = effcc(older, "--at-commit", "--data.workers", "0")
    assert code == 0
    assert "the same checkpoint, byte for byte" in out
    assert files(home) == before
    asked = json.loads(said.read_text())
    assert asked["words"][:4] == ["fit", "--config", PICO, "--config"]
    assert asked["words"][5:] == ["--data.workers=0"]
    assert (asked["threads"], asked["home"]) == (str(effcc.fit.device["threads"]), None)
    overlay = yaml.safe_load(asked["overlay"])
    assert overlay.pop("seed") == 5
    del then["settings"]["network"]["num_classes"]  # the data's to say
    assert overlay == then["settings"]
    assert not Path(asked["folder"]).exists()


@pytest.mark.slow
def test_at_its_commit_it_runs_with_the_code_of_its_commit(versioned, monkeypatch, capfd):
    """The code and the registry of today are broken; those of the record's commit are not."""
    monkeypatch.delenv("EFFCC_HOME", raising=False)
    monkeypatch.chdir(versioned.root)
    assert cli.main(["fit", "--config", PICO, *SHORT]) == 0
    (record,) = results.load(versioned, "cc_pico_4e")
    assert record.git == {"commit": git(versioned.root, "rev-parse", "HEAD"), "dirty": False}
    path = versioned.root / PICO
    path.write_text(path.read_text("utf-8") + "recipe: {lr: 0.5}\n")
    module = versioned.root / "effcc" / "train" / "schedule.py"
    module.write_text("raise SystemExit('the code of today')\n")
    before = files(versioned)
    capfd.readouterr()
    assert cli.main(["reproduce", record.id, "--at-commit"]) == 0
    said = capfd.readouterr().out
    assert "within the interval" in said
    assert SAME_BITS in said
    assert "same code, packages and machine" in said
    after = {p: t for p, t in files(versioned).items() if p.name != "index"}
    assert after == {p: t for p, t in before.items() if p.name != "index"}


@pytest.mark.parametrize(
    ("commit", "dirty", "said"),
    [
        (None, None, "made outside version control"),
        ("HEAD", True, "with changes to .* that were not committed"),
        ("HEAD", None, "git did not tell whether there were changes to"),
        ("ab" * 20, False, "this repository has no commit abababababab; fetch it"),
    ],
)
def test_code_that_is_not_to_be_had_is_said_in_a_line(versioned, commit, dirty, said):
    found = git(versioned.root, "rev-parse", "HEAD") if commit == "HEAD" else commit
    with (
        pytest.raises(checkout.NoSuchCode, match=said) as caught,
        checkout.of({"commit": found, "dirty": dirty}, versioned.root),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_outside_a_repository_or_without_git_it_says_so(tmp_path, versioned, monkeypatch):
    head = {"commit": git(versioned.root, "rev-parse", "HEAD"), "dirty": False}
    for root, path in ((tmp_path, None), (versioned.root, "/nowhere")):
        if path:
            monkeypatch.setenv("PATH", path)
        with (
            pytest.raises(checkout.NoSuchCode, match="in no repository, or git is not installed"),
            checkout.of(head, root),
        ):
            pass


def test_a_checkout_is_the_commit_and_gone_afterwards(versioned):
    head = {"commit": git(versioned.root, "rev-parse", "HEAD"), "dirty": False}
    (versioned.root / PICO).write_text("changed since")
    with checkout.of(head, versioned.root) as there:
        assert (there.root / PICO).read_bytes() == (ROOT / PICO).read_bytes()
        assert git(there.root, "rev-parse", "HEAD") == head["commit"]
    assert not there.root.exists()
    assert git(versioned.root, "worktree", "list").count("\n") == 0


def test_the_overlay_of_every_shipped_record_gives_its_settings_back(shipped):
    """Resolved today, each is still the run that it was."""
    for folder in sorted(shipped.results.iterdir()):
        for record in results.load(shipped, folder.name):
            spec = rerun.spec(record, shipped, {})
            assert spec.digest == digest(record.settings)
            assert spec.seed == record.seed
            assert spec.name in registry.names(shipped)
