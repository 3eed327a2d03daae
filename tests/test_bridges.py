"""`effcc convert`: nothing is lost without a word, and nothing that exists is destroyed."""

import pytest
import yaml
from huggingface_hub import ModelCard, metadata_load, parse_eval_result_entries
from test_eval_results import FILE
from test_huggingface_card import CARD

from effcc import cli
from effcc.claims import modelindex

PUBLISHED = "model-index/tf-efficientnet-condconv.md"
NAMES = [f"tf_efficientnet_cc_{name}" for name in ("b0_4e", "b0_8e", "b1_8e")]

RESULT = [
    {"Task": "Image Classification", "Dataset": "ImageNet", "Metrics": {"Top 1 Accuracy": "70%"}}
]


@pytest.fixture
def convert(project, capsys):
    def run(*words):
        code = cli.main(["convert", *words])
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return run


def test_a_card_is_printed_and_what_it_does_not_hold_beside_it(convert):
    code, out, err = convert(PUBLISHED, "--to", "hf", "--model", NAMES[0])
    card = ModelCard(out)
    assert code == 0
    assert card.data.model_name == NAMES[0]
    assert [r.metric_value for r in card.data.eval_results] == [0.7732, 0.9332]
    why = "a Hugging Face model-index holds results only"
    assert f"left out: {PUBLISHED}:79:12: Models.{NAMES[0]}.Metadata.FLOPs: {why}" in err
    assert all(line.startswith("left out: ") for line in err)
    assert not [line for line in err if NAMES[1] in line]


@pytest.mark.parametrize(("one", "other"), [("a b", "a-b"), ("a", "A"), ("x" * 300, "x" * 400)])
@pytest.mark.parametrize("to", ["hf", "eval-results"])
def test_models_whose_folders_would_be_one_do_not_lose_each_other(convert, project, one, other, to):
    index = {"Models": [{"Name": name, "Results": RESULT} for name in (one, other)]}
    (project.root / "two.yml").write_text(yaml.safe_dump(index))
    code, _, err = convert("two.yml", "--to", to, "--out", "cards")
    assert code == 2
    assert "would both be in" in err[0]
    assert not (project.root / "cards").exists()
    for name, folder in ((one, "1"), (other, "2")):
        assert convert("two.yml", "--to", to, "--model", name, "--out", folder)[0] == 0


def test_a_name_that_is_too_long_for_a_folder_is_cut(convert, project):
    index = {"Models": [{"Name": name * 300, "Results": RESULT} for name in "xé"]}
    (project.root / "long.yml").write_text(yaml.safe_dump(index))
    assert convert("long.yml", "--to", "hf", "--out", "cards")[0] == 0
    assert {path.name for path in (project.root / "cards").iterdir()} == {"x" * 200, "é" * 100}


@pytest.mark.parametrize("out", ["two.yml/x.md", "x" * 300 + ".md", "two.yml/x/"])
def test_a_place_where_nothing_can_be_is_said_in_a_line(convert, project, out):
    index = {"Models": [{"Name": "a", "Results": RESULT}]}
    (project.root / "two.yml").write_text(yaml.safe_dump(index))
    code, _, err = convert("two.yml", "--to", "pwc", "--out", out)
    assert code == 3
    assert "name another place" in err[-1]


def test_each_model_gets_a_card_of_its_own(convert, project):
    code, out, _ = convert(PUBLISHED, "--to", "hf", "--out", "cards")
    assert code == 0
    assert out.splitlines() == [f"wrote cards/{name}/README.md" for name in NAMES]
    for name, top1 in zip(NAMES, (0.7732, 0.7791, 0.7933), strict=True):
        card = ModelCard.load(project.root / "cards" / name / "README.md")
        assert card.data.model_name == name
        assert card.data.eval_results[0].metric_value == top1
        assert len(card.data.eval_results) == 2


@pytest.mark.parametrize("words", [(), ("--out", "README.md")])
@pytest.mark.parametrize("to", ["hf", "eval-results"])
def test_several_models_never_go_into_one_card(convert, project, to, words):
    if words and to == "eval-results":
        words = ("--out", "results.yaml")
    code, out, (line,) = convert(PUBLISHED, "--to", to, *words)
    assert (code, out) == (2, "")
    assert line.startswith("convert: a card holds one model; name one with --model")
    assert line.endswith(", ".join(NAMES))
    assert not (project.root / "README.md").exists()


def test_there_and_back_the_figures_are_the_published_ones(convert, project):
    convert(PUBLISHED, "--to", "hf", "--model", NAMES[0], "--out", "README.md")
    code, out, err = convert("README.md", "--to", "pwc", "--out", "back.md")
    assert (code, out, err) == (0, "wrote back.md\n", [])
    (back,) = modelindex.load_file(project.root / "back.md", project.root)
    (published, *_) = modelindex.load_file(project.root / PUBLISHED, project.root)
    assert back.results == published.results
    assert back.papers == published.collection.papers


PAGE = """\
---
# ours
license: mit   # for now
model-index:
- {name: org/tiny-vit, results: []}
tags: [a,  b]
---
# Tiny

Text.
"""


def test_of_a_page_that_exists_only_the_results_are_replaced(convert, project):
    (project.root / "card.md").write_text(CARD)
    (project.root / "README.md").write_text(PAGE)
    code, _, _ = convert("card.md", "--to", "hf", "--out", "README.md")
    assert code == 0
    text = (project.root / "README.md").read_text()
    before, after = PAGE.split("model-index:\n- {name: org/tiny-vit, results: []}\n")
    assert text.startswith(before)
    assert text.endswith(after)
    card = metadata_load(project.root / "card.md")
    assert metadata_load(project.root / "README.md")["model-index"] == card["model-index"]


def test_results_of_another_model_are_not_overwritten(convert, project):
    (project.root / "card.md").write_text(CARD)
    (project.root / "README.md").write_text(PAGE.replace("org/tiny-vit", "another"))
    code, _, err = convert("card.md", "--to", "hf", "--out", "README.md")
    assert code == 2
    assert "README.md: holds results of another; they would be lost, remove them" in err[-1]
    assert "another" in (project.root / "README.md").read_text()


def test_a_page_that_cannot_be_changed_by_key_is_left_alone(convert, project):
    page = "---\n{license: mit, tags: [a]}\n---\n"
    (project.root / "card.md").write_text(CARD)
    (project.root / "README.md").write_text(page)
    code, _, err = convert("card.md", "--to", "hf", "--out", "README.md")
    assert code == 3
    assert err[-1].endswith("cannot be set without touching other keys; write one key a line")
    assert (project.root / "README.md").read_text() == page


@pytest.mark.parametrize(
    ("to", "out"), [("pwc", "there.md"), ("pwc", "there.yaml"), ("eval-results", "there.yaml")]
)
def test_no_other_file_is_written_over(convert, project, to, out):
    (project.root / out).write_text("mine")
    code, _, err = convert(PUBLISHED, "--to", to, "--model", NAMES[0], "--out", out)
    assert code == 2
    assert err == [f"{out}: there is such a file; remove it, or name another"]
    assert (project.root / out).read_text() == "mine"


def test_a_strict_conversion_that_loses_anything_writes_nothing(convert, project):
    words = (PUBLISHED, "--to", "hf", "--model", NAMES[0], "--strict")
    code, out, err = convert(*words, "--out", "README.md")
    assert (code, out, err[-1]) == (1, "", "nothing was written")
    assert not (project.root / "README.md").exists()
    assert convert(*words)[:2] == (1, "")


def test_a_strict_conversion_that_loses_nothing_is_written(convert, project):
    (project.root / "card.md").write_text(CARD.replace("license: apache-2.0\n", ""))
    code, out, err = convert("card.md", "--to", "hf", "--strict")
    assert (code, err) == (0, [])
    assert ModelCard(out).data.model_name == "org/tiny-vit"


def test_eval_results_go_where_the_hub_looks_for_them(convert, project):
    code, out, err = convert(PUBLISHED, "--to", "eval-results", "--out", "repos")
    assert code == 0
    folders = [f"repos/{name}/.eval_results/results.yaml" for name in NAMES]
    assert out.splitlines() == [f"wrote {folder}" for folder in folders]
    assert [line for line in err if "Metrics.Top 5 Accuracy" in line]
    (entry,) = parse_eval_result_entries(yaml.safe_load((project.root / folders[0]).read_text()))
    assert (entry.dataset_id, entry.task_id) == ("ILSVRC/imagenet-1k", "default")
    assert (entry.value, entry.notes) == (0.7732, "Top 1 Accuracy: 77.32%")
    # And there they know whose they are.
    assert f"- name: {NAMES[0]}\n" in convert(folders[0], "--to", "hf")[1]


def test_results_that_no_eval_result_can_hold_are_an_error(convert, project):
    text = "Models: [{Name: a, Results: [{Task: T, Dataset: COCO, Metrics: {box AP: 39.4}}]}]\n"
    (project.root / "a.yml").write_text(text)
    code, out, err = convert("a.yml", "--to", "eval-results")
    assert (code, out, err[-1]) == (1, "", "nothing was written")
    assert "'COCO' is no data set on the Hub that effcc knows" in err[0]


def test_what_readers_of_a_card_may_misunderstand_is_said(convert, project):
    result = "{task: {type: t}, dataset: {type: d, name: D}, metrics: [{type: m, value: 1}]}"
    other = result.replace("name: D", "name: E")
    text = f"---\nmodel-index: [{{name: a, results: [{result}, {other}]}}]\n---\n"
    (project.root / "card.md").write_text(text)
    code, _, err = convert("card.md", "--to", "hf")
    assert code == 0
    assert [line.partition(":")[0] for line in err] == ["card.md", "output"]
    assert "huggingface_hub writes it into" in err[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.yml", "--to", "hf"), "none.yml: cannot be read"),
        ((PUBLISHED, "--to", "hf", "--model", "x"), f"there are: {', '.join(NAMES)}"),
        ((PUBLISHED, "--to", "hf", "--out", "x.yaml"), "name a .md file, or a folder"),
        ((PUBLISHED, "--to", "eval-results", "--out", "x.md"), "name a .yaml file, or a folder"),
        (("empty.yml", "--to", "pwc"), "empty.yml: holds no model"),
        (("hle.yaml", "--to", "hf"), "hle.yaml: eval results do not name their model"),
    ],
)
def test_a_mistake_is_one_line(convert, project, words, message):
    (project.root / "empty.yml").write_text("Models: []\n")
    (project.root / "hle.yaml").write_text(FILE)
    code, out, (line,) = convert(*words)
    assert (code in (2, 3), out) == (True, "")
    assert message in line


# Metafiles

METAFILE = """\
Collections:
- Name: TinyNet
  Metadata:
    Training Data: ImageNet-1k
    Architecture: &layers [Convolution, 'Squeeze-and-Excitation Block']
  Paper:
    URL: https://arxiv.org/abs/1905.11946v5
    Title: 'TinyNet: Less is Less'
  Code: {URL: https://example.org/tiny.py, Version: v0.20.1}
Models:
- Name: tinynet-b0_8xb32_in1k
  In Collection: TinyNet
  Config: configs/tinynet.py
  Metadata:
    Params(M): 6.50
    FLOPs: 4.1G
    Architecture: *layers
    inference time (ms/im):
    - {value: 50.76, hardware: V100, batch size: 1, resolution: '(800, 1333)'}
  Results:
    Task: Image Classification
    Dataset: ImageNet-1k
    Metrics: {Top 1 Accuracy: 76.55, Top 5 Accuracy: null, mIoU(ms+flip): 45.79}
  Weights: https://example.org/tiny.pth
"""


def test_a_metafile_becomes_a_page_of_a_model_index(convert, project):
    (project.root / "metafile.yml").write_text(METAFILE)
    code, out, err = convert("metafile.yml", "--to", "pwc", "--out", "model-index/tiny.md")
    assert (code, out) == (0, "wrote model-index/tiny.md\n")
    (doubt,) = err
    assert doubt.startswith(
        "metafile.yml:23:54: Models[0].Results.Metrics.Top 5 Accuracy: no value"
    )
    text = (project.model_index / "tiny.md").read_text()
    assert text.startswith("# TinyNet\n\nClaims of others, converted from `metafile.yml`.\n")
    for line in ("Parameters: 6.50M", "FLOPs: 4.1G", "Top 1 Accuracy: 76.55%", "Version: v0.20.1"):
        assert f"{line}\n" in text
    claim = modelindex.load(project.model_index, project.root)["tinynet-b0_8xb32_in1k"]
    assert claim.metadata["Parameters"].number == 6.5e6
    assert claim.extra["Config"].data == "configs/tinynet.py"
    assert claim.collection.papers[0].url == "https://arxiv.org/abs/1905.11946v5"


def test_a_metafile_becomes_a_card(convert, project):
    (project.root / "metafile.yml").write_text(METAFILE)
    code, out, err = convert("metafile.yml", "--to", "hf")
    assert code == 0
    top1, miou = ModelCard(out).data.eval_results
    assert (top1.metric_value, top1.metric_args) == (0.7655, {"written": "76.55%"})
    assert (miou.metric_value, miou.metric_name) == (45.79, "mIoU(ms+flip)")
    assert top1.source_url == "https://arxiv.org/abs/1905.11946v5"
    assert [line for line in err if "Models.tinynet-b0_8xb32_in1k.Config: a Hugging Face" in line]


def test_a_card_becomes_a_page_and_a_card_again_with_every_word(convert, project):
    (project.root / "card.md").write_text(CARD)
    assert convert("card.md", "--to", "pwc", "--out", "page.md")[0] == 0
    code, out, err = convert("page.md", "--to", "hf", "--strict")
    assert code == 0
    assert not [line for line in err if line.startswith("left out")]
    (project.root / "again.md").write_text(out)
    card = metadata_load(project.root / "card.md")["model-index"]
    assert metadata_load(project.root / "again.md")["model-index"] == card


def test_eval_results_become_a_page_and_eval_results_again(convert, project):
    (project.root / "hle.yaml").write_text(FILE)
    assert convert("hle.yaml", "--to", "pwc", "--model", "m", "--out", "page.md")[0] == 0
    code, out, err = convert("page.md", "--to", "eval-results", "--strict")
    assert code == 0
    assert not [line for line in err if line.startswith("left out")]
    assert yaml.safe_load(out) == yaml.safe_load(FILE)
