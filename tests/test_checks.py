"""`effcc check` takes any model-index, and what it says of it people and programs can use."""

import json

import corpus
import pytest

from effcc.claims import modelindex, rules
from effcc.cli import main


@pytest.fixture
def effcc(capsys, tmp_path, monkeypatch):
    """Runs a command in an empty folder; gives its exit code, output and complaints."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = main(["check", *words])
        return code, *capsys.readouterr()

    return run


def written(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.yml").write_text(text)


RIGHT = "Models:\n- Name: a\n"
DOUBTFUL = "Models:\n- Name: b\n  metadata: {LR: 1e-5}\n"
WRONG = "Models:\n- Name: c\n  Paper: {URL: 'javascript:x'}\n"


def test_cards_in_every_shape_that_is_found_have_no_error(tmp_path):
    files = corpus.write(tmp_path, 200)
    found = modelindex.check(files, tmp_path)
    errors = [str(problem) for problem in found.problems if rules.is_error(problem.code)]
    assert errors == []
    assert len(found.claims) > 500


def test_a_folder_of_them_is_found_whole_and_each_file_once(tmp_path):
    files = corpus.write(tmp_path, 100)
    by_folder = modelindex.check(modelindex.files_in(tmp_path), tmp_path)
    by_file = modelindex.check(files, tmp_path)
    assert sorted(c.name for c in by_folder.claims) == sorted(c.name for c in by_file.claims)
    assert {p.code for p in by_folder.problems} == {p.code for p in by_file.problems}


def test_what_is_read_can_be_written_and_read_again(tmp_path):
    claims = modelindex.check(corpus.write(tmp_path, 100), tmp_path).claims
    again = modelindex.parse(modelindex.dump(claims)).claims
    assert again == claims


@pytest.mark.parametrize(
    ("text", "words", "code", "verdict"),
    [
        (RIGHT, (), 0, "1 file, 1 model: no problem"),
        (DOUBTFUL, (), 0, "1 file, 1 model: 2 warnings (--fix mends 2)"),
        (DOUBTFUL, ("--strict",), 1, "1 file, 1 model: 2 warnings (--fix mends 2)"),
        (WRONG, (), 1, "1 file, 1 model: 1 error"),
    ],
)
def test_errors_fail_a_check_and_warnings_do_not(effcc, tmp_path, text, words, code, verdict):
    written(tmp_path, a=text)
    found, out, _ = effcc("a.yml", *words)
    assert (found, out) == (code, verdict + "\n")


def test_a_problem_is_told_with_the_line_it_is_in(effcc, tmp_path):
    (tmp_path / "sub").mkdir()
    written(tmp_path / "sub", a=WRONG)
    assert effcc("sub")[2].splitlines() == [
        "sub/a.yml:3:16: Models[0].Paper.URL: expected a link that begins with http:// or "
        "https://, found 'javascript:x' [MI050]",
        "    3 |   Paper: {URL: 'javascript:x'}",
        "      |                ^",
    ]


def test_a_file_from_elsewhere_is_named_in_full(effcc, tmp_path, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    written(other, a=WRONG)
    assert effcc(str(other / "a.yml"))[2].startswith(f"{other}/a.yml:3:16: ")


def test_a_folder_is_searched_for_what_is_a_model_index_and_the_rest_left_alone(effcc, tmp_path):
    (tmp_path / ".hidden").mkdir()
    written(tmp_path / ".hidden", a=WRONG)
    written(tmp_path, a=RIGHT, workflow="on: push\njobs: {}\n", broken="a: [\n")
    (tmp_path / "README.md").write_text("# no model here\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    assert effcc(".")[:2] == (0, "1 file, 1 model: no problem\n")


def test_a_hub_card_beside_a_page_may_be_of_the_same_model(effcc, tmp_path):
    card = "---\nmodel-index:\n- name: a\n  results: []\n---\n"
    written(tmp_path, a=RIGHT)
    (tmp_path / "README.md").write_text(card)
    assert effcc(".")[:2] == (0, "2 files, 2 models: no problem\n")
    (tmp_path / "other.md").write_text(card)
    assert "[MI031 warning]" in effcc(".")[2]


def test_a_collection_may_stand_in_another_file_of_the_folder(effcc, tmp_path):
    written(tmp_path, a="Collections: [{Name: C}]\n", b="Models: [{Name: m, In Collection: C}]\n")
    assert effcc(".")[0] == 0
    assert effcc("b.yml")[0] == 1


@pytest.mark.parametrize("name", ["a.yml", "README.md"])
def test_a_mark_of_the_byte_order_hides_no_file(effcc, tmp_path, name):
    text = RIGHT if name == "a.yml" else "---\nmodel-index: []\n---\n"
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert effcc(".")[1].startswith("1 file, ")


def test_pages_of_a_repository_are_found_from_its_root(effcc, tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "README.md").write_text("# x\n")
    written(tmp_path / "sub", a="Models: [{Name: a, README: sub/README.md}]\n")
    assert effcc("sub")[:2] == (0, "1 file, 1 model: no problem\n")


def test_imports_stay_in_the_folder_that_is_checked_unless_they_may_leave(effcc, tmp_path):
    (tmp_path / "sub").mkdir()
    written(tmp_path, other=RIGHT)
    written(tmp_path / "sub", a="Import: ../other.yml\n")
    assert "MI035" in effcc("sub")[2]
    assert "MI035" in effcc("sub/a.yml")[2]
    assert effcc("sub/a.yml", "--root", ".")[0] == 0
    assert effcc("sub", "--outside")[:2] == (0, "2 files, 1 model: no problem\n")


def test_a_file_in_a_repository_may_import_from_all_of_it(effcc, tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub").mkdir()
    written(tmp_path, other=RIGHT)
    written(tmp_path / "sub", a="Import: ../other.yml\n")
    assert effcc("sub/a.yml")[0] == 0


def test_json_tells_programs_everything(effcc, tmp_path):
    written(tmp_path, a="Collections:\n- {Name: C, Metadata: {Epochs: 9}}\n" + DOUBTFUL)
    text = (tmp_path / "a.yml").read_text().replace("Name: b", "Name: b\n  In Collection: C")
    (tmp_path / "a.yml").write_text(text)
    code, out, err = effcc("a.yml", "--json", "--facts")
    data = json.loads(out)
    assert (code, err) == (0, "")
    assert [(p["code"], p["severity"], p["line"]) for p in data["problems"]] == [
        ("MI021", "warning", 6),
        ("MI041", "warning", 6),
    ]
    assert data["problems"][1]["mend"] == {"old": "1e-5", "new": "1.0e-5"}
    (model,) = data["facts"]
    assert model["facts"] == {
        "Epochs": {"value": "9", "origin": "inherited from C", "place": "a.yml:2:32"},
        "LR": {"value": "1e-5", "origin": "own", "place": "a.yml:6:18"},
    }


def test_facts_are_printed_with_who_says_them(effcc, tmp_path):
    code = "  Code: https://a.org\n  Results: {Task: t, Dataset: d, Metrics: {acc: 1}}\n"
    written(tmp_path, a=f"Models:\n- Name: a\n  Metadata: {{Epochs: 9, Tasks: [x, y]}}\n{code}")
    out = effcc("a.yml", "--facts")[1]
    assert out.splitlines()[:6] == [
        "a (a.yml:2)",
        "  fact    origin  value",
        "  Epochs  own     9",
        "  Tasks   own     x, y",
        "  Code    own     https://a.org",
        "  acc, d  own     1",
    ]


@pytest.mark.parametrize(
    ("form", "begins"), [("sarif", "{"), ("github", "::error file=a.yml,line=3,col=16,")]
)
def test_code_hosts_are_told_in_their_own_words(effcc, tmp_path, form, begins):
    written(tmp_path, a=WRONG)
    code, out, err = effcc("a.yml", "--format", form)
    assert (code, err) == (1, "")
    assert out.startswith(begins)


def test_fix_mends_all_it_can_in_one_go_and_says_so(effcc, tmp_path):
    paper = "  Paper: {Title: t}\n  README: one: two\n  Code: https://a.org # it: is\n"
    written(tmp_path, a=DOUBTFUL + paper, b=RIGHT)
    code, out, _ = effcc("a.yml", "b.yml", "--fix")
    assert (code, out) == (0, "2 files, 2 models: no problem, 3 mends made\n")
    assert (tmp_path / "a.yml").read_text() == (
        "Models:\n- Name: b\n  Metadata: {LR: 1.0e-5}\n"
        "  Paper: {Title: t}\n  README: 'one: two'\n  Code: https://a.org # it: is\n"
    )


@pytest.mark.parametrize("words", [("--fix",), ("--facts",), ("--root", "."), ("--outside",)])
def test_what_needs_files_says_so(effcc, words, capsys):
    code, _, err = effcc(*words)
    assert code == 2
    assert err == f"check: {words[0]} needs the files or folders to check\n"


def test_a_file_that_is_not_there_is_bad_input(effcc):
    code, _, err = effcc("none.md")
    assert (code, err) == (3, "none.md: cannot be read: no such file or folder\n")


def test_a_project_tells_its_doubts_and_passes_them(effcc, project):
    page = project.model_index / "effcc-condconv-pico.md"
    page.write_text(page.read_text().replace("1.0e-05", "1e-05"))
    code, out, err = effcc()
    assert code == 0
    assert "Models[0].Metadata.Weight Decay: 1e-05 is text to many readers" in err
    assert ": no problem, " in out
