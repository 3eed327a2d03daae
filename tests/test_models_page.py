"""The table of all models in a real browser: questions, sorting, and views that can be sent."""

import contextlib
import re
from urllib.parse import quote

import pytest
import variants
from hypothesis import HealthCheck, given, settings
from questions import ALL, ASKED, B0_4E, B0_8E, B1_8E, NO_SORTS, PICO, ROWS, SORTS, WRONG
from site_pages import served, severe, show
from test_query import TERM, TEXT

from effcc.catalog import query
from effcc.catalog.query import BadQuery
from effcc.ground.errors import UsageError

pytestmark = pytest.mark.browser
MANY = [*ROWS, *variants.rows(120)]


class Models:
    """The page of all models, and what a person does with it."""

    def __init__(self, chrome, address):
        self.chrome, self.address = chrome, f"{address}/models/"

    def open(self, view="", **screen):
        self.chrome.get("about:blank")
        show(self.chrome, self.address + view, **screen)

    def ask(self, script, *words):
        return self.chrome.execute_script(f"return {script}", *words)

    def type(self, text):
        """Put a question in the box as a paste does."""
        self.chrome.execute_script(TYPE, text)

    def one(self, selector):
        return self.chrome.find_element("css selector", selector)

    @property
    def shown(self):
        return self.ask(SHOWN)

    @property
    def wrong(self):
        return self.ask("[...document.querySelectorAll('.models-wrong p')].map(p => p.textContent)")

    @property
    def said(self):
        return self.ask("document.querySelector('.models-filter output').value")

    @property
    def hash(self):
        return self.ask("location.hash")

    @property
    def sorted(self):
        """By head, how the table is sorted."""
        return dict(self.ask(SORTED))

    def press(self, head):
        button = f"[...document.querySelectorAll('.models th button')][{head}].click()"
        self.chrome.execute_script(button)

    def settle(self):
        """Wait until what was typed is in the address."""
        self.chrome.execute_async_script("setTimeout(arguments[0], 350)")


TYPE = """
    const box = document.querySelector(".models-filter input");
    box.value = arguments[0];
    box.dispatchEvent(new Event("input", { bubbles: true }));
"""
SHOWN = """[...document.querySelectorAll(".models tbody tr")].filter(row => !row.hidden)
    .map(row => row.querySelector("a").textContent)"""
SORTED = """[...document.querySelectorAll(".models th[aria-sort]")]
    .map(th => [th.querySelector("[data-field]").dataset.field, th.getAttribute("aria-sort")])"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A site with nothing but the four variants that questions are about."""
    return variants.site(tmp_path_factory.mktemp("small"), ROWS)


@pytest.fixture(scope="module")
def small(browser, pages):
    """Its page of all models."""
    with served(pages) as address:
        yield Models(browser[0], address)


@pytest.fixture(scope="module")
def large(browser, tmp_path_factory):
    """The page with more rows than are shown at once, of every kind."""
    with served(variants.site(tmp_path_factory.mktemp("large"), MANY)) as address:
        yield Models(browser[0], address)


# The same language as on the command line


def test_the_browser_answers_every_question_as_python_does(small):
    small.open()
    for text, names in ASKED.items():
        small.type(text)
        assert (small.shown, small.wrong) == (names, []), text
    assert severe(small.chrome) == []


def test_the_browser_says_what_is_wrong_in_the_same_words_at_the_same_place(small):
    small.open()
    for text in WRONG:
        small.type(text)
        assert small.wrong == told(text), text
        assert small.ask("document.querySelector('.models-filter input').ariaInvalid") == "true"
    small.type("")
    assert small.wrong == []
    assert severe(small.chrome) == []


def told(text):
    """What is wrong with a question, as the page says it."""
    try:
        query.parse(text)
    except BadQuery as error:
        return [
            f"At character {p.place.col}: {p.key}{': ' if p.key else ''}{p.message}"
            for p in error.problems
        ]
    return []


# Many questions in one call: what the page shows, and says, after each.
EVERY = f"""
    const box = document.querySelector(".models-filter input");
    const answers = arguments[0].map(text => {{
        box.value = "";
        box.dispatchEvent(new Event("input"));
        box.value = text;
        box.dispatchEvent(new Event("input"));
        const wrong = [...document.querySelectorAll(".models-wrong p")].map(p => p.textContent);
        return [box.value, wrong, document.querySelector(".models-filter output").value, {SHOWN}];
    }});
    return answers;
"""


def test_the_browser_and_python_agree_on_whatever_is_typed(large):
    made = []

    @settings(
        max_examples=300, database=None, suppress_health_check=list(HealthCheck), deadline=None
    )
    @given(TEXT | TERM)
    def collect(text):
        with contextlib.suppress(UnicodeEncodeError):  # half a letter cannot be sent
            text.encode()
            made.append(text)

    collect()
    large.open()
    answers = large.chrome.execute_script(EVERY, made)
    read = 0
    for text, wrong, said, shown in answers:
        assert wrong == told(text), text
        if not wrong:
            names = [row.name for row in query.select(MANY, text)]
            everything = f"{len(MANY)} variants"
            assert said == (f"{len(names)} of " if len(names) < len(MANY) else "") + everything, (
                text
            )
            # No more than one slice is shown before the next question.
            assert shown == names if len(names) <= 50 else shown[:50] == names[:50], text
            read += 1
    assert 50 < read < len(made)  # both kinds were made


# Sorting


@pytest.mark.parametrize("number", range(8))
def test_each_head_sorts_as_the_command_does_and_says_how(large, number):
    large.open()
    heads = large.ask("[...document.querySelectorAll('[data-field]')].map(e => e.dataset.field)")
    field = heads[number]
    for how, expected in (
        ({field: "ascending"}, query.ordered(MANY, field)),
        ({field: "descending"}, query.ordered(MANY, f"-{field}")),
        ({}, MANY),
    ):
        large.press(number)
        assert large.sorted == how
        order = large.ask(
            "[...document.querySelectorAll('.models tbody a')].map(a => a.textContent)"
        )
        assert order == [row.name for row in expected]


@pytest.mark.parametrize("field", SORTS)
def test_an_address_sorts_by_whatever_the_command_sorts_by(large, field):
    large.open(f"#sort={field}")
    assert large.wrong == []
    large.chrome.execute_async_script("setTimeout(arguments[0], 500)")
    assert large.shown == [row.name for row in query.ordered(MANY, field)]


def test_an_address_that_sorts_by_nothing_is_told_as_the_command_tells_it(small):
    for field in NO_SORTS:
        with pytest.raises(UsageError) as caught:
            query.ordered(ROWS, field)
        small.open(f"#q=b0_&sort={quote(field)}")
        why = str(caught.value).removeprefix("command line: --sort: ")
        assert small.wrong == [f"The address, sort: {why}"], field
        assert small.shown == [B0_4E, B0_8E]
    small.press(3)
    assert small.wrong == []


def test_the_heads_are_reached_and_pressed_by_keyboard(small):
    from selenium.webdriver.common.keys import Keys

    small.open()
    active, reached = small.one(".models-filter input"), []
    for _ in range(5):
        active.send_keys(Keys.TAB)
        active = small.chrome.switch_to.active_element
        reached.append(active.text.replace("\n", " "))
    assert reached == ["Help", "variant", "experts", "pixels", "parameters computed"]
    active.send_keys(Keys.ENTER)
    assert small.sorted == {"params": "ascending"}
    assert small.shown == [PICO, B0_4E, B0_8E, B1_8E]
    active.send_keys(Keys.SPACE)
    assert small.sorted == {"params": "descending"}
    assert small.shown == [B1_8E, B0_8E, B0_4E, PICO]
    outline = small.ask("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"  # one sees where one is


def test_a_head_is_pressed_by_mouse(small):
    small.open()
    small.one(".models th:nth-child(5) button").click()
    assert small.sorted == {"macs": "ascending"}


# What is asked


def test_typing_filters_counts_and_says_when_nothing_is_left(small):
    small.open()
    assert small.said == "4 variants"
    assert small.ask("document.querySelector('.models-filter output').role || 'status'") == "status"
    box = small.one(".models-filter input")
    assert box.accessible_name == "Filter"
    box.send_keys("experts=8")
    assert (small.shown, small.said) == ([B0_8E, B1_8E], "2 of 4 variants")
    box.send_keys("0")
    assert (small.shown, small.said) == ([], "0 of 4 variants")
    none = small.one(".models-none")
    assert none.is_displayed()
    none.find_element("css selector", "button").click()
    assert (small.shown, small.said, box.get_attribute("value")) == (ALL, "4 variants", "")
    assert not none.is_displayed()
    assert small.chrome.switch_to.active_element == box


def test_a_question_that_cannot_be_read_leaves_the_rows_as_they_are(small):
    small.open()
    small.type("experts=8")
    small.type("experts=8 top1>")
    assert (small.shown, small.said) == ([B0_8E, B1_8E], "2 of 4 variants")
    assert small.wrong == ["At character 11: top1: a value has to follow >"]


def test_a_view_can_be_sorted_while_a_question_cannot_be_read(large):
    large.open()
    large.type("experts=8")
    large.type("experts=8 top1>")
    large.press(3)
    found = query.ordered(query.select(MANY, "experts=8"), "params")
    assert large.shown == [row.name for row in found]
    assert large.said.startswith(f"{len(found)} of ")


def test_rows_beyond_the_first_come_at_once_after_them_and_none_is_lost(large):
    large.open()
    for text in ("zebra", "", "b1", ""):
        large.type(text)
    large.chrome.execute_async_script("setTimeout(arguments[0], 500)")
    assert large.shown == [row.name for row in MANY]


def test_the_table_is_as_wide_when_nothing_is_left(small):
    wide = "document.querySelector(arguments[0]).getBoundingClientRect().width"
    width = f"Math.round(({wide}) - {wide.replace('arguments[0]', 'arguments[1]')})"
    rooms = ".models", ".models thead"  # a scroll bar takes as much from both
    for screen in (1280, 390):
        small.open(width=screen)
        whole = small.ask(width, *rooms)
        small.type("zebra")
        assert (small.shown, small.ask(width, *rooms)) == ([], whole)


def test_an_error_has_a_colour_of_no_kind_of_figure(small):
    colour = "getComputedStyle(document.querySelector(arguments[0])).color"
    for scheme in ("light", "dark"):
        small.open("#q=parms>3", scheme=scheme)
        kinds = {small.ask(colour, f".mark.{kind}") for kind in ("claimed", "computed", "measured")}
        wrong = small.ask(colour, ".models-wrong p")
        assert len({*kinds, wrong}) == 4
        ground = small.ask("getComputedStyle(document.body).backgroundColor")
        assert contrast(wrong, ground) >= 4.5


def contrast(one, other):
    """By WCAG 2.2, of two colours as a browser writes them."""

    def light(colour):
        shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (
            share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
            for share in shares
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, bright = sorted((light(one), light(other)))
    return (bright + 0.05) / (dark + 0.05)


# Views that can be sent


def test_a_view_that_was_sent_opens_as_it_was(small):
    small.open("#q=experts%3D8&sort=-params")
    assert small.shown == [B1_8E, B0_8E]
    assert small.sorted == {"params": "descending"}
    assert small.one(".models-filter input").get_attribute("value") == "experts=8"
    assert small.said == "2 of 4 variants"


def test_the_address_follows_what_is_shown_and_back_goes_back(small):
    small.open()
    box = small.one(".models-filter input")
    box.send_keys("experts=8")
    small.settle()
    assert small.hash == "#q=experts%3D8"
    box.send_keys(" b0_")
    small.settle()  # a pause within one question is no step of its own
    assert small.hash == "#q=experts%3D8+b0_"
    small.press(3)
    assert small.hash == "#q=experts%3D8+b0_&sort=params"
    small.chrome.back()
    assert (small.hash, small.sorted, small.shown) == ("#q=experts%3D8+b0_", {}, [B0_8E])
    small.chrome.back()
    assert (small.hash, small.shown, box.get_attribute("value")) == ("", ALL, "")
    small.chrome.forward()
    assert (small.shown, box.get_attribute("value")) == ([B0_8E], "experts=8 b0_")


def test_what_was_typed_is_in_the_address_when_a_link_is_followed_at_once(small):
    from selenium.webdriver.common.keys import Keys

    small.open()
    small.one(".models-filter input").send_keys("pico", Keys.ENTER)
    assert small.hash == "#q=pico"
    small.one(".models tbody tr:not([hidden]) a").click()
    assert small.chrome.current_url.endswith(f"/models/{PICO}/")
    small.chrome.back()
    assert small.shown == [PICO]


def test_an_example_of_the_page_is_asked_when_its_link_is_followed(small):
    small.open()
    small.one("details summary").click()
    links = small.chrome.find_elements("css selector", "details a[href^='#q=']")
    assert len(links) > 4
    for link in links:
        link.click()
        assert small.one(".models-filter input").get_attribute("value") == link.text
        assert small.wrong == []
        assert small.shown == [row.name for row in query.select(ROWS, link.text)]


VIEWS = (
    *("#models", "#q=%", "#q=%ff%C3", "#q=%00&sort=%00", "#sort=summary", "#sort=-", "#q"),
    *("#sort=__proto__", "#q=a&q=b", "#=&&&", "#q=&sort=", "#%22%5D", "#q=" + "x" * 5000),
    "#q=" + quote("<img src=x onerror=alert(1)>"),
    "#q=" + quote('name:"<script>alert(1)</script>"') + "&sort=<b>",
)


def test_whatever_an_address_says_the_page_stands_and_runs_nothing(small):
    small.open()
    elements = "document.querySelectorAll('*').length"
    before = small.ask(elements)
    for number, view in enumerate(VIEWS):
        if number < 4:
            small.open(view)
        else:  # typed over the one before: the page is not loaded again
            small.chrome.get(small.address + view)
        assert small.said.endswith("4 variants"), view
        assert small.sorted == {}, view
        assert small.ask(elements) == before + len(small.wrong), view
        assert severe(small.chrome) == [], view


def test_an_address_of_a_heading_leaves_the_table_as_it_is(small):
    small.open("#q=pico")
    small.chrome.execute_script("location.hash = 'models'")
    assert small.shown == [PICO]


# The page


def test_without_scripts_it_is_a_plain_table_of_everything(small):
    small.chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        small.open("#q=pico")
        rows = small.chrome.find_elements("css selector", ".models tbody tr")
        assert [row.find_element("css selector", "a").text for row in rows] == ALL
        assert all(row.is_displayed() for row in rows)
        assert not small.chrome.find_elements("css selector", ".models button, .models input")
    finally:
        small.chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, 390])
def test_the_table_scrolls_in_its_own_box_and_names_stay_in_sight(small, scheme, width):
    small.open("#q=top1>x&sort=params", width=width, scheme=scheme)
    assert small.ask("document.documentElement.scrollWidth") <= width
    box = "document.querySelector('.models .md-typeset__scrollwrap')"
    if width == 390:
        small.chrome.execute_script(f"{box}.scrollLeft = 400")
        assert small.ask(f"{box}.scrollLeft") > 100
    left = small.ask("document.querySelector('.models tbody a').getBoundingClientRect().left")
    assert 0 <= left < width / 2
    assert severe(small.chrome) == []


def test_a_registry_with_nothing_in_it_says_so_in_words(browser, tmp_path):
    with served(variants.site(tmp_path, [])) as address:
        page = Models(browser[0], address)
        page.open()
        assert "effcc new NAME" in page.one("article").text
        assert page.chrome.find_elements("css selector", "article table") == []
        assert severe(page.chrome) == []


def test_the_page_leaves_one_name_behind_for_other_scripts(small):
    small.open()
    here = set(small.ask("Object.keys(window)"))
    small.chrome.get(small.address.replace("models/", ""))
    assert here - {"effccQuery"} == set(small.ask("Object.keys(window)"))


def test_the_figures_of_the_shipped_page_are_those_that_the_command_lists(browser, shipped):
    from effcc.catalog import rows

    page = Models(*browser)
    page.open()
    every, _ = rows.load(shipped)
    for text in ("", "measured.top1>98", "claimed.top1>77 macs<500M", "latency>0", "top5>99.9"):
        page.type(text)
        assert page.shown == [row.name for row in query.select(every, text)], text
    texts = page.ask("[...document.querySelectorAll('.models tbody tr')].map(row => row.innerText)")
    for row, text in zip(every, texts, strict=True):
        assert row.summary in text
        for result in row.results:
            figure = result.text or f"{100 * result.top1:.1f} %"
            assert re.search(re.escape(figure), text)


def test_links_lead_to_cards_however_addresses_are_written(pages, tmp_path):
    flat = variants.site(tmp_path / "flat", ROWS, use_directory_urls=False)
    for folder, end in ((pages, "index.html"), (flat, "")):
        page = folder / "models" / "index.html"
        links = re.findall(r'<td><a href="([^"#]+)"', page.read_text("utf-8"))
        found = [(page.parent / link / end).resolve() for link in links]
        assert len(found) == len(ROWS)
        assert all(path.is_file() for path in found)


def test_help_leads_to_what_the_filter_understands(large):
    large.open()
    large.one(".models-help").click()
    details = large.one("details")
    assert details.get_attribute("open")
    assert large.chrome.switch_to.active_element.tag_name == "summary"
    assert 0 <= large.ask("document.activeElement.getBoundingClientRect().top") < 900
