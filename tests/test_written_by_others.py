"""Text in any encoding and of any shape gives a line with its place, in every file that is read."""

import json
import time

import pytest
import records

from effcc import cli
from effcc.catalog import results

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
NOT_A_FILE = {
    "tag": b"x: !!python/object/apply:os.system [touch ran]\n",
    "new tag": b"x: !<tag:yaml.org,2002:python/name:os.system> ''\n",
    "bomb": BOMB.encode(),
    "itself": b"x: &x [*x]\n",
    "deep": b"x: " + b"[" * 100_000,
    "deep json": b'{"x": ' * 50_000,
    "huge int": b"x: " + b"9" * 100_000 + b"\n",
    "nul": b"x: a\x00b\n",
    "utf-16": "x: y\n".encode("utf-16"),
    "utf-32": "x: y\n".encode("utf-32"),
    "latin-1": b"x: caf\xe9\n",
    "half a character": b'x: "\\ud800"\n',
    "bare half": b"x: \xed\xa0\x80\n",
    "escape": b"x: \x1b[2J\n",
    "many documents": b"--- 1\n--- 2\n",
    "merged with itself": b"x: &x {<<: *x}\n",
    "list as a key": b"? [a, b]\n: c\n",
}
FILES = [
    "registry/cc_pico_4e.yaml",
    "registry/shared/condconv.yaml",
    "registry/shared/digits.yaml",
    "model-index/more.yaml",
    "model-index/more.json",
    "registry/results/cc_pico_4e/20260131T120000Z-fit-digits-0.json",
]


@pytest.mark.parametrize("what", NOT_A_FILE)
def test_a_file_that_should_not_be_is_one_line_with_its_place(project, what, capsys, unburdened):
    for name in FILES:
        path = project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = path.read_bytes() if path.exists() else None
        path.write_bytes(NOT_A_FILE[what])
        for command in (("check",), ("audit", name), ("show", "cc_pico_4e")):
            began = time.process_time()
            code = cli.main(command)
            assert time.process_time() - began < 2, (name, command)
            said = capsys.readouterr().err
            if command == ("check",):
                assert code in (1, 3), name
                assert name in said, name
            assert code in (0, 1, 3), (name, command)
            assert "Traceback" not in said
        path.unlink() if kept is None else path.write_bytes(kept)
    assert not (project.root / "ran").exists()
    assert cli.main(["check"]) == 0


@pytest.mark.parametrize("name", ["--config", "CITATION.cff", "--recipe.lr"])
@pytest.mark.parametrize("what", ["tag", "bomb", "deep", "huge int", "nul", "half a character"])
def test_so_it_is_with_what_is_typed_and_what_is_cited(project, name, what, capsys):
    content = NOT_A_FILE[what]
    (project.root / "over.yaml").write_bytes(content)
    words = ["fit", "--config", "registry/cc_pico_4e.yaml", "--print_config"]
    if name == "--config":
        assert cli.main([*words, "--config", "over.yaml"]) == 3
        assert "over.yaml:" in capsys.readouterr().err
    elif name == "CITATION.cff":
        project.citation.write_bytes(content)
        assert cli.main(["docs"]) == 3
        assert "CITATION.cff" in capsys.readouterr().err
    else:
        assert cli.main([*words, "--recipe.lr", content.decode()]) == 2
        assert "--recipe.lr" in capsys.readouterr().err
    assert not (project.root / "ran").exists()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_mark_and_line_ends_of_windows_change_nothing(project, mark, capsys):
    results.save(records.record(project), project)
    for pattern in ("registry/**/*.yaml", "registry/**/*.json", "model-index/*.md", "*.cff"):
        for path in project.root.glob(pattern):
            path.write_bytes(mark + path.read_bytes().replace(b"\n", b"\r\n"))
    assert cli.main(["check"]) == 0
    assert cli.main(["docs"]) == 0
    assert "97.2 %" in (project.models / "cc_pico_4e.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["..\\evil", "C:\\evil", "..", "a/b", "con\n", "\\\\host\\x"])
def test_a_path_in_the_place_of_a_name_leads_nowhere(project, name, capsys):
    file = project.registry / "cc_pico_4e.yaml"
    text = file.read_text("utf-8")
    quoted = json.dumps(name)
    lines = [f"extends: {quoted}" if x.startswith("extends:") else x for x in text.splitlines()]
    file.write_text("\n".join(lines) + "\n", "utf-8")
    assert cli.main(["check"]) == 3
    assert "cc_pico_4e.yaml:" in capsys.readouterr().err
    assert cli.main(["new", name, "--from", "cc_b0_4e"]) == 2


EDITS = {
    "a figure": ("correct", lambda data: data["metrics"]["top1"].update(correct=360)),
    "a figure and what follows": ("edited by hand", lambda data: data.update(seconds=1.0)),
    "a setting": ("edited by hand", lambda data: data["settings"]["recipe"].update(lr=9)),
    "a curve": ("edited by hand", lambda data: data["curve"].pop()),
    "a name": ("records do not move", lambda data: data.update(id="20260131T120001Z-fit-digits-0")),
    "another's": ("records do not move", lambda data: data.update(variant="cc_b0_4e")),
    "a digest": ("edited by hand", lambda data: data.update(digest="sha256:" + "0" * 64)),
    "more": ("unknown key", lambda data: data.update(more=1)),
    "infinite": ("", lambda data: data.update(seconds=float("inf"))),
    "another type": ("expected", lambda data: data.update(metrics=[])),
}


@pytest.mark.parametrize("what", EDITS)
def test_a_record_edited_by_hand_is_said_to_be_and_shown_on_no_card_as_measured(
    project, what, capsys
):
    path = results.save(records.record(project), project)
    message, edit = EDITS[what]
    data = json.loads(path.read_text("utf-8"))
    edit(data)
    path.write_text(json.dumps(data), "utf-8")
    assert cli.main(["check"]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert path.name in said
    assert cli.main(["docs"]) == 0
    headline = (project.models / "index.md").read_text("utf-8")
    assert "97.2 %" not in headline
    assert "100.0 %" not in headline
