"""The bench as typed: real processes, a record, and a card that shows it."""

import json

import pytest
import records
from test_transfer import TINY

from effcc import cli, filing, stopwatch
from effcc.catalog import timings
from effcc.ground import home
from effcc.nn import engines
from effcc.train import bench

SMALL = [f"--{key}={json.dumps(value)}" for key, value in TINY.items()]
QUICK = ("--seconds", "0.05", "--threads", "1")


def effcc(capsys, *words):
    code = cli.main([str(word) for word in words])
    return code, *capsys.readouterr()


@pytest.fixture(autouse=True)
def own_cache(cache):
    """Nothing goes into the user's."""


def test_a_bench_measures_records_and_shows(project, capsys):
    # As registered, or its card would not show it: the smallest variant, its images smaller.
    page = project.registry / "cc_pico_4e.yaml"
    page.write_text(page.read_text() + "\npreprocessing: {image_size: 32}\n")
    entry = project.model_index / "effcc-condconv-pico.md"
    entry.write_text(entry.read_text().replace("Image Size: '224'", "Image Size: '32'"))
    words = ("bench", "cc_pico_4e", "--engine", "torch", "--batch", "2", "1")
    code, out, err = effcc(capsys, *words, *QUICK)
    assert (code, err) == (0, "")
    (made,) = records.load(timings, project, "cc_pico_4e")
    assert (made.engines, made.batches, made.threads) == (["torch"], [1, 2], 1)
    assert made.command == f"effcc {' '.join(words)} {' '.join(QUICK)}"
    assert made.checkpoint is None
    assert all(timing.calls >= 3 * made.rounds for timing in made.timings)
    assert all(0 < made.share(timing) < 1 for timing in made.timings)
    assert all(peak.bytes > 50 * 2**20 for peak in made.peaks)  # torch is in them
    assert f"record    registry/results/cc_pico_4e/{made.id}.json" in out
    card = (project.models / "cc_pico_4e.md").read_text()
    assert "\n## Speed\n" in card
    assert made.id in card
    assert effcc(capsys, "check")[1].startswith("4 variants, 1 record: no problem")
    assert "cc_pico_4e" in effcc(capsys, "list")[1]


def test_a_bench_that_is_not_recorded_leaves_the_registry_alone(project, capsys, monkeypatch):
    made = records.bench(project)
    monkeypatch.setattr(bench, "measure", lambda *_: made)

    def files():
        return {p: p.stat().st_mtime_ns for p in project.root.rglob("*")}

    before = files()
    code, out, err = effcc(capsys, "bench", "cc_pico_4e", "--no-record")
    assert (code, err) == (0, "")
    assert stopwatch.text(made) in out
    assert "not recorded" in out
    assert files() == before


def test_a_bench_outside_any_project_measures_and_records_nothing(project, capsys, monkeypatch):
    made = records.bench(project)
    monkeypatch.setattr(bench, "measure", lambda *_: made)
    monkeypatch.setattr(home, "_BROUGHT", project.root)
    monkeypatch.setattr(filing, "ready", None)  # where it is installed may be read-only
    code, out, err = effcc(capsys, "bench", "cc_pico_4e")
    assert (code, err) == (0, "")
    assert "not recorded: no project is here; effcc new" in out
    assert not project.results.exists()


@pytest.mark.slow
def test_every_engine_is_timed_with_a_checkpoints_weights(project, capsys):
    short = ("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2")
    assert effcc(capsys, "fit", "--config", "registry/cc_pico_4e.yaml", *short)[0] == 0
    words = ("bench", "cc_pico_4e", "--batch", "2", "--ckpt_path", "last")
    code, out, _ = effcc(capsys, *words, *QUICK)
    assert code == 0
    (made,) = records.load(timings, project, "cc_pico_4e")
    assert made.engines == list(engines.ENGINES)
    assert made.settings["network"]["num_classes"] == 10
    assert made.checkpoint["path"] in out
    # The digits' images are smaller, so this is not the variant's speed.
    card = (project.models / "cc_pico_4e.md").read_text()
    assert "\n## Speed\n" not in card
    (row,) = [line for line in card.splitlines() if f"<code>{made.id}</code>" in line]
    assert f"<td>preprocessing.image_size {made.image_size}</td>" in row


def test_a_bench_prints_its_settings_and_stops(project, capsys):
    code, out, _ = effcc(capsys, "bench", "cc_pico_4e", "--print_config", *SMALL)
    assert code == 0
    assert "image_size: 32" in out
