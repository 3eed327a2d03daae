"""A file's format is told by what it holds."""

import pytest
from test_eval_results import FILE
from test_huggingface_card import CARD

from effcc import options
from effcc.claims import formats
from effcc.ground.errors import BadFile, UsageError

INDEX = "Models:\n- Name: b\n  Results: [{Task: T, Dataset: D, Metrics: {Accuracy: 50%}}]\n"
BOTH = CARD + f"\n<!--\nType: model-index\n{INDEX}-->\n"


@pytest.fixture
def found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def read(name, text, **how):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
        return formats.read((tmp_path / name).relative_to(tmp_path), **how)

    return read


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("README.md", CARD, ["org/tiny-vit"]),
        ("card.yml", CARD.split("---\n")[1], ["org/tiny-vit"]),
        ("page.md", f"<!--\nType: model-index\n{INDEX}-->\n", ["b"]),
        ("page.mdx", f"---\ntitle: x\n---\n<!--\nType: model-index\n{INDEX}-->\n", ["b"]),
        ("metafile.yml", INDEX, ["b"]),
        ("index.json", '{"Models": [{"Name": "b"}]}', ["b"]),
        ("org/model/.eval_results/hle.yaml", FILE, ["model"]),
    ],
)
def test_a_format_is_told_by_what_a_file_holds(found, name, text, names):
    assert [claim.name for claim in found(name, text).claims] == names


@pytest.mark.parametrize(
    ("to", "names"),
    [("pwc", ["org/tiny-vit"]), ("hf", ["b"]), ("eval-results", ["b"]), ("", ["b"])],
)
def test_of_a_page_that_holds_two_formats_the_other_one_is_read(found, to, names):
    assert [claim.name for claim in found("README.md", BOTH, to=to).claims] == names


def test_what_stands_beside_the_model_index_of_a_card_is_named(found):
    (problem,) = found("README.md", CARD).apart
    assert str(problem) == "README.md:2:1: license: no part of `model-index`"


def test_doubts_are_told_and_errors_end_it(found):
    two = CARD.replace("model-index:\n", "model-index:\n- {name: first, results: []}\n")
    assert [p.code for p in found("README.md", two).doubts] == ["MI077"]
    with pytest.raises(BadFile, match=r"README\.md:3:15: model-index\[0\]: `name:` is missing"):
        found("README.md", "---\nlicense: mit\nmodel-index: [{results: []}]\n---\n")


def test_eval_results_need_a_model(found):
    with pytest.raises(UsageError, match="say --model NAME"):
        found("hle.yaml", FILE)
    assert found("hle.yaml", FILE, model="m").claims[0].name == "m"


@pytest.mark.parametrize(
    "text", ["# A page\n", "---\nlicense: mit\n---\n", "```\nmodel-index:\n```\n"]
)
def test_a_page_without_any_is_refused(found, text):
    with pytest.raises(BadFile, match="neither a model-index comment nor `model-index:`"):
        found("README.md", text)


def test_a_page_that_is_no_text_or_no_yaml_is_refused_with_its_place(found, tmp_path):
    with pytest.raises(BadFile, match=r"README\.md:2:4"):
        found("README.md", "---\na: b: c\n---\n")
    (tmp_path / "bad.md").write_bytes(b"---\nmodel-index: []\n---\n\xff")
    with pytest.raises(BadFile):
        formats.read(tmp_path / "bad.md")
    with pytest.raises(BadFile, match=r"no\.md: cannot be read"):
        formats.read(tmp_path / "no.md")


def test_the_command_line_offers_every_format():
    assert options.REGISTRIES == formats.FORMATS
