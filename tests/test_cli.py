"""The command as typed: what it answers, what it ends with, and what it never imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from effcc import cli

PICO = ("--config", "registry/cc_pico_4e.yaml")


@pytest.fixture
def effcc(project, capsys):
    """Runs a command in a project of its own: (exit code, standard output, standard error)."""

    def run(*words):
        code = cli.main([str(word) for word in words])
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("list",), ("check",), ("docs",)])
def test_verbs_that_only_read_import_no_torch(project, words):
    code = (
        "import sys; from effcc.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'lightning', 'numpy', 'PIL', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_list_shows_every_variant_and_speaks_json(effcc):
    code, out, _ = effcc("list")
    assert code == 0
    for name in ("cc_b0_4e", "cc_b0_8e", "cc_b1_8e", "cc_pico_4e"):
        assert name in out
    rows = json.loads(effcc("list", "--json")[1])
    assert {row["name"]: row["computed"] for row in rows}["cc_b0_4e"]["params"] == 13_314_116


def test_show_puts_claims_beside_what_is_computed(effcc):
    code, out, _ = effcc("show", "cc_b0_4e")
    assert code == 0
    flops = next(line for line in out.splitlines() if line.startswith("FLOPs"))
    assert "224153788" in flops
    assert "396,513,888" in flops
    assert "disputed" in flops


def test_show_resolved_says_where_each_value_was_written(effcc):
    _, out, _ = effcc("show", "cc_b0_4e", "--resolved", "--recipe.lr", "0.5")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "model-index/tf-efficientnet-condconv.md:" in lines["recipe.momentum"]
    assert "registry/cc_b0_4e.yaml:" in lines["network.experts"]
    assert "--recipe.lr" in lines["recipe.lr"]
    assert "overrides 0.128 of registry/cc_b0_4e.yaml:" in lines["recipe.lr"]
    assert lines["network.width"].endswith("default")


def test_show_needs_no_data_because_it_reads_none(effcc):
    code, out, err = effcc("show", "cc_b0_4e", "--resolved", "--data.source", "folder")
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["data.source"].split()[1] == "folder"
    assert lines["data.root"].split()[1] == "null"


def test_a_printed_configuration_can_be_read_back(effcc, project):
    _, out, _ = effcc("fit", *PICO, "--print_config", "--recipe.lr", "0.02", "--seed", "7")
    (project.root / "full.yaml").write_text(out)
    again = effcc("fit", *PICO, "--config", "full.yaml", "--print_config")
    assert again == (0, out, "")
    assert "lr: 0.02" in out
    assert "seed: 7" in out


def test_configurations_stack_and_flags_win(effcc, project):
    (project.root / "one.yaml").write_text("recipe: {lr: 0.5, epochs: 3}\n")
    (project.root / "two.yaml").write_text("recipe: {epochs: 4}\n")
    _, out, _ = effcc(
        "fit",
        *PICO,
        "--config",
        "one.yaml",
        "--config",
        "two.yaml",
        "--recipe.lr=0.7",
        "--print_config",
    )
    assert "lr: 0.7" in out
    assert "epochs: 4" in out


USAGE = [
    (("fit",), "name a variant's file"),
    (("fit", *PICO, "--recipe.lrr", "1"), "--recipe.lrr: unknown key; did you mean 'lr'?"),
    (("fit", *PICO, "--recipe.lr", "fast"), '--recipe.lr: expected a number, found "fast"'),
    (("fit", *PICO, "--recipe.lr"), "--recipe.lr needs a value"),
    (("fit", *PICO, "--lr", "1"), "did you mean --recipe.lr?"),
    (("fit", *PICO, "--trainer.max_epoch", "1"), "did you mean 'max_epochs'?"),
    (("fit", *PICO, "--recipe.lr.x", "1"), "--recipe.lr: expected a number"),
    (("fit", *PICO, "--recipe.freeze_stages", "8"), "the network has 7 stages; freeze no more"),
    (("fit", *PICO, "--weights.sha256", "ab"), "expected 64 digits of 0-9 and a-f"),
    (("export", *PICO), "name the folder to write to"),
    (("export", *PICO, "--to", "out"), "name weights with --ckpt_path"),
    (("weights", "pull"), "name a variant; there are: cc_b0_4e"),
    (("weights", "pull", "cc_b0_4"), "did you mean 'cc_b0_4e'?"),
    (("fit", *PICO, "--data.source", "imagenets"), "did you mean 'imagenet'?"),
    (("fit", *PICO, "--data.source", "folder"), "add --data.root DIR"),
    (("fit", *PICO, "--data.root", "/data"), "add --data.source folder"),
    (("fit", *PICO, "--trainer.logger", "os.system"), "'os.system' may not be imported"),
    (("fit", *PICO, "--trainer.logger", "tensorbord"), "did you mean 'tensorboard'?"),
    (("fit", *PICO, "--trainer.logger", "paper"), "there are: csv, tensorboard, wandb, mlflow"),
    (
        ("fit", *PICO, "--trainer.max_epochs", "banana"),
        "banana is not a value that lightning.Trainer",
    ),
    (("fit", *PICO, "--plan", "--trainer.devices", "few"), "trainer.devices: few is not a value"),
    (("fit", *PICO, "--ckpt_path", "last"), "run effcc fit first"),
    (("test", *PICO, "--plan"), "'--plan' is not an option"),
    (("test", *PICO), "name weights with --ckpt_path"),
    (("test", *PICO, "--engine", "tensorflow"), "no engine 'tensorflow'; there are: torch, onnx"),
    (("predict", *PICO, "--engine", "openvio"), "did you mean 'openvino'?"),
    (("bench",), "name a variant, as in effcc bench cc_b0_4e"),
    (("bench", "cc_b0_4"), "did you mean 'cc_b0_4e'?"),
    (("bench", "cc_b0_4e", "--engine", "torch", "touch"), "'touch'; did you mean 'torch'?"),
    (("bench", "cc_b0_4e", "--batch", "1", "0"), "--batch 0: expected a whole number from 1 on"),
    (("bench", "cc_b0_4e", "--batch", "65537"), "--batch 65537: expected at most 65,536"),
    (("bench", "cc_b0_4e", "--threads", "9" * 5000), "--threads 99999999999999999999: expected"),
    (("bench", "cc_b0_4e", "--batch", "many"), "--batch many: expected a whole number"),
    (("bench", "cc_b0_4e", "--threads", "0"), "--threads 0: expected a whole number from 1 on"),
    (("bench", "cc_b0_4e", "--seconds", "nan"), "--seconds nan: expected a number above 0"),
    (("bench", "cc_b0_4e", "--ckpt_path", "last"), "run effcc fit first"),
    (("show", "cc_b0_4"), "did you mean 'cc_b0_4e'?"),
    (("new", "Bad-Name", "--from", "cc_b0_4e"), "no name for a variant"),
    (("new", "cc_b0_8e", "--from", "cc_b0_4e"), "registry/cc_b0_8e.yaml exists"),
    (("new", "cc_x", "--from", "cc_y"), "no variant 'cc_y'"),
    (("list", "--all"), "'--all' is not an option; effcc list --help lists them"),
    (("list", "--jsn"), "did you mean '--json'?"),
    (("list", "-top1>99"), "effcc list -- '-top1>99'"),
    (("docs", "foo"), "docs: 'foo' is one word too many"),
    (("fit", "--confg", "x"), "did you mean '--config'?"),
    (("docs", "--build", "--out", ""), "--out needs the name of a folder"),
    (("docs", "--build", "--out", "docs/site"), "inside what the site is made of"),
]


@pytest.mark.parametrize(("words", "message"), USAGE, ids=[" ".join(u[0])[:60] for u in USAGE])
def test_a_command_typed_wrong_is_one_line_and_two(effcc, project, words, message):
    code, _, err = effcc(*words)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not list(project.runs.glob("*/*"))


INPUT = [
    (
        ("fit", "--config", "nope.yaml"),
        "nope.yaml: no such file; there are: registry/cc_b0_4e.yaml",
    ),
    (("fit", "--config", "registry"), "registry: a folder, not a variant's file"),
    (("fit", *PICO, "--data.source", "folder", "--data.root", "/nowhere"), "no folder /nowhere"),
    (
        ("fit", *PICO, "--plan", "--data.source", "folder", "--data.root", "/nowhere"),
        "no folder /nowhere",
    ),
    (("fit", *PICO, "--network.num_classes", "7"), "handwritten digits has 10 classes"),
    (("fit", *PICO, "--data.batch_size", "5000"), "set --data.batch_size"),
    (("test", *PICO, "--ckpt_path", "none.ckpt"), "none.ckpt: no such checkpoint"),
    (("fit", *PICO, "--recipe.pretrained", "none.pth"), "none.pth: no such checkpoint"),
    (("check", "none.md"), "none.md: cannot be read"),
]


@pytest.mark.parametrize(("words", "message"), INPUT, ids=[" ".join(u[0])[:60] for u in INPUT])
def test_bad_input_is_one_line_and_three_and_leaves_nothing(effcc, project, words, message):
    code, _, err = effcc(*words)
    assert code == 3
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not list(project.runs.rglob("*.*"))
    assert not project.results.exists()


def test_every_problem_of_a_file_is_told_at_once(effcc, project):
    (project.root / "bad.yaml").write_text(
        "recipe: {lr: fast}\nnetwrk: {}\ntrainer: {max_epoch: 2}\n"
    )
    code, _, err = effcc("fit", *PICO, "--config", "bad.yaml")
    assert code == 3
    assert err.splitlines() == [
        'bad.yaml:1:14: recipe.lr: expected a number, found "fast"',
        "bad.yaml:2:1: netwrk: unknown key; did you mean 'network'?",
        "bad.yaml:3:11: trainer.max_epoch: unknown key; did you mean 'max_epochs'?",
    ]


def test_an_undisputed_disagreement_fails_the_check(effcc, project):
    page = project.model_index / "tf-efficientnet-condconv.md"
    page.write_text(page.read_text().replace("Parameters: 13310000", "Parameters: 13400000"))
    code, out, err = effcc("check")
    assert code == 1
    assert "Parameters: claims 13400000, computed 13,314,116" in err
    assert "1 problem," in out


def test_docs_check_fails_until_docs_are_written(effcc, project):
    assert effcc("docs", "--check")[0] == 1
    code, out, _ = effcc("docs")
    assert code == 0
    assert "wrote docs/models/cc_b0_4e.md" in out
    assert effcc("docs", "--check") == (0, "all pages are up to date\n", "")


def test_outside_a_project_the_command_says_so(effcc, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("EFFCC_HOME", str(tmp_path_factory.mktemp("empty")))
    code, _, err = effcc("list")
    assert code == 2
    assert "no folder with registry/ and model-index/" in err
    assert "let EFFCC_HOME name a project" in err


def test_a_plan_trains_nothing_and_writes_nothing(effcc, project):
    def files():
        return {p: p.stat().st_mtime_ns for p in project.root.rglob("*")}

    before = files()
    code, out, err = effcc("fit", *PICO, "--plan", "--network.depth", "0.5")
    assert (code, err) == (0, "")
    assert "380 in 20 epochs" in out
    assert "an epoch" in out
    assert files() == before


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # Lightning's hints to people at a terminal
def test_fit_test_validate_and_predict_work_together(effcc, project):
    short = ("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2")
    code, out, _ = effcc("fit", *PICO, *short, "--seed", "3")
    assert code == 0
    assert out.splitlines()[1].startswith("No data was named: training on the embedded handwritten")
    assert "--data.source folder --data.root DIR" in out
    assert "--data.source imagenet --data.root DIR" in out
    assert "not as registered: trainer.max_epochs=1" in out

    (record,) = project.results.rglob("*.json")
    measured = json.loads(record.read_text())
    assert f"record      registry/results/cc_pico_4e/{record.name}" in out
    assert measured["overrides"] == {"trainer.max_epochs": 1, "trainer.limit_train_batches": 2}
    assert record.stem in (project.models / "cc_pico_4e.md").read_text()

    code, out, _ = effcc("test", *PICO, "--ckpt_path", "last")
    assert code == 0
    assert f"{measured['metrics']['top1']['correct']} of 360 images" in out
    # What continues or measures a run has the run's seed.
    assert {json.loads(r.read_text())["seed"] for r in project.results.rglob("*.json")} == {3}
    assert len(list(project.results.rglob("*.json"))) == 2

    code, out, _ = effcc("validate", *PICO, "--ckpt_path", "last")
    assert code == 0
    assert "of 180 images" in out
    assert len(list(project.results.rglob("*.json"))) == 2

    pictures = project.root / "pictures"
    pictures.mkdir()
    for name in ("a.png", "b.jpg"):
        Image.fromarray(np.full((9, 7), 99, np.uint8)).save(pictures / name)
    flag = ("--data.on_error", "skip")  # whose value is no image
    code, out, _ = effcc(
        "predict", *PICO, "--ckpt_path", "last", *flag, "pictures", "pictures/a.png"
    )
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines()[1:]] == [
        "pictures/a.png",
        "pictures/b.jpg",
        "pictures/a.png",
    ]
    rows = json.loads(
        effcc("predict", *PICO, "--ckpt_path", "last", "pictures", "--json", "--top", "10")[1]
    )
    assert sum(entry["probability"] for entry in rows[0]["classes"]) == pytest.approx(1, abs=1e-5)
    assert {entry["class"] for entry in rows[0]["classes"]} == set("0123456789")

    (pictures / "c.png").write_text("no picture")
    code, _, err = effcc("predict", *PICO, "--ckpt_path", "last", "pictures")
    assert (code, "pictures/c.png: cannot be decoded" in err) == (3, True)

    (checkpoint,) = project.runs.rglob("last.ckpt")
    code, _, err = effcc("test", "--config", "registry/cc_b0_4e.yaml", "--ckpt_path", checkpoint)
    assert code == 3
    assert "a checkpoint of cc_pico_4e, with network.width 0.25; this variant's is 1.0" in err

    # The run was of one epoch by `trainer.max_epochs`; epochs that are typed now are obeyed.
    _, out, _ = effcc("fit", *PICO, "--ckpt_path", "last", "--recipe.epochs", "2", "--print_config")
    assert "max_epochs" not in out

    code, _, err = effcc("fit", *PICO, "--ckpt_path", "last")
    assert code == 2
    assert "has its 1 epoch; raise --trainer.max_epochs" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("lst", "effcc: argument VERB: 'lst' is none of them; did you mean 'list'?"),
        (
            "weights pul",
            "effcc weights: argument action: 'pul' is none of them; did you mean 'pull'?",
        ),
        ("routing --split train", "(choose from"),
        ("docs --demo x --no-demo", "not allowed with argument"),
    ],
)
def test_a_word_that_the_parser_refuses_is_one_line(capsys, words, said):
    with pytest.raises(SystemExit) as stopped:
        cli.main(words.split())
    err = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("place", ["README.md", "/proc/nope"])
def test_a_cache_that_cannot_be_is_told_by_its_name(project, capsys, monkeypatch, place):
    def make(args):
        """List."""
        (Path(place) / "npm").mkdir(parents=True)

    (project.root / "README.md").write_text("x")
    monkeypatch.setenv("EFFCC_CACHE", place)
    monkeypatch.setitem(cli.VERBS, "list", make)
    assert cli.main(["list"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"EFFCC_CACHE={place}: No")
    assert len(err.splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a folder that is used stays")
@pytest.mark.parametrize("verb", ["list", "check", "docs"])
def test_in_a_folder_that_is_gone_it_is_said_in_a_line(tmp_path, monkeypatch, capsys, verb):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    try:
        assert cli.main([verb]) == 2
    finally:
        os.chdir(tmp_path)
    assert capsys.readouterr().err == "the folder that you are in is gone; go to another\n"
