"""A card says what the catalog and the records say, no more, the same every time."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs

import hostile
import modelindex as outside  # the reference reader of the format
import pytest
from conftest import ROOT
from mkdocs.utils import meta
from records import bench, record
from rendered import WORST, Page, legible, to_html

from effcc import cli
from effcc.catalog import query, registry, results, timings
from effcc.catalog.results import Metric
from effcc.claims import modelindex
from effcc.ground.document import model_index_comment
from effcc.ground.home import Home
from effcc.report import cards

VARIANT = "cc_pico_4e"
ANOTHER_DAY = "20260201T120000Z-fit-digits-1"


def page(project, name=VARIANT):
    (entry,) = [entry for entry in registry.entries(project) if entry.spec.name == name]
    return cards.render(cards.make(entry, project))


def section(text, heading):
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def unlinked(text):
    """A page's text as readers see it, without where its links lead."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)


# Up to date


def test_rendering_twice_gives_the_same_bytes(project):
    results.save(record(project), project)
    first = cards.pages(project)
    assert cards.pages(project) == first
    cards.write(project)
    assert {path: path.read_bytes().decode() for path in first} == first


def test_a_project_without_cards_gets_one_a_variant_and_an_index(project):
    expected = {f"{name}.md" for name in registry.names(project)} | {"index.md"}
    assert {path.name for path in cards.stale(project)} == expected
    assert {path.name for path in cards.write(project)} == expected
    assert {path.name for path in project.models.iterdir()} == expected
    assert cards.stale(project) == []
    assert cards.write(project) == []


def test_a_new_record_makes_the_pages_that_show_it_stale(project):
    cards.write(project)
    results.save(record(project), project)
    names = ["cc_pico_4e.md", "index.md"]
    assert [path.name for path in cards.stale(project)] == names
    assert [path.name for path in cards.write(project)] == names


def test_a_changed_setting_makes_the_card_stale(project):
    cards.write(project)
    path = project.registry / "cc_b0_4e.yaml"
    path.write_text(path.read_text("utf-8") + "  momentum: 0.8\nseed: 1\n")
    assert [path.name for path in cards.stale(project)] == ["cc_b0_4e.md"]


def test_a_page_edited_by_hand_is_stale_and_written_again(project):
    cards.write(project)
    path = project.models / "cc_b0_4e.md"
    before = path.read_bytes()
    path.write_text("better")
    assert cards.stale(project) == [path]
    cards.write(project)
    assert path.read_bytes() == before


def test_the_page_of_a_variant_that_is_gone_is_stale_and_removed(project):
    cards.write(project)
    (project.registry / "cc_b0_8e.yaml").unlink()
    gone = project.models / "cc_b0_8e.md"
    assert gone in cards.stale(project)
    assert gone in cards.write(project)
    assert not gone.exists()
    own = project.models / "notes.md"
    own.write_text("# What nobody else has written down\n")
    assert cards.stale(project) == cards.write(project) == []
    assert own.exists()
    assert "cc_b0_8e" not in (project.models / "index.md").read_text("utf-8")


def test_looking_writes_nothing(project):
    before = sorted(project.root.rglob("*"))
    cards.stale(project)
    assert sorted(project.root.rglob("*")) == before


def test_the_committed_cards_are_up_to_date(shipped):
    assert [shipped.shown(path) for path in cards.stale(shipped)] == []


# What a card says


def test_claimed_computed_and_measured_stand_in_their_own_columns(project):
    results.save(record(project, "cc_b0_4e"), project)
    figures = section(page(project, "cc_b0_4e"), "Figures")
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in figures.splitlines()]
    found = {row[0]: row[1:] for row in rows if len(row) == 4}
    assert [unlinked(cell) for cell in found["Parameters"][:2]] == ["13310000", "13,314,116"]
    flops = found["Multiply-accumulates at 224 px"]
    assert unlinked(flops[0]).startswith("224153788")
    assert "#disagreements" in flops[0]
    assert unlinked(flops[1]).startswith("396,513,888, of them 10,694,400")
    assert unlinked(found["Top 1 Accuracy, ImageNet"][0]) == "77.32%"
    measured = found["Top 1 Accuracy, scanned digits"]
    assert measured[:2] == ["", ""]
    assert unlinked(measured[2]).startswith(
        "**97.2 %** (350 of 360; 95 % interval 95.0 % to 98.5 %)"
    )


def test_a_card_counts_as_compared_only_what_is(shipped):
    text = legible(page(shipped, "cc_b0_4e"))
    said = re.search(r"Compared: (\d+) of (\d+) figures, (\d+) in disagreement", text)
    table = text[said.end() :].partition("\n## ")[0]
    ends = [line.split(" | ")[-1] for line in table.splitlines() if line.startswith("| ")]
    verdicts = Counter(end.removesuffix(" |") for end in ends)
    assert verdicts["not compared"] > 10
    compared = len(ends) - verdicts["not compared"]
    assert list(map(int, said.groups())) == [compared, len(ends), verdicts["disputed"]]


def test_a_dispute_of_another_figure_is_no_reason_on_the_card(project):
    entry = project.model_index / "tf-efficientnet-condconv.md"
    entry.write_text(entry.read_text("utf-8").replace("LR: 0.256", "LR: 0.016", 1), "utf-8")
    text = page(project, "cc_b0_4e")
    assert "No reason is on record; the dispute at registry/shared/condconv.yaml:" in text
    assert " is of 0.256. By that rule 0.016 is the rate of 256 images a step." in text


def test_a_disagreement_is_shown_with_both_figures_and_the_reason(project):
    text = section(page(project, "cc_b0_4e"), "Disagreements")
    for part in ("224153788", "396,513,888", "224,153,788", "hook-based counter"):
        assert part in text


def test_a_variant_that_nobody_measured_says_so(project):
    assert "Nothing has been measured here yet" in page(project)
    results.save(record(project), project)
    assert "Nothing has been measured here yet" not in page(project)


def test_every_setting_of_the_recipe_stands_with_its_value_and_its_line(project):
    text = legible(section(page(project, "cc_b0_4e"), "Recipe"))
    spec = registry.load("cc_b0_4e", project)
    for setting, origin in spec.origins.items():
        if setting.startswith(("recipe.", "preprocessing.")):
            assert f"| `{setting}` |" in text
            assert f"`{origin.place}`" in text


def test_a_fact_that_the_registry_overrides_is_shown_beside_it(project):
    path = project.registry / "cc_b0_4e.yaml"
    assert "lr: 0.128" in path.read_text("utf-8")
    text = legible(page(project, "cc_b0_4e"))
    (line,) = [x for x in text.splitlines() if x.startswith("| `recipe.lr`")]
    assert line.startswith("| `recipe.lr` | 0.128 |")
    assert "overriding 0.256 in `model-index/tf-efficientnet-condconv.md:" in unlinked(line)


def test_the_newest_run_of_the_registered_variant_is_the_headline(project):
    results.save(record(project, correct=340), project)
    results.save(record(project, correct=350, id=ANOTHER_DAY, seed=1), project)
    figures = section(page(project), "Figures")
    assert "350 of 360" in figures
    assert "340 of 360" not in figures
    assert "Recorded runs: 2" in page(project)


def test_a_run_with_changed_settings_is_listed_but_no_headline(project):
    results.save(record(project, settings={"recipe.epochs": 3}), project)
    text = page(project)
    assert "350 of 360" not in section(text, "Figures")
    row = r"\| `20260131T120000Z-fit-digits-0` .*recipe.epochs 3 \|"
    assert re.search(row, unlinked(legible(text)))


def test_a_run_from_before_the_registry_changed_is_no_headline_any_more(project):
    results.save(record(project), project)
    path = project.registry / f"{VARIANT}.yaml"
    path.write_text(path.read_text("utf-8") + "recipe: {momentum: 0.8}\n")
    text = page(project)
    assert "350 of 360" not in section(text, "Figures")
    assert "the registry has changed since" in text


@pytest.mark.parametrize("settings", [{"network.dropout": 0}, {"recipe.lr": 6e-3}, {"seed": 4}])
def test_stating_a_registered_value_again_changes_nothing(project, settings):
    results.save(record(project, settings=settings), project)
    assert "350 of 360" in section(page(project), "Figures")


def test_a_run_on_other_images_has_a_headline_of_its_own(project):
    results.save(record(project), project)
    made = record(project, id=ANOTHER_DAY, correct=300)
    other = replace(made.dataset, fingerprint="sha256:" + "ef" * 32, title="more digits")
    results.save(replace(made, dataset=other), project)
    figures = section(page(project), "Figures")
    assert "350 of 360" in figures
    assert "300 of 360" in figures


@pytest.mark.parametrize(
    "device",
    [
        {"kind": "cuda", "count": 1, "system": "Linux", "name": "NVIDIA H200"},
        {"kind": "cpu", "count": 1, "name": "a processor", "threads": 2, "cores": 2},
    ],
)
def test_a_run_on_any_machine_has_a_card(project, device):
    results.save(record(project, device=device), project)
    assert device["name"] in page(project)


def test_a_measurement_without_an_accuracy_is_no_headline(project):
    results.save(record(project, metrics={"loss": Metric(0.5)}), project)
    assert "Nothing has been measured here yet" in page(project)


def test_a_single_epoch_draws_no_curve(project):
    results.save(record(project, curve=()), project)
    assert "<svg" not in section(page(project), "Measured here")


def test_a_curve_is_drawn_and_told(project):
    results.save(record(project), project)
    text = section(page(project), "Measured here")
    assert text.count("<svg") == 2
    assert "top-1 from 50 % after epoch 1 to 90 % after epoch 2" in text
    assert "dashed" not in text


def test_weights_of_no_known_run_are_no_headline_and_published_ones_are_called_that(project):
    made = record(project, verb="test", id="20260131T120000Z-test-digits-0", steps=0)
    unknown = made.checkpoint | {"source": "unknown"}
    results.save(replace(made, checkpoint=unknown), project)
    assert "350 of 360" not in section(page(project), "Figures")
    assert "weights of no known run" in page(project)
    published = made.checkpoint | {"source": "published"}
    results.save(replace(made, checkpoint=published, id=f"{made.id}1"), project)
    text = page(project)
    assert "350 of 360" in section(text, "Figures")
    assert "The weights are those that the entry names, by their hash." in text
    assert "not the best of several" not in text


def test_a_run_that_began_with_other_weights_says_with_which(project):
    start = {"path": "weights/b0.pth", "sha256": "ef" * 32, "bytes": 1000}
    results.save(record(project, start=start), project)
    cards.write(project)
    row = "of a run that began with those of `weights/b0.pth`, `sha256:efefefefefef"
    assert row in (project.models / "cc_pico_4e.md").read_text("utf-8")


def test_a_curve_with_raw_weights_says_which_lines_are_theirs(project):
    curve = [
        {"epoch": e, "val_top1": 0.5, "raw_val_top1": 0.4, "raw_val_loss": 1.0} for e in (1, 2)
    ]
    results.save(record(project, curve=tuple(curve)), project)
    text = section(page(project), "Measured here")
    assert "with the averaged weights and, dashed, with the weights that train." in text
    assert "raw weights from 40 %" in text


def test_earlier_runs_of_the_same_settings_keep_their_curves(project):
    results.save(record(project), project)
    assert "same settings" not in page(project)
    results.save(record(project, id=ANOTHER_DAY), project)
    changed = record(project, id="20260301T120000Z-fit-digits-0", settings={"recipe.lr": 1.0})
    results.save(changed, project)
    text = page(project)
    assert "Learning curves of the same settings: 1</summary>" in text
    newest, others = text.split("Learning curves of the same settings")
    assert f"Run {ANOTHER_DAY}" in newest
    assert "Run 20260131T120000Z-fit-digits-0, seed 0: 97.2 % top-1" in others


def test_every_card_draws_its_network_its_costs_and_its_schedule(project):
    text = page(project)
    assert section(text, "Network").count("<svg") == 3
    assert section(text, "Recipe").count("<svg") == 2
    assert "up to 0.003 in 2 epochs" in section(page(project, "cc_b0_4e"), "Recipe")


def test_the_page_of_models_compares_only_what_has_figures(project):
    index = project.models / "index.md"
    text = cards.pages(project)[index]
    assert text.count("<svg") == 1  # claims stand in the index; nothing was measured yet
    for name in ("cc_b0_4e", VARIANT):
        results.save(record(project, name), project)
        timings.save(bench(project, name), project)
    assert section(cards.pages(project)[index], "Accuracy and cost").count("<svg") == 2
    for name in registry.names(project):
        if name != VARIANT:
            (project.registry / f"{name}.yaml").unlink()
    assert "Accuracy and cost" not in cards.pages(project)[index]


# Where the figures come from

# A link of a card into the project: its text, the file, and the line.
ORIGIN = re.compile(r"\[([^\]]*)\]\(\.\./\.\./([^)?#]+)(?:\?plain=1)?#L(\d+)\)")


def origins(project, text):
    """Each figure that links into a file, with what stands on that line."""
    for shown, file, line in ORIGIN.findall(text):
        lines = (project.root / file).read_text("utf-8").split("\n")
        yield shown, file, lines[int(line) - 1]


def full(project):
    """A card with everything: claims, a run, a time."""
    results.save(record(project, "cc_b0_4e"), project)
    timings.save(bench(project, "cc_b0_4e"), project)
    return page(project, "cc_b0_4e")


def test_a_claimed_figure_links_to_the_line_that_claims_it(project):
    figures = section(full(project), "Figures")
    claimed = {shown: line for shown, file, line in origins(project, figures) if ".md" in file}
    assert set(claimed) == {"13310000", "224153788", "53490940", "77.32%", "93.32%"}
    for shown, line in claimed.items():
        assert line.split(": ")[1].strip("' ") == shown


def test_a_measured_figure_links_to_its_line_in_its_record(project):
    text = full(project)
    lines = [
        (shown, json.loads(line.strip().rstrip(",").partition(": ")[2]))
        for shown, file, line in origins(project, text)
        if file.endswith(".json") and "`" not in shown
    ]
    assert len(lines) == 1 + 2 + 4  # in the table, in the text, of time by engine and batch
    for shown, value in lines:
        assert float(shown.removesuffix(" %")) == pytest.approx(
            100 * value if "%" in shown else 1000 * value, abs=0.05
        )


def test_a_setting_links_to_the_line_that_sets_it(project):
    recipe = legible(section(full(project), "Recipe"))
    found = list(origins(project, recipe))
    assert len(found) > 25
    for shown, file, line in found:
        assert not shown.startswith("`") or file in shown
        assert re.match(r"\s*-?\s*('?[\w ]+'?): \S", line), (file, line)
    rows = dict(re.findall(r"^\| `([\w.]+)` \|.*\| \[`([\w./:-]+)`\]", recipe, re.MULTILINE))
    for setting, place in rows.items():
        origin = registry.load("cc_b0_4e", project).origins[setting]
        assert place == origin.place


def test_a_computed_figure_names_a_command_that_prints_it(project, capsys):
    text = full(project)
    figures, ledger = section(text, "Figures"), legible(section(text, "Ledger"))
    computed = re.findall(r"\[([\d,]+)\]\(#ledger\)", figures)
    assert len(computed) == 4
    for figure in computed:
        (row,) = [line for line in ledger.splitlines() if f"| {figure} |" in line]
        assert row.endswith("| `effcc show cc_b0_4e` |")
    assert cli.main(["show", "cc_b0_4e"]) == 0
    printed = capsys.readouterr().out.split()
    assert set(computed) <= set(printed)


def test_the_ledger_lists_every_figure_with_its_kind_and_origin(project):
    ledger = legible(section(full(project), "Ledger"))
    rows = [line for line in ledger.splitlines() if re.match(r"\| [A-Zm]", line)]
    kinds = [re.search(r'"mark (\w+)"', row)[1] for row in rows]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "claimed": 15,  # with the recipe
        "computed": 4,
        "measured": 2 + 4,
    }
    for row in rows:
        assert ORIGIN.search(row) or "`effcc show cc_b0_4e`" in row
    assert f"origin: {len(rows)}" in ledger


def test_a_card_says_how_to_run_its_measurement_again(project):
    results.save(record(project), project)
    found = section(page(project), "Measured here")
    assert "| Again | `effcc reproduce 20260131T120000Z-fit-digits-0` |" in found
    assert ".json#L3), sealed |" in found


def test_a_record_from_before_seals_is_shown_as_such(shipped):
    assert "from before records were sealed" in section(page(shipped), "Measured here")


def test_a_record_edited_by_hand_is_shown_as_such_and_no_headline(project):
    results.save(record(project, correct=340), project)
    path = results.save(record(project, correct=350, id=ANOTHER_DAY), project)
    path.write_text(path.read_text("utf-8").replace('"seed": 0', '"seed": 1'))
    text = page(project)
    assert "340 of 360" in section(text, "Figures")
    assert "350 of 360" not in section(text, "Measured here").partition("<details")[0]
    (row,) = [line for line in legible(text).splitlines() if f"| [`{ANOTHER_DAY}`]" in line]
    assert row.endswith("| 1 | edited by hand |  |")
    (claim,) = modelindex.parse(model_index_comment(text)).claims
    assert claim.results[-1].metrics["Top 1 Accuracy"].text == "94.44%"


def test_a_time_edited_by_hand_is_shown_as_such_and_not_drawn(project):
    path = timings.save(bench(project), project)
    path.write_text(path.read_text("utf-8").replace('"rounds": 5', '"rounds": 6'))
    text = page(project)
    assert "## Speed" not in text
    assert "edited by hand" in text


def test_a_file_that_is_no_record_leaves_the_card_whole_and_is_mentioned(project):
    path = results.save(record(project), project)
    path.with_name("20270101T000000Z-fit-digits-0.json").write_text("{}")
    text = page(project)
    assert "350 of 360" in section(text, "Figures")
    assert "1 file beside the records is no record; `effcc check` says why" in text


# The same bytes everywhere

ENVIRONMENTS = {
    "C": {"LC_ALL": "C", "TZ": "Asia/Kathmandu", "PYTHONUTF8": "0", "PYTHONHASHSEED": "1"},
    "ascii": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "Turkish": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "2"},
    "German, far west": {"LC_ALL": "de_DE.UTF-8", "TZ": "Pacific/Niue", "PYTHONHASHSEED": "3"},
    "another person": {"HOME": "/nowhere", "USER": "somebody", "LOGNAME": "somebody", "TZ": ""},
    "no git, no color": {"PATH": "/nowhere", "NO_COLOR": "1", "COLUMNS": "40", "TERM": "dumb"},
}


def elsewhere(folder, name):
    """Cards in another process, folder and root, of files in another order, age and mode."""
    root = folder / f"ein anderer Ort ü {name}"
    files = [
        *(ROOT / "registry").rglob("*.yaml"),
        *(ROOT / "registry").rglob("*.json"),
        *(ROOT / "model-index").rglob("*.md"),
    ]
    for number, file in enumerate(sorted(files, reverse=len(name) % 2 == 0)):
        copy = root / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        os.utime(copy, (10**9 + number, 10**9 + number))
        copy.chmod(0o400)
    done = subprocess.run(
        [sys.executable, "-c", "import os; os.umask(0o077)\n" + DOCS],
        cwd=folder,
        env=os.environ | {"EFFCC_HOME": str(root), "PYTHONPATH": str(ROOT)} | ENVIRONMENTS[name],
        capture_output=True,
        text=True,
    )
    return root, done


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory):
    """That in every environment, two at a time."""
    folder = tmp_path_factory.mktemp("everywhere")
    with ThreadPoolExecutor(2) as pool:
        return {name: pool.submit(elsewhere, folder, name) for name in ENVIRONMENTS}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_committed_cards_come_out_the_same_anywhere(everywhere, name):
    root, done = everywhere[name].result()
    assert done.returncode == 0, done.stderr
    made = {path.name: path.read_bytes() for path in (root / "docs" / "models").iterdir()}
    assert made == {p.name: p.read_bytes() for p in (ROOT / "docs" / "models").iterdir()}


DOCS = "import sys; from effcc.cli import main; sys.exit(main(['docs']))"


def test_no_page_says_where_by_whom_or_when_it_was_made(project):
    results.save(record(project), project)
    timings.save(bench(project), project)
    year = f"{datetime.now(UTC):%Y-%m-%d}"
    for text in cards.pages(project).values():
        for private in (str(project.root), str(ROOT), str(Path.home()) + "/", year):
            assert private not in text


# Read by others


def test_a_card_read_back_gives_the_claims_and_what_was_measured(project):
    results.save(record(project, "cc_b0_4e"), project)
    cards.write(project)
    (found,) = modelindex.load_file(project.models / "cc_b0_4e.md", project.root)
    claim = modelindex.load(project.model_index, project.root)["tf_efficientnet_cc_b0_4e"]
    assert replace(found, results=claim.results) == claim
    *published, measured = found.results
    assert tuple(published) == claim.results
    assert (measured.task, measured.dataset) == (
        "Image Classification",
        "scanned digits, test split",
    )
    assert {key: fact.text for key, fact in measured.metrics.items()} == {
        "Top 1 Accuracy": "97.22%",
        "Top 5 Accuracy": "100.00%",
    }


def test_the_citations_of_a_card_are_those_of_its_entry(project):
    cards.write(project)
    (found,) = modelindex.load_file(project.models / "cc_b0_4e.md", project.root)
    claim = modelindex.load(project.model_index, project.root)["tf_efficientnet_cc_b0_4e"]
    assert found.bibtex == claim.bibtex


def test_the_reference_library_reads_a_card(project):
    results.save(record(project, "cc_b0_4e"), project)
    cards.write(project)
    index = outside.load(str(project.models / "cc_b0_4e.md"))
    (model,) = index.models
    assert model.name == "tf_efficientnet_cc_b0_4e"
    assert model.metadata.data["Crop Pct"] == "0.875"
    assert model.metadata.data["FLOPs"] == 224153788
    measured = [(result.dataset, result.metrics["Top 1 Accuracy"]) for result in model.results]
    assert measured == [("ImageNet", "77.32%"), ("scanned digits, test split", "97.22%")]


def test_the_reference_library_reads_what_people_write(project):
    index = outside.load(str(project.model_index / "tf-efficientnet-condconv.md"))
    assert len(index.models) == 3


@pytest.mark.parametrize("name", ["cc_b0_4e", "index"])
def test_the_front_matter_is_read_by_the_site(project, name):
    _, data = meta.get_data(cards.pages(project)[project.models / f"{name}.md"])
    assert isinstance(data["title"], str)
    assert isinstance(data["description"], str)


@pytest.mark.parametrize("name", ["007", "1e5", "null", "no", "0x1f", "true"])
def test_a_name_that_looks_like_a_value_stays_a_name(project, name):
    text = (project.registry / f"{VARIANT}.yaml").read_text("utf-8")
    (project.registry / f"{name}.yaml").write_text(text)
    _, data = meta.get_data(page(project, name))
    assert data["title"] == name


def test_no_variant_takes_the_place_of_the_index(project):
    text = (project.registry / f"{VARIANT}.yaml").read_text("utf-8")
    (project.registry / "index.yaml").write_text(text)
    try:
        texts = cards.pages(project)
    except ValueError:
        return
    assert len(texts) == len(registry.names(project)) + 1


def test_all_links_of_the_index_lead_to_cards(project):
    texts = cards.pages(project)
    names = {path.name for path in texts} - {"index.md"}
    links = Page(to_html(texts[project.models / "index.md"])).links
    assert {link for link in links if not link.startswith("#q=")} == names


def test_the_examples_of_the_index_are_questions_that_their_links_ask(project):
    html = to_html(cards.pages(project)[project.models / "index.md"])
    examples = re.findall(r'<a href="#([^"]*)"><code>(.*?)</code>', html)
    assert len(examples) == len(re.findall(r'href="#q=', html)) > 4
    for link, shown in examples:
        said = parse_qs(unescape(link), strict_parsing=True)
        assert said["q"] == [unescape(shown)]
        query.parse(*said["q"])
        assert said.get("sort", ["name"])[0] in query.FIELDS


def test_the_index_explains_every_field_of_a_question(project):
    text = cards.pages(project)[project.models / "index.md"]
    for name in query.FIELDS:
        assert f"    | `{name}` | " in text


# Hostile files

PLAIN = "just some words"


def hostile_project(project, text):
    """The pages of a variant that says `text` wherever a file or a record may say anything."""
    for name in registry.names(project):  # one card at a time
        if name not in (VARIANT, "hostile"):
            (project.registry / f"{name}.yaml").unlink()
    hostile.write(project, "hostile", text)
    texts = cards.pages(project)
    return texts[project.models / "hostile.md"], texts[project.models / "index.md"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    root = tmp_path_factory.mktemp("plain")
    for folder in ("registry", "model-index"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("results"))
    return hostile_project(Home(root), PLAIN)


@pytest.mark.parametrize("text", WORST)
def test_nothing_that_a_file_or_a_record_says_becomes_markup(project, plain, text):
    found = hostile_project(project, text)
    for pages in zip(found, plain, strict=True):
        here, there = (Page(to_html(meta.get_data(page)[0])) for page in pages)
        assert here.elements == there.elements
        assert here.links == there.links
        assert len(here.comments) == len(there.comments)
        assert here.text.count(" ".join(text.split())) >= there.text.count(PLAIN) > 0
    # What it was told, it says of itself to programs, too.
    _, data = meta.get_data(found[0])
    assert unescape(data["description"]).split() == text.split()
    (claim,) = modelindex.parse(model_index_comment(found[0])).claims
    assert claim.collection.name == text
    assert claim.metadata["§ free"].text == text
    assert claim.results[0].metrics[text].data == text
    assert claim.results[-1].dataset == f"{text}, {text} split"


def test_images_that_could_not_be_read_are_owned_up_to(project):
    made = record(project)
    assert "decoded" not in page(project)
    results.save(replace(made, dataset=replace(made.dataset, unreadable=3)), project)
    assert "of which 3 could not be decoded and do not count" in section(
        page(project), "Measured here"
    )


# Speed


def test_a_card_without_times_says_nothing_of_speed(project):
    assert "## Speed" not in page(project)


def test_a_card_shows_times_as_a_picture_and_as_a_table(project):
    timings.save(bench(project), project)
    speed = unlinked(section(page(project), "Speed"))
    assert speed.count("<svg") == 2  # one for each batch
    assert 'aria-label="Speed in 20260131T120000Z-bench-2-threads, images/s, 16 a call: ' in speed
    assert "torch 100 cc_pico_4e, 125 plain network; openvino 100" in speed
    assert "on a processor with 2 threads at 224 px" in speed
    assert "| openvino | 1 | 10 | 9 to 11 | 15 | 0.80× | 10 % |" in speed
    assert "| openvino | 16 | 160 | 144 to 176 |  | 0.80× |" in speed
    assert "registry/results/cc_pico_4e/20260131T120000Z-bench-2-threads.json" in speed
    assert "torch 2.9.0, openvino 2026.1.0" in speed
    assert ">measured</span>" in speed


def test_only_the_newest_time_of_the_registered_variant_is_shown(project):
    older = bench(project, id="20260130T120000Z-bench-2-threads")
    small = {"preprocessing.image_size": 64}
    newer = bench(project, id="20260201T120000Z-bench-2-threads", settings=small)
    for made in (older, bench(project), newer):
        timings.save(made, project)
    text = page(project)
    assert "Run 20260131T120000Z-bench-2-threads" in section(text, "Speed")
    assert "Other records of speed: 2" in text
    others = unlinked(legible(text))
    assert "| `20260201T120000Z-bench-2-threads` | preprocessing.image_size 64 |" in others
    assert "| `20260130T120000Z-bench-2-threads` |  |" in others


def test_times_change_nothing_that_is_said_of_accuracy(project):
    results.save(record(project), project)
    before = section(page(project), "Measured here")
    timings.save(bench(project), project)
    assert section(page(project), "Measured here") == before
    index = cards.pages(project)[project.models / "index.md"]
    assert "97.2 %" in index


def test_a_card_says_which_engine_measured(project):
    versions = {"python": "3.11.0", "torch": "2.9.0", "openvino": "2026.1.0"}
    results.save(record(project, verb="test", engine="openvino", versions=versions), project)
    assert "seed 0; computed by openvino 2026.1.0 |" in section(page(project), "Measured here")
