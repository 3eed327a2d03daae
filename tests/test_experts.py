"""A card says in words, pictures and tables what a record of routing holds, and stays light."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from records import PICTURE, record, routing
from rendered import HOSTILE, WORST, Page, legible, to_html
from site_pages import severe, show

from effcc.catalog import registry, results, routings
from effcc.report import cards, experts, heatmap

NAME = "cc_pico_4e"
ID = "20260131T120000Z-routing-digits-test"


def page(project, name=NAME):
    (entry,) = [entry for entry in registry.entries(project) if entry.spec.name == name]
    return cards.render(cards.make(entry, project))


def section(text):
    return text.partition("\n## What the experts do\n")[2].partition("\n## ")[0]


def shown(project, name=NAME, **how):
    """The section of a card with one record of routing."""
    routings.save(routing(project, name, **how), project)
    return section(page(project, name))


def pictures(text):
    """The heat maps of a section, in order."""
    found = re.findall(r"<svg.*?</svg>", text)
    return [ElementTree.fromstring(svg) for svg in found if "mean routing weight of" in svg]


def parts(svg, kind):
    return [part for part in svg.iter() if part.get("class") == kind]


def test_a_card_without_a_record_says_nothing_of_experts(project):
    assert "What the experts do" not in page(project)


def test_the_section_stands_between_what_was_measured_and_the_network(project):
    results.save(record(project), project)
    routings.save(routing(project), project)
    heads = re.findall(r"^## (.*)", page(project), re.MULTILINE)
    assert heads[heads.index("What the experts do") - 1] == "Measured here"


def test_it_begins_by_saying_what_routing_is(project):
    text = shown(project)
    assert text.strip().startswith("Each conditional block holds 4 kernels, its experts, and for")
    assert "These weights are the block's routing" in text


def test_it_names_the_run_whose_network_it_shows_if_that_is_not_the_headlines(project):
    newer = "20260201T120000Z-fit-digits-0"
    results.save(record(project), project)
    assert "in the network of" not in shown(project)  # the headline's own
    results.save(
        record(
            project,
            id=newer,
            correct=340,
            checkpoint={"path": "b", "sha256": "ef" * 32, "bytes": 1},
        ),
        project,
    )
    said = legible(section(page(project))).partition("Classes are")[0]
    older = "20260131T120000Z-fit-digits-0"
    file = project.results / NAME / f"{older}.json"
    named = re.search(
        r"in the network of run \[`(.*?)`\]\(.*?\), \[(.*?)\]\((.*?)#L(\d+)\)\.", said
    )
    assert named
    assert named[1] == older
    assert named[2] == "97.2 %"
    assert (project.models / named[3]).resolve() == file
    assert "0.97" in file.read_text("utf-8").splitlines()[int(named[4]) - 1]


def test_it_says_if_no_record_has_the_accuracy_of_its_network(project):
    assert "in a network whose accuracy no record has." in shown(project)


def test_every_figure_of_its_sentences_leads_to_its_line_in_the_record(project):
    made = routing(project)
    text = legible(shown(project))
    path = project.results / NAME / f"{ID}.json"
    lines = path.read_text("utf-8").splitlines()
    found = re.findall(r"\[([0-9.]+)\]\(\.\./\.\./registry/[^)]*#L(\d+)\)", text)
    assert len(found) == 2 + 2 * len(made.blocks)
    for said, line in found:
        value = float(lines[int(line) - 1].rpartition(":")[2].rstrip(","))
        assert value == pytest.approx(float(said), abs=0.006)
    assert "furthest apart in stage 6, block 0" in text
    assert "nearest in stage 4, block 0" in text


def test_the_ledger_lists_them(project):
    shown(project)
    ledger = legible(page(project)).partition("\n## Ledger\n")[2]
    assert "| Distance of classes&#39; routing, stage 6, block 0 | 0.300 |" in ledger.replace(
        "'", "&#39;"
    )


def test_a_heat_map_has_a_cell_for_each_expert_and_class_as_full_as_its_mean(project):
    made = routing(project)
    found = pictures(shown(project))
    assert len(found) == len(made.blocks)
    for svg, block in zip(found, made.blocks, strict=True):
        cells = [cell for row in parts(svg, "cells") for cell in row]
        assert len(cells) == 4 * 10
        expected = [block.means[label][expert] for expert in range(4) for label in range(10)]
        assert [float(c.get("opacity")) for c in cells] == pytest.approx(expected, abs=0.0051)
        titles = [cell[0].text for cell in cells]
        assert titles[3] == f"3: {block.means[3][0]:.2f}"
        assert len(parts(svg, "spark")) == 4
        *_, width, height = map(float, svg.get("viewBox").split())
        for part in svg.iter():
            if part.get("x"):
                assert 0 <= float(part.get("x")) <= width
                assert 0 <= float(part.get("y")) <= height


def test_a_heat_map_is_told_in_words(project):
    found = pictures(shown(project))
    said = found[-1].get("aria-label")
    assert said.startswith("Stage 6, block 0: mean routing weight of 4 experts for 10 classes;")
    assert "classes 0.30 apart, entropy 0.50 bits" in said
    assert "expert 1 from 0.30 for 0 to 0.90 for 1" in said


def test_the_numbers_stand_in_a_table(project):
    made = routing(project)
    text = shown(project)
    note = legible(text.partition("<details")[2])
    assert note.count("expert | 0 | 1 | 2 |") == len(made.blocks)
    assert "| 1 | 0.30 ±0.05 | 0.90 ±0.05 | 0.30 ±0.05 |" in note
    page_ = Page(to_html(text))
    assert sum(tag == "table" for tag, _ in page_.elements) == len(made.blocks) + 1


def test_the_most_class_specific_are_shown_with_their_images(project):
    text = shown(project)
    assert text.count(f'<img src="{PICTURE}" alt="class 1, weight 0.99"') == 1
    assert text.count("<img ") == 2 * 6
    assert (
        "Its weight is largest for class 1 (0.90) and smallest for class 0 (0.30); the class "
        "explains 80 % of how it varies."
    ) in text
    assert "by chance it would be 2.5 %" in text


def test_images_that_may_not_be_shown_are_named(project):
    made = routing(project)
    bare = [
        replace(s, examples=tuple(replace(e, picture="") for e in s.examples))
        for s in made.specialists
    ]
    text = shown(project, specialists=tuple(bare))
    assert "<img" not in text
    assert "Named are the images" in text
    assert "<code>image 0 of test</code> 0.99" in text


def test_dead_experts_and_those_that_are_always_on_are_named(project):
    assert "No expert is dead and none is always on" in shown(project)
    made = routing(project)
    first, *rest = made.blocks
    means = tuple((0.001, row[1], 0.999, row[3]) for row in first.means)
    routings.save(
        replace(
            made,
            id="20260201T120000Z-routing-digits-test",
            blocks=(replace(first, means=means), *rest),
        ),
        project,
    )
    assert (
        "Expert 0 of stage 4, block 0 is dead; expert 2 of stage 4, block 0 is always on: a mean "
        "weight below 0.01 for every class, or above 0.99 for every class."
    ) in section(page(project))


def test_without_drift_the_card_says_so_and_draws_no_line(project):
    text = shown(project, drift=None)
    assert "the run that made this checkpoint did not keep its routing" in text
    assert 'class="spark"' not in text
    assert "epochs" not in text


def test_only_the_newest_record_of_the_registered_variant_is_shown(project):
    older = routing(project, id="20260130T120000Z-routing-digits-test")
    other = routing(project, id="20260201T120000Z-routing-digits-test", settings={"recipe.lr": 0.5})
    for made in (older, routing(project), other):
        routings.save(made, project)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", legible(section(page(project))))
    assert f"| Record | `registry/results/{NAME}/{ID}.json`, sealed |" in text
    assert "| Other records | `20260201T120000Z-routing-digits-test`: recipe.lr 0.5 |" in text
    assert "|  | `20260130T120000Z-routing-digits-test` |" in text


def test_a_record_that_was_edited_is_not_shown(project):
    path = routings.save(routing(project), project)
    data = json.loads(path.read_text("utf-8"))
    data["blocks"][0]["distance"] = 0.9
    path.write_text(json.dumps(data))
    assert "What the experts do" not in page(project)


def test_a_file_that_is_no_record_is_owned_up_to(project):
    path = routings.save(routing(project), project)
    path.write_text("{}")
    assert "1 file beside the records is no record" in page(project)


# Many classes


def test_a_thousand_classes_stay_light_and_how_they_were_put_together_is_said(project):
    """A network of 11 blocks of 8 experts."""
    names = [f"kind {number}" for number in range(1000)]
    thousand = shown(project, "cc_b1_8e", classes=names)
    assert len(thousand.encode()) < 450_000
    for svg in pictures(thousand):
        assert sum(map(len, parts(svg, "cells"))) == 8 * experts.GROUPS
    assert (
        "1,000 classes in 50 columns of 20: sorted by the expert of stage 6, block 1 that each "
        "leans on most, in the same order for every block."
    ) in thousand
    heads = "expert | largest means | smallest means | all | between classes"
    assert heads in legible(thousand)


def test_groups_hold_every_class_once_and_like_ones_together(project):
    made = routing(project, "cc_b1_8e", classes=[f"kind {number}" for number in range(1000)])
    found = experts.columns(made)
    assert sorted(number for group in found.groups for number in group) == list(range(1000))
    assert {len(group) for group in found.groups} == {20}
    # Of 8 experts each class leans on one: at most 7 groups are of two kinds.
    kinds = [{number % 8 for number in group} for group in found.groups]
    assert sum(len(kind) == 1 for kind in kinds) >= experts.GROUPS - 7


@pytest.mark.parametrize("classes", [2, 10, 21, 24, 60, 61, 100])
def test_any_number_of_classes_is_drawn_inside_its_frame(project, classes):
    names = [f"a rather long name {number}" for number in range(classes)]
    made = routing(project, classes=names)
    found = experts.columns(made)
    rows = [
        heatmap.Row(f"expert {e}", found.cells(made.blocks[0], e), 0.5, (0.1, 1.0))
        for e in range(4)
    ]
    for epochs in ((1, 9), ()):
        drawn = [row if epochs else replace(row, drift=()) for row in rows]
        svg = ElementTree.fromstring(heatmap.block(drawn, found.names, epochs, "x"))
        *_, width, height = map(float, svg.get("viewBox").split())
        for path in (part.get("d") for part in svg.iter() if part.get("d")):
            x, y = map(float, re.match(r"M([\d.]+) ([\d.]+)", path).groups())
            sides = [float(side) for side in re.findall(r"h([\d.]+)", path)]
            assert 0 <= x + max(sides, default=0) <= width
            assert 0 <= y <= height


# Hostile names


def texts(page_):
    """The elements of a page without what their attributes say to readers."""
    said = ("aria-label", "alt", "title")
    return [
        (tag, [(key, None if key in said else value) for key, value in attributes])
        for tag, attributes in page_.elements
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_word_becomes_markup_in_an_element_or_an_attribute(text):
    said = heatmap.plain(text)
    page_ = Page(to_html(f'<div markdown="0"><b title="{said}">{said}</b></div>'))
    words = " ".join(text.split())
    assert page_.elements[1:] == [("b", (("title", words),))]
    assert page_.text == words


@pytest.mark.parametrize("text", WORST)
def test_no_name_of_a_class_or_file_becomes_markup(project, text):
    found = []
    for name in ("w" * len(text), text):  # as long, so that it takes as much room
        made = routing(project, classes=[f"{name} {number}" for number in range(4)])
        first, second = made.specialists
        bare = tuple(replace(e, picture="", name=name) for e in second.examples)
        made = replace(made, specialists=(first, replace(second, examples=bare)))
        path = routings.save(made, project)
        found.append(Page(to_html(section(page(project)))))
        path.unlink()
    expected, hostile = found
    assert texts(hostile) == texts(expected)
    assert hostile.links == expected.links
    assert len(hostile.comments) == len(expected.comments)
    labels = [
        value for _, attributes in hostile.elements for key, value in attributes if key == "alt"
    ]
    assert f"class {' '.join(text.split())} 0, weight 0.99" in labels


# In a browser


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pictures_and_images_are_seen_on_desk_and_phone(browser, scheme, width):
    chrome, address = browser
    show(chrome, f"{address}/models/{NAME}/", width=width, scheme=scheme)

    def ask(script):
        return chrome.execute_script(f"return {script}")

    assert ask("document.documentElement.scrollWidth") <= width
    sizes = ask(
        "[...document.querySelectorAll('.specialists img')].map(i => [i.naturalWidth, i.width])"
    )
    assert len(sizes) == 36
    for pixels, wide in sizes:
        assert pixels == 8
        assert wide % pixels == 0  # each pixel as wide as the next
    maps = ask(
        "[...document.querySelectorAll('.routing-maps figure svg')].map(s => "
        "[s.getBoundingClientRect().left, s.getBoundingClientRect().right])"
    )
    assert len(maps) == 8
    assert all(0 <= left < right <= width for left, right in maps)
    cell, ground = ask(
        "[['.cells path', 'stroke'], ['.ground', 'fill']].map(([k, what]) => "
        "getComputedStyle(document.querySelector('.routing-maps figure ' + k))[what])"
    )
    assert cell != ground
    assert severe(chrome) == []
