"""Published claims are read as they stand, and written back without losing a digit."""

import json
import os
import re
import tempfile
import time
from pathlib import Path

import corpus
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effcc.claims import bibtex, mend, modelindex, rules
from effcc.claims.claim import Claim, Collection, Fact, Paper, Result
from effcc.ground.document import BadFile, model_index_comment, parse

PUBLISHED = {
    # name: FLOPs, Parameters, File Size, Crop Pct, Image Size, top-1, top-5
    "tf_efficientnet_cc_b0_4e": (
        *("224153788", "13310000", "53490940", "0.875", "224", "77.32%", "93.32%"),
        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
        "tf_efficientnet_cc_b0_4e-4362b6b2.pth",
    ),
    "tf_efficientnet_cc_b0_8e": (
        *("224158524", "24010000", "96287616", "0.875", "224", "77.91%", "93.65%"),
        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
        "tf_efficientnet_cc_b0_8e-66184a25.pth",
    ),
    "tf_efficientnet_cc_b1_8e": (
        *("370427824", "39720000", "159206198", "0.882", "240", "79.33%", "94.37%"),
        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
        "tf_efficientnet_cc_b1_8e-f7c79ae1.pth",
    ),
}
SHARED = {
    "LR": "0.256",
    "Epochs": "350",
    "Momentum": "0.9",
    "Batch Size": "2048",
    "Weight Decay": "1.0e-05",
    "Interpolation": "bicubic",
    "RMSProp Decay": "0.9",
    "Label Smoothing": "0.1",
    "BatchNorm Momentum": "0.99",
}
TECHNIQUES = ("AutoAugment", "Label Smoothing", "RMSProp", "Stochastic Depth", "Weight Decay")


def claims_of(text):
    return modelindex.parse(text, "f").claims


def claim_of(text):
    (only,) = claims_of(text)
    return only


@pytest.fixture(scope="module")
def published():
    root = Path(__file__).resolve().parents[1]
    found = modelindex.load_file(root / "model-index" / "tf-efficientnet-condconv.md", root)
    return {claim.name: claim for claim in found}


# What others published


def test_the_published_models_are_all_there_and_in_order(published):
    assert list(published) == list(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_no_published_fact_has_changed(published, name):
    claim = published[name]
    flops, parameters, size, crop, pixels, top1, top5, weights = PUBLISHED[name]
    facts = {key: fact.text for key, fact in claim.metadata.items() if fact.text}
    assert facts == SHARED | {
        "FLOPs": flops,
        "Parameters": parameters,
        "File Size": size,
        "Crop Pct": crop,
        "Image Size": pixels,
        "ID": name,
    }
    assert claim.metadata["Training Techniques"].data == TECHNIQUES
    assert claim.metadata["Training Data"].data == ("ImageNet",)
    assert len(claim.metadata["Architecture"].data) == 10
    (result,) = claim.results
    assert (result.task, result.dataset) == ("Image Classification", "ImageNet")
    assert {key: fact.text for key, fact in result.metrics.items()} == {
        "Top 1 Accuracy": top1,
        "Top 5 Accuracy": top5,
    }
    assert claim.weights == (weights,)
    assert claim.code.startswith("https://github.com/rwightman/pytorch-image-models/blob/9a25fdf3")


def test_the_published_collection_names_its_paper(published):
    for claim in published.values():
        assert claim.collection.name == "TF EfficientNet CondConv"
        assert claim.collection.papers == (
            Paper(
                "CondConv: Conditionally Parameterized Convolutions for Efficient Inference",
                "https://paperswithcode.com/paper/soft-conditional-computation",
            ),
        )


def test_the_published_citation_comes_first_and_the_one_to_cite_second(published):
    bibtex = published["tf_efficientnet_cc_b0_4e"].bibtex
    assert "Soft Conditional Computation" in bibtex[0]
    assert "{CondConv}: Conditionally Parameterized Convolutions" in bibtex[1]


def test_quoted_numbers_stay_quoted_and_plain_ones_plain(published):
    metadata = published["tf_efficientnet_cc_b1_8e"].metadata
    assert metadata["Crop Pct"].data == "0.882"
    assert metadata["Image Size"].data == "240"
    assert metadata["LR"].data == 0.256
    text = modelindex.dump(published.values())
    for line in ("Crop Pct: '0.875'", "Image Size: '240'", "Weight Decay: 1.0e-05", "1: 77.32%"):
        assert line.replace("1: ", "Top 1 Accuracy: ") in text


def test_dumping_what_was_published_gives_the_published_text(published):
    page = Path(__file__).resolve().parents[1] / "model-index" / "tf-efficientnet-condconv.md"
    assert modelindex.dump(published.values()) == model_index_comment(page.read_text()).lstrip()


def test_every_fact_knows_its_line(published):
    page = Path(__file__).resolve().parents[1] / "model-index" / "tf-efficientnet-condconv.md"
    lines = page.read_text("utf-8").splitlines()
    for claim in published.values():
        assert lines[claim.place.line - 1].endswith(claim.name)
        for key, fact in claim.metadata.items():
            if fact.text:
                line = lines[fact.place.line - 1]
                assert line.strip().startswith(f"{key}: ")
                assert line[fact.place.col - 1 :].strip("'") == fact.text


def test_every_shipped_file_passes(shipped):
    claims = modelindex.load(shipped.model_index, shipped.root)
    assert set(PUBLISHED) < set(claims)


# Figures


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("77.32%", 0.7732),
        ("13.3M", 13_300_000),
        ("33G", 33e9),
        ("2.5 k", 2500),
        ("1.0e-05", 1e-5),
        ("0.1%", 0.001),
        (".5", 0.5),
        ("bicubic", None),
        ("39.3 (37.9)", None),
        ("58.17/87.00", None),
        ("-", None),
        ("", None),
        ("1e999", None),
        ("1e999999999", None),
    ],
)
def test_a_figure_is_read_in_plain_units(text, number):
    assert Fact(text, text).number == number


@pytest.mark.parametrize(
    ("text", "exact", "agrees"),
    [
        ("13310000", 13_314_116, True),
        ("13310000", 13_304_999, False),
        ("13314116", 13_314_116, True),
        ("13314117", 13_314_116, False),
        ("13.3M", 13_314_116, True),
        ("13.30M", 13_314_116, False),
        ("13.31M", 13_314_116, True),
        ("13M", 13_499_999, True),
        ("13M", 13_500_001, False),
        ("224153788", 396_513_888, False),
        ("0.40G", 396_513_888, True),
        ("bicubic", 1, False),
    ],
)
def test_a_figure_agrees_with_what_rounds_to_it(text, exact, agrees):
    assert Fact(text, text).agrees_with(exact) is agrees


# Entries


def test_an_entry_in_a_collection_has_the_collections_facts_at_hand():
    claim = claim_of(
        "Collections:\n- Name: c\n  Paper: {Title: t}\n  Metadata: {LR: 0.10}\n"
        "Models:\n- Name: a\n  In Collection: c\n"
    )
    assert claim.collection == Collection("c", (Paper("t", None),), {"LR": Fact(0.1, "0.10")})


@pytest.mark.parametrize("code", ["```BibTeX", "```bibtex", "```` BibTeX"])
def test_the_citations_of_a_page_are_its_entries_citations(tmp_path, code):
    end = "`" * code.count("`")
    page = tmp_path / "f.md"
    page.write_text(
        f"{code}\n@misc{{a}}\n{end}\n\n```python\n1\n```\n\n{code}\n@misc{{b}}\n{end}\n"
        "<!--\nType: model-index\nModels:\n- Name: a\n-->\n"
    )
    (claim,) = modelindex.load_file(page, tmp_path)
    assert claim.bibtex == ("@misc{a}", "@misc{b}")


def test_a_name_in_two_files_is_a_problem_that_names_both(project):
    (project.model_index / "again.yaml").write_text("Models:\n- Name: effcc_cc_pico_4e\n")
    with pytest.raises(BadFile) as caught:
        modelindex.load(project.model_index, project.root)
    (problem,) = caught.value.problems
    assert "'effcc_cc_pico_4e' is already in model-index/" in problem.message


def test_the_problems_of_all_files_are_reported_at_once(project):
    for name in ("one", "two"):
        (project.model_index / f"{name}.yaml").write_text("Modelz: []\n")
    with pytest.raises(BadFile) as caught:
        modelindex.load(project.model_index, project.root)
    assert [p.place.file for p in caught.value.problems] == [
        "model-index/one.yaml",
        "model-index/two.yaml",
    ]


# Imports


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.yml").write_text(text)


def names(folder, start="a"):
    return [claim.name for claim in modelindex.load_file(folder / f"{start}.yml", folder)]


def test_imported_entries_come_after_the_files_own(tmp_path):
    write(tmp_path, a="Import: [b.yml, 'c*.yml']\nModels: [{Name: a}]", b="Models: [{Name: b}]")
    write(tmp_path, c2="Models: [{Name: c2}]", c1="Models: [{Name: c1}]")
    assert names(tmp_path) == ["a", "b", "c1", "c2"]


def test_an_import_is_found_beside_the_file_that_asks_for_it(tmp_path):
    (tmp_path / "sub").mkdir()
    write(tmp_path, a="Import: sub/b.yml")
    write(tmp_path / "sub", b="Import: ../c.yml\nModels: [{Name: b}]")
    write(tmp_path, c="Models: [{Name: c}]")
    assert names(tmp_path) == ["b", "c"]


def test_an_import_loop_is_named_from_end_to_end(tmp_path):
    write(
        tmp_path, a="Import: b.yml", b="Import: c.yml", c="Import: [d.yml, a.yml]", d="Models: []"
    )
    with pytest.raises(BadFile) as caught:
        names(tmp_path)
    assert str(caught.value) == (
        "c.yml:1:17: Import[1]: imports go in a circle: a.yml -> b.yml -> c.yml -> a.yml"
    )


@pytest.mark.parametrize(
    "pattern", ["../secret.yml", "{above}/secret.yml", "../*", "x/../../*.yml"]
)
def test_an_import_cannot_leave_the_root(tmp_path, pattern):
    (tmp_path / "root" / "x").mkdir(parents=True)
    write(tmp_path, secret="Models: [{Name: secret}]")
    write(tmp_path / "root", a=f"Import: ['{pattern.format(above=tmp_path)}']")
    with pytest.raises(BadFile, match="imports may not"):
        names(tmp_path / "root")


def test_a_link_on_disk_is_no_way_out_of_the_root(tmp_path):
    (tmp_path / "root").mkdir()
    write(tmp_path, secret="Models: [{Name: secret}]")
    (tmp_path / "root" / "inside.yml").symlink_to(tmp_path / "secret.yml")
    write(tmp_path / "root", a="Import: inside.yml")
    with pytest.raises(BadFile, match="outside"):
        names(tmp_path / "root")


@pytest.mark.parametrize("pattern", ["**x", ".", "a\\0b", "[", "sub"])
def test_an_import_that_matches_nothing_readable_is_a_problem_with_a_place(tmp_path, pattern):
    (tmp_path / "sub").mkdir()
    write(tmp_path, a=f'Import: "{pattern}"')
    with pytest.raises(BadFile):
        names(tmp_path)


def test_an_index_may_import_the_pages_beside_it(project):
    expected = set(modelindex.load(project.model_index, project.root))
    (project.model_index / "model-index.yml").write_text("Import: ['*.md']\n")
    assert set(modelindex.load(project.model_index, project.root)) == expected


def test_a_file_imported_twice_is_read_once(tmp_path):
    write(tmp_path, a="Import: [b.yml, c.yml]", b="Import: d.yml", c="Import: d.yml")
    write(tmp_path, d="Models: [{Name: d}]")
    assert names(tmp_path) == ["d"]


def test_json_is_as_good_as_yaml(tmp_path):
    text = json.dumps({"Models": [{"Name": "a", "Metadata": {"LR": 0.1}}]})
    (tmp_path / "a.json").write_text(text)
    (claim,) = modelindex.load_file(tmp_path / "a.json", tmp_path)
    assert claim.metadata["LR"].text == "0.1"


# There and back


def there_and_back(claims):
    text = modelindex.dump(claims)
    page = f"---\ntitle: x\n---\n# Page\n\n<!--\n{text}-->\n\nAfter.\n"
    return modelindex.parse(model_index_comment(page), "f.md", page).claims


@pytest.mark.parametrize(
    "written",
    [
        *(
            "0.875",
            "'0.875'",
            "1e-5",
            "'1e-5'",
            "1.0e-05",
            "0.10",
            "010",
            "'010'",
            "0x1F",
            "'0x1F'",
        ),
        *("'0o7'", "'1.5e5'", "'.5'", "5.", "true", "True", "'true'", "null", "~", "'null'", "''"),
        *("no", "12:30", "2020-01-01", "'2020-01-01'", ".inf", "'=' ", "'<<'", "'- a'", "'# a'"),
        *('"a\\nb"', '"a \\n\\n b\\n"', '"\\ta "', '"a\\x85b"', '"a\\u2028  b"', '"\\0"', '"é 😀"'),
        *('"a --> b"', '"--!> b"', '"-- > b"', '"<!-- b"', '"--"', "'a: b'", "'{{ b }}'"),
        *("[a, '1e5', 'no', '--> x']", "['0.10', 0.5]", "{a: {b: [1, x]}}"),
    ],
)
def test_a_value_comes_back_as_it_was_written(written):
    claims = claims_of(f"Models:\n- Name: a\n  Metadata:\n    § key: {written}\n")
    assert there_and_back(claims) == claims


def test_figures_in_a_list_keep_their_digits():
    claims = claims_of("Models: [{Name: a, Metadata: {box AP: [39.30, 1e-5]}}]")
    assert "39.30" in modelindex.dump(claims)


words = st.sampled_from(
    [
        *("-->", "--!>", "-- >", "--", "->", ">", "<!--", "---", "...", "-", "'", '"', "\\", "`"),
        *(":", ": ", " #", "|", "?", "[", "}", ",", "=", "%", "@", "&a", "*a", "!!int", "{{ x }}"),
        *("1e5", "010", "0x1F", "1.5", ".5", "no", "~", "null", " ", "\n", "\t", "é", "😀"),
        *("\u2028", "\x85", "\ufeff", "\x00", "\x7f"),
    ]
)
nasty = st.lists(words | st.text(max_size=4), min_size=1, max_size=5).map("".join)
nasty = nasty.filter(lambda text: 0 < len(text) <= 100)
figures = st.sampled_from(["0.10", "1e-5", "1.0e-05", "010", "5.", "-0.5", "77", "1E+5"])
facts = st.one_of(
    nasty.map(lambda text: Fact(text, text)),
    figures.map(lambda text: Fact(parse(text).data, text)),
    st.lists(nasty, max_size=3).map(lambda texts: Fact(tuple(texts), "")),
)
# A key that is almost a known one would be taken for it.
metadata = st.dictionaries(nasty.map("§§§§ {}".format), facts, max_size=3)
links = st.none() | st.just("https://example.org/a--b")
papers = st.just(()) | st.builds(Paper, nasty, links).map(lambda paper: (paper,))
collections = st.none() | st.builds(
    Collection, name=nasty, papers=papers, metadata=metadata, code=links, readme=st.none() | nasty
)
results = st.builds(
    Result, nasty, nasty, st.dictionaries(nasty, facts.filter(lambda fact: fact.text), max_size=2)
)
any_claim = st.builds(
    Claim,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._ +-]{0,9}", fullmatch=True),
    collection=collections,
    papers=papers,
    metadata=metadata,
    code=links,
    weights=st.just(()) | st.just(("https://example.org/a--b",)),
    code_version=st.none(),
    extra=st.just({}),
    readme=st.none() | nasty,
    results=st.lists(results, max_size=2).map(tuple),
    place=st.just(None),
)


@settings(max_examples=60, deadline=None, report_multiple_bugs=False)
@given(any_claim)
def test_any_claim_survives_its_own_page(claim):
    assert there_and_back([claim]) == [claim]


@settings(max_examples=60, deadline=None, report_multiple_bugs=False)
@given(any_claim)
def test_nothing_in_a_claim_ends_the_comment_that_holds_it(claim):
    text = modelindex.dump([claim])
    assert "-->" not in text
    assert "--!>" not in text
    assert not [line for line in text.splitlines() if line.startswith("---") or line == "..."]


def test_the_claims_of_a_dumped_page_are_read_from_disk(tmp_path, published):
    page = tmp_path / "page.md"
    page.write_text(f"<!--\n{modelindex.dump(published.values())}-->\n")
    assert modelindex.load_file(page, tmp_path) == list(published.values())


# Broken on purpose


FORMS = [path for path in corpus.write(Path(tempfile.mkdtemp()), 20) if path.suffix != ".json"]
PIECES = st.sampled_from(
    [
        *(
            "Models:",
            "- Name: a",
            "  ",
            "\n",
            ":",
            "- ",
            "'",
            '"',
            "[",
            "}",
            "&a ",
            "*a",
            "<<: ",
            "!!x",
        ),
        *(
            "-->",
            "<!--",
            "```",
            "---",
            "#",
            "Import: .",
            "\t",
            "\x00",
            "\ufeff",
            "1e5",
            "null",
            "é",
            "😀",
        ),
    ]
)


@st.composite
def broken(draw):
    """A card that was right, with pieces of it lost, doubled, moved, or others put in."""
    path = draw(st.sampled_from(FORMS))
    text = path.read_text("utf-8")
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 30)))
        piece = draw(PIECES | st.just(text[start:stop]) | st.text(max_size=4))
        text = text[:start] + piece + text[draw(st.sampled_from((start, stop))) :]
    return path.suffix, text


@settings(max_examples=150, deadline=None, report_multiple_bugs=False)
@given(broken())
def test_whatever_is_broken_is_a_problem_with_a_code_and_a_place_in_the_file(card):
    suffix, text = card
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"card{suffix}")
        path.write_text(text, "utf-8", newline="", errors="surrogatepass")
        found = modelindex.check([path], Path(folder))
        lines = re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff"))
        for problem in found.problems:
            assert problem.code in rules.RULES
            assert problem.place.file == path.name
            assert 0 <= problem.place.line <= len(lines) + 1
            if 0 < problem.place.line <= len(lines):
                assert 1 <= problem.place.col <= len(lines[problem.place.line - 1]) + 1
        if "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text):
            claims = modelindex.parse(modelindex.dump(found.claims)).claims
            assert [claim.name for claim in claims] == [claim.name for claim in found.claims]


@settings(max_examples=60, deadline=None, report_multiple_bugs=False)
@given(broken())
def test_a_mend_removes_its_own_problem_and_makes_no_other(card):
    suffix, text = card
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"card{suffix}")
        path.write_text(text, "utf-8", newline="", errors="surrogatepass")
        before = modelindex.check([path], Path(folder)).problems
        mendable = [problem for problem in before if problem.mend]
        if mendable and all(problem.code != "MI004" for problem in before):
            done = mend.file(path, before)
            after = modelindex.check([path], Path(folder)).problems
            assert len(after) <= len(before) - done


# Each took longer by the square of its size: misspelt names, numbers, dates, citations.
LONG = {
    "names": "Collections:\n"
    + "".join(f"- Name: coll{i}\n" for i in range(2000))
    + "Models:\n"
    + "".join(f"- {{Name: m{i}, In Collection: cull{i}x}}\n" for i in range(2000)),
    "number": f"Models:\n- Name: m\n  Metadata: {{FLOPs: '{'1' * 1_000_000}'}}\n",
    "nearly a number": f"Models:\n- Name: m\n  Metadata: {{FLOPs: '{'1' * 1_000_000}x'}}\n",
    "long names": f"Models:\n- {{Name: {'x' * 1_000_000}, In Collection: {'y' * 1_000_000}}}\n",
    "dates": "".join(
        f"- dataset: {{id: a/b, task_id: t{i}}}\n  value: 1\n  date: '2025-01-31'\n"
        for i in range(3000)
    ),
}


@pytest.mark.parametrize("kind", LONG)
def test_no_index_takes_long(kind, tmp_path, unburdened):
    path = tmp_path / "index.yml"
    path.write_text(LONG[kind], "utf-8")
    began = time.process_time()
    found = modelindex.check([path], tmp_path)
    for claim in found.claims:
        assert all(fact.number is None for fact in claim.facts.values())
    assert time.process_time() - began < 2
    assert sum(len(str(problem)) for problem in found.problems) < 5 * len(LONG[kind])


@pytest.mark.parametrize("text", ["\n" * 2_000_000, "```bibtex\n" * 100_000])
def test_no_file_takes_long_to_be_passed_over(text, tmp_path, unburdened):
    (tmp_path / "index.yml").write_text(text, "utf-8")
    began = time.process_time()
    assert modelindex.files_in(tmp_path) == []
    assert bibtex.printed(text) == ()
    assert time.process_time() - began < 2


def test_files_that_lead_out_of_a_folder_are_passed_over(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside, inside / "folder.yml"):
        folder.mkdir()
    for folder in (inside, outside):
        (folder / "index.yml").write_text("Models: []\n", "utf-8")
    (inside / "out.yml").symlink_to(outside / "index.yml")
    (inside / "out").symlink_to(outside)
    (inside / "nowhere.yml").symlink_to(inside / "none.yml")
    (inside / "in.yml").symlink_to("index.yml")
    os.mkfifo(inside / "pipe.yml")  # nobody writes to it: whoever opens it waits
    assert modelindex.files_in(inside) == [inside / "in.yml", inside / "index.yml"]


@pytest.mark.parametrize("pattern", ["**/" * 12 + "*.yml", "*/../" * 12 + "b.yml", "d/*/*/**"])
def test_an_import_takes_no_longer_than_there_are_files(tmp_path, pattern):
    for number in range(10):
        (tmp_path / f"{number}" / "a/b/c/d/e/f").mkdir(parents=True)
    (tmp_path / "d").mkdir()
    for name in "abc":
        (tmp_path / "d" / name).symlink_to("..")
    write(tmp_path, a=f'Import: "{pattern}"\n', b="Models:\n- Name: b\n")
    before = time.process_time()
    modelindex.check([tmp_path / "a.yml"], tmp_path)
    assert time.process_time() - before < 2
