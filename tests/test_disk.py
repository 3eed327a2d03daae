"""A disk that is full or must not be written: one line that says what to do, and nothing lost."""

import contextlib
import io
import os
import resource
from functools import partial

import faults
import pytest
from child import outcome
from faults import mounted, needs_mounts, read_only, small
from images import photographs
from records import record

from effcc import cli, filing
from effcc.catalog import results
from effcc.ground.errors import UserError
from effcc.nn import native
from effcc.report import cards
from effcc.sources import pack
from effcc.train import logfiles
from effcc.train.guard import Unwritable

PICO = "cc_pico_4e"


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def said(folder, *words):
    """The exit code of a command and what it says of its failure."""
    os.chdir(folder)
    with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(err):
        code = cli.main([str(word) for word in words])
    return code, err.getvalue()


def behind(mounts, function, *arguments):
    return outcome(function, *arguments, first=partial(faults.enter, mounts.pid))


@needs_mounts
@pytest.mark.parametrize(
    ("fault", "why"),
    [(partial(small, size="4k"), "No space left on device"), (read_only, "Read-only file system")],
    ids=["full", "read-only"],
)
def test_a_record_without_room_says_how_to_have_it_and_leaves_nothing(project, fault, why):
    project.results.mkdir()
    made = record(project, curve=300 * ({"epoch": 1, "train_loss": 2.5},))
    with mounted(fault(project.results)) as mounts:
        error = behind(mounts, filing.record, made, project, results.save, "do this")
        assert files(mounts.seen(project.results)) == {}
    assert isinstance(error, UserError)
    assert str(error).startswith(f"{project.results / PICO}")
    assert str(error).endswith(
        f": the record cannot be written: {why}; make room, or the folder writable; then do this"
    )
    filing.record(made, project, results.save, "do this")
    assert results.load(project, PICO) == [made]


@needs_mounts
@pytest.mark.parametrize("folder", ["results", "runs"])
def test_a_run_whose_files_could_not_be_kept_does_not_begin(project, folder):
    place = getattr(project, folder)
    place.mkdir()
    words = ["fit", "--config", f"registry/{PICO}.yaml", "--trainer.accelerator", "cpu"]
    with mounted(read_only(place)) as mounts:
        code, text = behind(mounts, said, project.root, *words)
    last = text.splitlines()[-1]
    assert code == 3
    assert "Read-only file system" in last
    assert last.startswith(
        f"registry/results/{PICO}: " if folder == "results" else f"{place / PICO}/"
    )
    assert last.endswith("let it be a folder that you may write to")
    assert not list(project.runs.rglob("*.ckpt"))


@needs_mounts
@pytest.mark.parametrize(
    ("fault", "why"),
    [(partial(small, size="44k"), "No space left on device"), (read_only, "Read-only file system")],
    ids=["full", "read-only"],
)
def test_a_card_without_room_leaves_whole_cards_and_the_record(project, fault, why):
    cards.write(project)
    before = files(project.models)
    results.save(record(project), project)
    with mounted(fault(project.models)) as mounts:
        error = behind(mounts, filing.card, PICO, project)
        assert str(error).startswith(str(project.models))
        assert str(error).endswith(
            f"{why}; the record is kept; with this mended, `effcc docs` writes its card"
        )
        code, text = behind(mounts, said, project.root, "docs")
        assert code == 3
        assert why in text
        assert text.endswith(", and give the command again\n")
        left = files(mounts.seen(project.models))
    # On the disk that filled up, those that had room.
    assert left.items() <= {**before, **files(project.models)}.items() or left == before
    assert said(project.root, "docs")[0] == 0
    assert cards.stale(project) == []


@needs_mounts
def test_shards_without_room_go_on_when_there_is_some(tmp_path):
    photographs(tmp_path / "photos")
    whole, out = tmp_path / "whole", tmp_path / "out"
    words = ["shards", tmp_path / "photos", out, "--per-shard", 4]
    out.mkdir()
    assert said(tmp_path, *words[:2], whole, *words[3:])[0] == 0
    with mounted(small(out, "60k")) as mounts:
        code, text = behind(mounts, said, tmp_path, *words)
        assert code == 3
        assert text.splitlines()[-1] == (
            f"{out}: No space left on device; make room, then the same command goes on after the "
            "last finished shard"
        )
        kept = files(mounts.seen(out))
        assert not [name for name in kept if "partial" in name]
        for name, content in kept.items():
            (out / name).write_bytes(content)
    assert said(tmp_path, *words)[0] == 0
    assert files(out) == files(whole)
    assert pack.check(out, lambda *_: None)[1] == []


@needs_mounts
def test_a_cache_that_must_not_be_written_is_done_without(tmp_path):
    with mounted(read_only(tmp_path)) as mounts:
        assert "Read-only file system" in behind(mounts, compiled_in, tmp_path)


def compiled_in(folder):
    os.environ.pop("EFFCC_CACHE", None)
    os.environ["XDG_CACHE_HOME"] = str(folder)
    return native.missing()


@pytest.mark.parametrize("kind", [logfiles.CSV, logfiles.TensorBoard])
def test_a_log_without_room_is_a_line_and_holds_nothing_up(tmp_path, kind, capfd):
    logger = kind(str(tmp_path), name="", version="")
    logger.log_hyperparams({})

    def log():
        for step in range(10_000):  # many more than wait in line for the thread that writes
            logger.log_metrics({"loss": 0.5, "top1": 0.25}, step)
            if step % 50 == 0:
                logger.save()

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(Unwritable, match="the log cannot be written: File too large"):
            log()
        logger.finalize("failed")  # what Lightning calls next
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert capfd.readouterr().err == ""
