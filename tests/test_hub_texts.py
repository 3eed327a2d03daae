"""Cards and eval results are checked as a model-index is."""

import json

import pytest
from test_eval_results import FILE
from test_huggingface_card import CARD

from effcc import cli
from effcc.claims import hub_texts, modelindex


def check(folder, **texts):
    paths = []
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        paths.append(path)
    return modelindex.check(paths, folder)


def test_the_models_of_a_card_are_found_and_what_is_wrong_with_them(tmp_path):
    found = check(tmp_path, README_md=CARD.replace("value: 0.7730", "value: n/a"))
    assert [claim.name for claim in found.claims] == ["org/tiny-vit"]
    (problem,) = found.problems
    assert (problem.code, str(problem.place)) == ("MI079", "README.md:17:14")


def test_a_card_and_a_comment_are_both_read_and_may_be_of_one_model(tmp_path):
    comment = "\n<!--\nType: model-index\nModels:\n- Name: org/tiny-vit\n-->\n"
    found = check(tmp_path, README_md=CARD + comment)
    assert found.problems == []
    assert [claim.name for claim in found.claims] == ["org/tiny-vit", "org/tiny-vit"]


def test_eval_results_are_checked_and_are_no_models(tmp_path):
    found = check(tmp_path, hle_yaml=FILE.replace("task_id: hle", "config: hle"))
    assert found.claims == []
    assert [p.code for p in found.problems] == ["MI082"]


def test_front_matter_that_is_no_yaml_has_its_place(tmp_path):
    (problem,) = check(tmp_path, README_md="---\nmodel-index: [\n---\n").problems
    assert (problem.code, problem.place.line) == ("MI004", 3)


@pytest.mark.parametrize(
    ("path", "text", "are"),
    [
        ("a/.eval_results/x.yaml", "", True),
        ("x.yaml", "# ours\n- dataset:\n    id: a/b\n", True),
        ("x.yaml", "Models:\n- Name: a\n", False),
        ("x.yaml", "- datasets: []\n", False),
        ("x.yaml", "steps:\n  - dataset: x\n", False),
    ],
)
def test_eval_results_are_told_by_their_folder_or_by_how_they_begin(path, text, are):
    assert hub_texts.are_eval_results(path, text) is are


def test_a_repository_of_the_hub_is_checked_as_a_whole(tmp_path, monkeypatch, capsys):
    (tmp_path / ".eval_results").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.md").write_text(CARD.replace("name: ImageNet", "name: 5"), "utf-8")
    (tmp_path / ".eval_results" / "hle.yaml").write_text("- dataset: x\n")
    (tmp_path / ".git" / "hle.yaml").write_text("- dataset: x\n")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", ".", "--format", "json"]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert {(p["file"], p["code"]) for p in problems} == {
        ("README.md", "MI075"),
        (".eval_results/hle.yaml", "MI081"),
        (".eval_results/hle.yaml", "MI083"),
    }
