"""BibTeX is read as people write it, and a page's entries must speak of one paper alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effcc.claims.bibtex import Bibtex, arxiv_id, parse, printed, same_title
from effcc.claims.claim import Claim, Paper
from effcc.ground.errors import Place
from effcc.proof.citation import comparisons

PREPRINT = """@article{corr,
  author  = {Brandon Yang and
             Jiquan Ngiam},
  title   = {Soft Mixing},
  journal = {CoRR},
  volume  = {abs/1904.04971},
  year    = {2019},
  url     = {http://arxiv.org/abs/1904.04971}
}"""
PUBLISHED = """@inproceedings{nips,
  author = {Yang, B. and Ngiam, J.}, title = "{{Mix}}: A {Title}",
  booktitle = {Advances}, year = 2019, eprint = {1904.04971v3}
}"""
ANOTHER = "@misc{other, title={Other}, author={A. B.}, year={2019}, eprint={1905.11946}}"
PAPER = Paper("Mix: a title", "https://arxiv.org/abs/1904.04971")


def rows(*bibtex, paper=PAPER):
    papers = (paper,) if paper else ()
    claim = Claim("a", papers=papers, place=Place("page.md", 3), bibtex=bibtex)
    return {row.key: row for row in comparisons(claim)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", "A Title of two lines"),
        ("year", "2019"),
        ("month", "may"),
        ("note", 'says "no", twice'),
        ("pages", "1--2"),
        ("booktitle", None),
        ("itle", None),
    ],
)
def test_a_field_is_read_without_braces(name, value):
    text = (
        "@misc{a-key,\n  title     = {A {Title} of\n     two lines},\n  Year={2019}, month = may\n"
        '  , note = {says "no", twice}, pages = "1--2",\n}'
    )
    assert parse(text).fields.get(name) == value
    assert parse(text).key == "a-key"


@pytest.mark.parametrize("text", ["", "@", "@misc{", "@misc{a", "@misc{a, title = {b", "words = {"])
def test_what_is_no_entry_is_one_without_fields_or_with_what_it_has(text):
    assert set(parse(text).fields) <= {"title"}


@given(st.text(alphabet='@misc{a},= "\n\\uthor1904.5٣ABand', max_size=60))
def test_whatever_stands_there_is_read_without_a_crash(text):
    for entry in (text, f"@misc{{a, author={{{text}}}, year={{{text}}}, eprint={{{text}}}}}"):
        rows(entry, PUBLISHED, entry)


def test_people_are_the_same_however_their_names_are_written():
    for authors in ("Brandon Yang and Quoc V. Le", "Yang, B. and Le, Q. V.", "B. Yang\n and Q. Le"):
        assert parse(f"@a{{b, author={{{authors}}}}}").people == [("yang", "b"), ("le", "q")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("http://arxiv.org/abs/1904.04971", "1904.04971"),
        ("https://arxiv.org/pdf/1904.04971v3.pdf", "1904.04971"),
        ("abs/1904.04971", "1904.04971"),
        ("1904.04971v2", "1904.04971"),
        ("arXiv:1904.04971", "1904.04971"),
        ("https://doi.org/10.48550/arXiv.1904.04971", "1904.04971"),
        ("arXiv preprint arXiv:1904.04971", "1904.04971"),
        ("https://paperswithcode.com/paper/x", None),
        ("10.1234.56789", None),
        ("32", None),
    ],
)
def test_an_arxiv_id_is_found_where_people_write_it(text, found):
    assert arxiv_id(text) == found


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("CondConv: Conditionally\n Parameterized", "condconv - conditionally parameterized", True),
        ("Soft Conditional Computation", "CondConv: Conditionally Parameterized", False),
    ],
)
def test_a_title_is_compared_by_its_letters(one, other, same):
    assert same_title(one, other) == same


def test_entries_of_one_paper_that_agree():
    found = rows(PUBLISHED, PUBLISHED.replace("nips", "again"))
    assert {key: row.verdict for key, row in found.items()} == dict.fromkeys(
        ["Citation", "Citation arXiv", "Citation Year", "Citation Authors", "Citation Venue"],
        "agrees",
    )


def test_a_preprint_differs_in_title_and_venue_and_agrees_in_the_rest():
    found = rows(PREPRINT, PUBLISHED, ANOTHER)
    differ = {key for key, row in found.items() if row.verdict == "differs"}
    assert differ == {"Citation", "Citation Venue"}
    assert found["Citation"].claimed == "“Soft Mixing” in its BibTeX"
    assert found["Citation"].computed == "“Mix: a title” as its Paper"
    assert found["Citation Venue"].claimed == "CoRR, a preprint"
    assert found["Citation Authors"].computed == "the same in nips"
    assert found["Citation arXiv"].computed == "the same in nips"


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("Citation arXiv", "{abs/1904.04971}", "{abs/1904.04972}"),
        ("Citation Year", "{2019}", "{2020}"),
        ("Citation Year", "{2019}", "{2018}"),
        ("Citation Authors", "Jiquan Ngiam", "Mingxing Tan"),
        ("Citation Authors", "Brandon", "Charles"),
        ("Citation Authors", " and\n             Jiquan Ngiam", ""),
        ("Citation Authors", "Brandon Yang and\n             Jiquan Ngiam", ""),
    ],
)
def test_a_detail_that_is_wrong_in_the_first_entry_differs(key, old, new):
    assert rows(PREPRINT, PUBLISHED)[key].verdict == "agrees"
    assert rows(PREPRINT.replace(old, new), PUBLISHED)[key].verdict == "differs"


def test_only_the_years_and_ids_that_disagree_are_told():
    first = PREPRINT.replace("{2019}", "{2018}")
    row = rows(first, PUBLISHED.replace("2019", "2018"))["Citation Year"]
    assert (row.claimed, row.computed) == ("2018", "arXiv:1904.04971 of 2019")
    row = rows(PREPRINT, PUBLISHED.replace("2019", "2020"))["Citation Year"]
    assert (row.claimed, row.computed) == ("2019", "2020 in nips")
    row = rows(PREPRINT.replace("1904.04971", "1904.04972"), PUBLISHED)
    assert row["Citation arXiv"].computed == "1904.04971 in nips"


def test_others_stand_for_whoever_is_left_out():
    short = PREPRINT.replace("Jiquan Ngiam", "others")
    assert rows(short, PUBLISHED)["Citation Authors"].verdict == "agrees"


def test_another_paper_is_held_against_itself_alone():
    assert rows(PUBLISHED, ANOTHER)["Citation other"].verdict == "agrees"
    early = ANOTHER.replace("2019", "2018")  # before it was submitted
    assert rows(PUBLISHED, early)["Citation other"].verdict == "differs"
    assert "Citation Venue" not in rows(PUBLISHED, ANOTHER)


def test_a_page_without_citations_or_without_a_paper_is_not_compared():
    assert rows() == {}
    assert "Citation" not in rows(PUBLISHED, paper=None)


def test_an_entry_may_leave_out_everything():
    assert Bibtex("", {}).people == []
    assert rows("@misc{a}", paper=None) == {}


def test_a_page_prints_the_entries_in_its_bibtex_fences_and_no_other():
    page = "```bibtex\n@a{x,\n}\n```\n```sh\n@b{y}\n```\n\n```` BibTeX\n@c{z}\n````\n@d{w}\n"
    assert printed(page) == ("@a{x,\n}", "@c{z}")


def test_a_page_with_line_ends_of_windows_prints_the_same_entries():
    page = f"text\n\n```bibtex\n{PREPRINT}\n```\n\nmore\n```bibtex\n@c{{z}}\n```\n"
    assert printed(page.replace("\n", "\r\n")) == printed(page) == (PREPRINT, "@c{z}")


def test_authors_are_called_given_name_first_however_they_are_written():
    entry = parse("@a{x, author = {Le, Quoc V. and Mingxing Tan and others}}")
    assert entry.authors == ["Quoc V. Le", "Mingxing Tan", "others"]
