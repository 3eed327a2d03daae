"""The site is built whole or not at all, and never over something else."""

import pytest
import torch
from conftest import ROOT

import effcc
from effcc import cli, exhibit, sitebuild
from effcc.nn.efficientnet import build
from effcc.report import cards, demo, vendor
from effcc.sitebuild import NotBuilt


def run(capsys, *words):
    """Exit code, and what was printed to each stream."""
    code = cli.main(["docs", *words])
    return code, *capsys.readouterr()


@pytest.fixture
def past_npm(monkeypatch, tmp_path):
    """What a page computes with seems to be there: these tests end before it is used."""
    monkeypatch.setattr(vendor, "fetch", lambda package: tmp_path)


def test_a_site_is_built_beside_the_cards_and_replaced_by_the_next(project, capsys):
    code, out, _ = run(capsys, "--build", "--no-demo")
    assert code == 0
    assert "wrote docs/models/cc_pico_4e.md" in out
    assert "python -m http.server -d site" in out.splitlines()[-1]
    site = project.root / "site"
    assert (site / "models" / "cc_pico_4e" / "index.html").is_file()
    (site / "stale.html").write_text("of the build before")
    assert run(capsys, "--build", "--no-demo")[0] == 0
    assert not (site / "stale.html").exists()
    # A link that leads nowhere: what was built stays, and nothing half-built lies about.
    (project.root / "docs" / "index.md").write_text("# x\n\n[nowhere](missing.md)\n")
    before = sorted(site.rglob("*"))
    code, _, said = run(capsys, "--build", "--no-demo")
    assert code == 3
    assert said.splitlines() == [
        "Doc file 'index.md' contains a link 'missing.md', but the target is not found among "
        "documentation files.",
        "the site was not built",
    ]
    assert sorted(site.rglob("*")) == before
    assert [path.name for path in project.root.iterdir() if path.name.startswith(".site")] == []


def test_a_folder_that_is_no_site_is_left_alone(project, capsys, tmp_path):
    other = tmp_path / "letters"
    other.mkdir()
    (other / "index.html").write_text("dear")
    code, out, said = run(capsys, "--build", "--no-demo", "--out", str(other))
    assert (code, out) == (2, "")
    assert said == f"docs --out {other}: holds something other than a built site; name another\n"
    assert [path.read_text() for path in other.iterdir()] == ["dear"]
    for precious in (project.root, project.root / "mkdocs.yml"):
        assert run(capsys, "--build", "--no-demo", "--out", str(precious))[0] == 2


def test_a_zip_that_is_no_site_is_left_alone(project, capsys):
    photos = project.root / "photos.zip"
    photos.write_bytes(b"PK")
    words = ("--build", "--no-demo", "--offline", "--out", "photos")
    code, _, said = run(capsys, *words)
    assert (code, photos.read_bytes()) == (2, b"PK")
    assert "photos.zip beside it is no built site" in said
    photos.unlink()
    assert run(capsys, *words)[0] == run(capsys, *words)[0] == 0  # the second replaces the first


@pytest.mark.parametrize("place", ["/proc/no/site", "file.txt/site"])
def test_a_place_where_nothing_can_be_made_is_one_line(project, capsys, place):
    (project.root / "file.txt").write_text("no folder")
    code, _, said = run(capsys, "--build", "--no-demo", "--out", place)
    assert (code, said.count("\n")) == (3, 1)
    assert "cannot be made" in said


def test_the_site_before_comes_back_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    for name in ("new", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    real, calls = sitebuild.os.replace, []

    def fails_second(one, other):
        calls.append(other)
        if len(calls) == 2:
            raise OSError("no")
        real(one, other)

    monkeypatch.setattr(sitebuild.os, "replace", fails_second)
    with pytest.raises(OSError, match="no"):
        sitebuild._replace(tmp_path / "new", tmp_path / "out", tmp_path / "old")
    assert (tmp_path / "out" / "out").exists()


def test_a_build_brings_every_generated_page_up_to_date(project, capsys):
    for name in ("CITATION.cff", "CHANGELOG.md"):
        (project.root / name).write_bytes((ROOT / name).read_bytes())
    assert run(capsys)[0] == 0
    citation = project.root / "CITATION.cff"
    citation.write_text(
        citation.read_text("utf-8").replace("effcc contributors", "others"), "utf-8"
    )
    code, out, _ = run(capsys, "--build", "--no-demo")
    assert code == 0
    assert "wrote docs/citation.md" in out
    assert run(capsys, "--check")[0] == 0


def test_without_a_model_the_page_says_how_to_get_one(site):
    page = (site / "try" / "index.html").read_text("utf-8")
    assert "<code>effcc docs --build</code>" in page
    assert "assets/demo.js" not in page
    assert not (site / "assets" / "demo").exists()


def test_options_of_a_build_go_with_it(project, capsys):
    for words in (["--offline"], ["--out", "x"], ["--demo", "x"], ["--no-demo"]):
        code, _, said = run(capsys, *words)
        assert (code, said.count("\n")) == (2, 1)
        assert "go with --build" in said


def test_a_project_without_pages_is_told_where_they_are_built(project, capsys):
    (project.root / "mkdocs.yml").unlink()
    code, _, said = run(capsys, "--build")
    assert (code, said.count("\n")) == (2, 1)
    assert "no mkdocs.yml" in said


def test_pages_without_the_plugin_are_refused(project, tmp_path):
    config = project.root / "mkdocs.yml"
    config.write_text(
        config.read_text().replace("  - effcc\n", "").replace("Models: []", "M: x.md")
    )
    cards.write(project)
    with pytest.raises(NotBuilt, match="does not name effcc"):
        sitebuild.pages(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_run_it_says_how_to_make_one_or_do_without(project, capsys, past_npm):
    code, _, said = run(capsys, "--build")
    assert (code, said.count("\n")) == (3, 1)
    assert "effcc fit --config registry/cc_pico_4e.yaml" in said
    assert "--no-demo" in said
    assert not project.models.exists()


def checkpoint(path, **settings):
    """A file as effcc fit writes it, of a network that learnt nothing."""
    spec = effcc.load("cc_pico_4e", source="digits").with_classes(10)
    ours = {"variant": "cc_pico_4e", "classes": list("0123456789"), "settings": spec.settings()}
    for name, value in settings.items():
        section, _, key = name.partition("__")
        ours["settings"][section][key] = value
    state = {f"model.{name}": value for name, value in build(spec.network).state_dict().items()}
    torch.save({"state_dict": state, "effcc": ours}, path)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"data__source": "folder"}, "not a model of the embedded digits"),
        ({"preprocessing__interpolation": "tf_bicubic"}, "resizes by tf_bicubic"),
    ],
)
def test_a_checkpoint_that_the_page_cannot_run_is_one_line(
    project, capsys, past_npm, settings, complaint
):
    checkpoint("other.ckpt", **settings)
    code, _, said = run(capsys, "--build", "--demo", "other.ckpt")
    assert (code, said.count("\n")) == (3, 1)
    assert complaint in said


def test_a_network_without_experts_has_nothing_to_show(project, capsys, past_npm):
    plain = {"stages": [stage | {"conditional": False} for stage in stages()]}
    variant = project.registry / "cc_pico_4e.yaml"
    both = f"  experts: 4\n  stages: {plain['stages']}"
    text = variant.read_text("utf-8").replace("  experts: 4", both)
    variant.write_text(text.replace("False", "false").replace("'", ""), "utf-8")
    checkpoint("plain.ckpt")
    code, _, said = run(capsys, "--build", "--demo", "plain.ckpt")
    assert (code, said.count("\n")) == (3, 1)
    assert "has no conditional block" in said


def stages():
    """The stage table of cc_pico_4e, as a registry file has it."""
    return effcc.load("cc_pico_4e").settings()["network"]["stages"]


def test_a_file_that_is_no_checkpoint_of_ours_is_one_line(project, capsys, past_npm):
    torch.save({"state_dict": {}}, "bare.ckpt")
    for name, complaint in (("bare.ckpt", "says of no variant"), ("none.ckpt", "no such")):
        code, _, said = run(capsys, "--build", "--demo", name)
        assert (code, said.count("\n")) == (3, 1)
        assert complaint in said


def test_a_model_too_large_for_a_page_is_refused(project, capsys, past_npm, monkeypatch):
    checkpoint("last.ckpt")
    monkeypatch.setattr(exhibit, "MAX_BYTES", 10**6)
    code, _, said = run(capsys, "--build", "--demo", "last.ckpt")
    assert (code, said.count("\n")) == (3, 1)
    assert "cc_pico_4e is 3.9 MB as ONNX, and a page loads 1 at most" in said


def test_a_page_without_a_place_for_a_model_is_an_error_of_ours(tmp_path):
    with pytest.raises(ValueError, match="has no lines"):
        demo.page("# Draw\n", tmp_path)
