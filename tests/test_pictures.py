"""Cards and the table of models show the pictures that their data gives, and no others."""

import re
import shutil
from dataclasses import replace

import pytest
import site_pages
from conftest import ROOT
from drawings import parsed, said, words
from records import bench, record
from site_pages import show

from effcc.catalog import registry
from effcc.catalog.cost import count
from effcc.catalog.results import Run
from effcc.claims.claim import Claim, Fact, Result
from effcc.ground.home import Home
from effcc.report import cards, pictures


def claimed(home, name="cc_b0_4e", metrics=(("Top 1 Accuracy", "77.32%"),), dataset="ImageNet"):
    spec = registry.load(name, home)
    facts = {key: Fact(text, text) for key, text in metrics}
    claim = Claim(name, results=(Result("Image Classification", dataset, facts),))
    return spec, claim, count(spec.network, spec.preprocessing.image_size)


def timed(home, name, *, correct=350, ms=10.0, device="a processor", **changes):
    made = bench(home, name, **changes)
    timings = tuple(replace(t, low=t.batch * ms / 1000, median=t.batch * ms / 1000,
                            high=t.batch * ms / 1000) for t in made.timings)  # fmt: skip
    made = replace(made, timings=timings, device={**made.device, "name": device})
    return registry.load(name, home), [Run(record(home, name, correct=correct), "")], made


def published(variants):
    """The picture of (spec, claim, cost) of each variant."""
    points = [pictures.points(*variant, [], None).published for variant in variants]
    return pictures.published([point for point in points if point])


def measured(variants):
    """The picture of (spec, runs, bench) of each variant."""
    found = [
        pictures.points(spec, Claim(spec.entry), count(spec.network, 224), runs, times)
        for spec, runs, times in variants
    ]
    return pictures.measured([each for points in found for each in points.measured])


def test_claims_stand_beside_what_the_code_counts(shipped):
    (drawn,) = parsed(published([claimed(shipped)]).svg)
    assert "cc_b0_4e, 77.32 % at 397 M multiply-accumulates" in said(drawn)
    assert {"multiply-accumulates, computed", "ImageNet top-1, %, claimed"} <= set(words(drawn))


@pytest.mark.parametrize("text", ["77.32%", "77.32", "0.7732"])
def test_percent_is_percent_however_it_is_written(shipped, text):
    found = published([claimed(shipped, metrics=[("Top 1 Accuracy", text)])])
    assert "77.32 %" in found.svg


@pytest.mark.parametrize("text", ["no idea", "", "-3", "770"])
def test_what_is_no_accuracy_is_no_point(shipped, text):
    assert published([claimed(shipped, metrics=[("Top 1 Accuracy", text)])]) is None


def test_only_claims_on_imagenet_are_compared(shipped):
    assert published([claimed(shipped, dataset="COCO")]) is None
    assert published([claimed(shipped, metrics=[("Top 5 Accuracy", "93%")])]) is None
    assert published([]) is None


def test_accuracies_stand_beside_times_with_where_they_were_measured(project):
    rows = [
        timed(project, "cc_b0_4e", correct=350),
        timed(project, "cc_pico_4e", ms=2.0, correct=340),
    ]
    found = measured(rows)
    (drawn,) = parsed(found.svg)
    assert "cc_pico_4e, 94.4 % at 2 ms; cc_b0_4e, 97.2 % at 10 ms." in said(drawn)
    assert "ms an image, measured, log scale" in words(drawn)
    assert found.note == (
        "On scanned digits, as the variants train on them, with 95 % intervals; the time of one "
        "image at each variant's own size, by torch on a processor, 2 threads."
    )


def test_times_of_other_machines_engines_or_threads_are_not_mixed(project):
    here = [timed(project, "cc_b0_4e"), timed(project, "cc_pico_4e")]
    there = timed(project, "cc_b0_8e", device="another processor")
    more = timed(project, "cc_b1_8e", threads=8)
    found = measured([*here, there, more])
    assert "of 2 variants" in found.svg
    assert "cc_b0_8e" not in found.svg + found.note
    assert measured([here[0], there, more]) is None


def test_accuracies_on_other_images_are_not_mixed(project):
    one, other = timed(project, "cc_b0_4e"), timed(project, "cc_pico_4e")
    (run,) = other[1]
    dataset = replace(run.record.dataset, fingerprint="sha256:" + "cd" * 32)
    another = (other[0], [replace(run, record=replace(run.record, dataset=dataset))], other[2])
    assert measured([one, another]) is None
    assert measured([one, other]) is not None


def test_without_accuracy_or_time_a_variant_is_no_point(project):
    one, (spec, runs, times) = timed(project, "cc_b0_4e"), timed(project, "cc_pico_4e")
    assert measured([one, (spec, [], times)]) is None
    assert measured([one, (spec, runs, None)]) is None
    large = timed(project, "cc_pico_4e", batches=(16,))
    assert measured([one, large]) is None


def test_a_crowd_says_how_many_of_it_are_drawn(shipped):
    spec, claim, cost = claimed(shipped)
    crowd = [(replace(spec, name=f"cc_{n}"), claim, cost) for n in range(1000)]
    found = published(crowd)
    assert found.note == (
        "1 point for 1,000 variants: of those that would cover each other the best is drawn."
    )


def test_parameters_and_multiply_accumulates_add_up_to_the_totals(shipped):
    spec = registry.load("cc_b0_4e", shipped)
    parameters, macs = parsed(pictures.cost(spec.network, 224))
    assert words(parameters)[0] == "parameters, 13.3 M"
    assert words(macs)[0] == "multiply-accumulates at 224 px, 397 M"
    assert "mixing kernels 10.7 M" in said(macs)
    assert "stage 5 6.93 M" in said(parameters)


def test_a_source_with_the_documented_schedule_gets_no_picture_of_its_own(shipped):
    documented = registry.load("cc_b0_4e", shipped).recipe
    digits = registry.load("cc_b0_4e", shipped, source="digits").recipe
    assert len(parsed(pictures.learning_rates(documented, digits, "digits"))) == 2
    assert len(parsed(pictures.learning_rates(documented, documented, "digits"))) == 1


# On the site


@pytest.fixture(scope="module", params=[True, False], ids=["folders", "files"])
def built(request, tmp_path_factory):
    """The shipped documentation, its pages at `models/x/` or at `models/x.html`."""
    if request.param:
        return request.getfixturevalue("site") / "models"
    root = tmp_path_factory.mktemp("site")
    for folder in ("registry", "model-index", "docs"):
        shutil.copytree(ROOT / folder, root / folder)
    config = (ROOT / "mkdocs.yml").read_text("utf-8")
    (root / "mkdocs.yml").write_text(f"use_directory_urls: false\n{config}", "utf-8")
    cards.write(Home(root))
    site_pages.mkdocs(root)
    return root / "site" / "models"


def test_every_point_leads_to_its_card_wherever_the_site_has_it(built):
    index = built / "index.html"
    pointed = re.findall(r'<a href="([^"]*)" aria-label="(\w+): ', index.read_text("utf-8"))
    assert {name for _, name in pointed} >= {"cc_b0_4e", "cc_b0_8e", "cc_b1_8e"}
    for link, name in pointed:
        target = built / link
        page = target / "index.html" if link.endswith("/") else target
        assert f'<h1 id="{name}">' in page.read_text("utf-8")


def test_search_finds_no_numbers_of_pictures(built):
    text = (built.parent / "search" / "search_index.json").read_text("utf-8")
    assert "squeeze-excite" not in text
    assert "conditional, 4 experts" not in text


def test_search_finds_no_tables_of_every_figure(built):
    """They say once more what a card says above, and each card has most words of the others'."""
    text = (built.parent / "search" / "search_index.json").read_text("utf-8")
    [card] = [*built.glob("cc_b0_4e.html"), *built.glob("cc_b0_4e/index.html")]
    assert "taken from the entry" in card.read_text("utf-8")
    assert "taken from the entry" not in text


def test_a_first_visit_to_a_card_weighs_under_700_kb(built):
    """As served, not packed: the page, its sheets and scripts, the search and its index."""
    search = [built.parent / "search" / "search_index.json"]
    search += built.parent.glob("assets/javascripts/workers/search.*.js")
    for card in [*built.rglob("cc_*.html"), *built.glob("cc_*/index.html")]:
        named = re.findall(
            r'<link rel="stylesheet" href="([^"]+)"|<script src="([^"]+)"', card.read_text("utf-8")
        )
        files = {(card.parent / (sheet or script)).resolve() for sheet, script in named}
        assert sum(file.stat().st_size for file in (card, *files, *search)) < 700_000, card


PICTURED = """
const frame = svg => svg.getBoundingClientRect();
const inside = (box, all) => box.left >= all.left - 1 && box.right <= all.right + 1
    && box.top >= all.top - 1 && box.bottom <= all.bottom + 1;
const cover = (a, b) => a.left < b.right - 1 && b.left < a.right - 1
    && a.top < b.bottom - 2 && b.top < a.bottom - 2;
return [...document.querySelectorAll('figure svg')].flatMap(svg => {
  const texts = [...svg.querySelectorAll('text')].filter(text => text.textContent.trim());
  const boxes = texts.map(text => [text.textContent, text.getBoundingClientRect()]);
  const out = boxes.filter(([, box]) => !inside(box, frame(svg))).map(([said]) => said + ' leaves');
  boxes.forEach(([said, box], i) => boxes.slice(i + 1).forEach(([other, room]) => {
    if (cover(box, room)) out.push(said + ' covers ' + other);
  }));
  return out;
});
"""


@pytest.mark.browser
@pytest.mark.parametrize("page", ["models/", "models/cc_b0_4e/", "models/cc_pico_4e/"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_words_of_a_picture_leave_it_or_cover_others(browser, page, width):
    chrome, address = browser
    show(chrome, f"{address}/{page}", width=width)
    assert chrome.execute_script(PICTURED) == []
    assert chrome.execute_script("return document.querySelectorAll('figure svg').length") > 0
    assert chrome.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_colours_of_pictures_follow_the_page(browser):
    chrome, address = browser
    seen = {}
    for scheme in ("light", "dark"):
        show(chrome, f"{address}/models/cc_b0_4e/", scheme=scheme)
        seen[scheme] = chrome.execute_script(
            "const of = (kind, what) => getComputedStyle(document.querySelector(kind))[what];"
            "return [of('svg text', 'fill'), of('svg .line0', 'stroke'), of('svg .box', 'fill'),"
            " of('svg .bar0', 'fill'), of('svg .conditional', 'fill')]"
        )
    assert len(set(seen["light"])) == len(set(seen["dark"])) >= 4
    assert all(one != other for one, other in zip(seen["light"], seen["dark"], strict=True))


@pytest.mark.browser
def test_a_point_can_be_followed_with_the_keyboard(browser):
    chrome, address = browser
    show(chrome, f"{address}/models/")
    point = chrome.find_element("css selector", "figure svg a")
    name = point.get_attribute("aria-label").partition(":")[0]
    chrome.execute_script("arguments[0].focus()", point)
    chrome.switch_to.active_element.send_keys("\ue007")
    assert chrome.current_url == f"{address}/models/{name}/"
