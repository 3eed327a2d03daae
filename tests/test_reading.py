"""What a page says of itself to those who find it, and how it reads when they have."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from html import escape
from html.parser import HTMLParser

import pytest
from conftest import ROOT, copied
from site_pages import mkdocs, severe, show

from effcc import cli
from effcc.report import cards, quoted
from effcc.report import site as plugin

PAGES = ("", "condconv", "adding-a-variant", "commands", "citation", "changelog", "reference")
ADDRESS = "https://example.org/effcc/"


class Head(HTMLParser):
    """The metas of a page by name, its title, its scripts by type and what they hold."""

    def __init__(self, path):
        super().__init__()
        self.metas, self.scripts, self.title, self.links = {}, [], "", {}
        self._in = None
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "meta":
            self.metas[attrs.get("name") or attrs.get("property")] = attrs.get("content")
        if tag == "link":
            self.links[attrs.get("rel")] = attrs.get("href")
        if tag == "script":
            self.scripts.append([attrs.get("type", ""), ""])
        self._in = tag

    def handle_data(self, data):
        if self._in == "script":
            self.scripts[-1][1] += data
        if self._in == "title" and not self.title:
            self.title = data

    def handle_endtag(self, tag):
        self._in = None

    @property
    def linked(self):
        return [json.loads(text) for kind, text in self.scripts if kind == "application/ld+json"]


@cache
def heads(site):
    """Every page of the site but that of what is not found, by its path."""
    pages = {page.parent.relative_to(site): page for page in site.rglob("index.html")}
    pages |= {page.relative_to(site): page for page in (site / "sources").rglob("*.html")}
    return {path.as_posix(): Head(page) for path, page in pages.items()}


# Said to search engines and previews


def test_every_page_has_a_description_and_a_title_of_its_own(site):
    found = heads(site)
    assert len(found) > 25
    for what in (lambda head: head.metas["description"], lambda head: head.title):
        said = [what(head).strip() for head in found.values()]
        assert all(said)
        assert len(set(said)) == len(said)


def test_previews_are_told_what_the_page_says(site):
    for path, head in heads(site).items():
        assert head.metas["og:description"] == head.metas["description"], path
        assert head.metas["og:title"].partition(" · ")[0] in head.title, path


def test_without_an_address_no_page_claims_one(site):
    for head in heads(site).values():
        assert "canonical" not in head.links
        assert "og:url" not in head.metas


def test_the_front_page_describes_the_software(site):
    (entity,) = Head(site / "index.html").linked
    assert (entity["@type"], entity["name"]) == ("SoftwareSourceCode", "effcc")
    assert entity["license"] == "Apache-2.0"


def test_every_card_describes_its_model_and_no_other_page_does(site):
    models = {
        path: head.linked for path, head in heads(site).items() if head.linked and path != "."
    }
    assert set(models) == {f"models/{card.stem}" for card in (ROOT / "registry").glob("*.yaml")}
    for path, (entity,) in models.items():
        assert entity["name"] == path.rpartition("/")[2]
        assert any(paper["name"].startswith("CondConv") for paper in entity["citation"])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A site with an address, one variant of which says what it should not."""
    home = copied(tmp_path_factory.mktemp("hostile"))
    replace(
        home.registry / "cc_pico_4e.yaml",
        {"effcc_cc_pico_4e": f"'{NAME}'", r"summary: .*": f"summary: {json.dumps(SUMMARY)}"},
    )
    replace(
        home.model_index / "effcc-condconv-pico.md",
        {"effcc_cc_pico_4e": f"'{NAME}'", r"{{CondConv}: Cond": f"{{{TITLE}Cond"},
    )
    cards.write(home)
    mkdocs(home.root, SITE_URL=ADDRESS)
    return home.root / "site"


def replace(path, changes):
    text = path.read_text("utf-8")
    for pattern, new in changes.items():
        text, times = re.subn(pattern, lambda _, new=new: new, text)
        assert times == 1, pattern
    path.write_text(text, "utf-8")


TITLE = "</script><script>alert(1)</script>"
NAME = "x &lt;img src=x onerror=alert(2)&gt;"  # brackets themselves are refused in a name
SUMMARY = 'A "quoted" </script><script>alert(3)</script> & \\ <b>bold</b> {{ 7 * 7 }} summary.'


def test_hostile_words_stay_words_for_search_engines_and_previews(hostile, site):
    card = "models/cc_pico_4e"
    head, before = (heads(folder)[card] for folder in (hostile, site))
    assert head.metas["description"] == SUMMARY
    assert head.metas["og:description"] == SUMMARY
    (entity,) = head.linked
    assert entity["description"] == SUMMARY
    assert entity["citation"][0]["name"].startswith(TITLE)
    assert [kind for kind, _ in head.scripts] == [kind for kind, _ in before.scripts]
    assert not any("alert" in text for kind, text in head.scripts if kind != "application/ld+json")


def test_what_search_shows_of_a_hostile_card_is_no_markup(hostile):
    index = json.loads((hostile / "search" / "search_index.json").read_text("utf-8"))
    (entry,) = [doc for doc in index["docs"] if doc["location"] == "models/cc_pico_4e/"]
    assert entry["tags"] == [escape(NAME)]
    for doc in index["docs"]:
        assert not re.search(r"<(img|script)", doc["title"] + "".join(doc.get("tags", ())))


def test_with_an_address_pages_are_canonical_and_in_the_sitemap(hostile):
    listed = re.findall(r"<loc>(.*?)</loc>", (hostile / "sitemap.xml").read_text("utf-8"))
    for path, head in heads(hostile).items():
        url = ADDRESS + ("" if path == "." else path if ".html" in path else f"{path}/")
        assert head.links["canonical"] == head.metas["og:url"] == url
        # Files of the project are for who follows a figure, not for who searches the web.
        assert (url in listed) or path.startswith("sources/"), path
    assert heads(hostile)["models/cc_b0_4e"].linked[0]["url"] == f"{ADDRESS}models/cc_b0_4e/"


def test_a_file_of_any_name_is_a_page_with_that_name_as_text():
    front = json.loads(quoted.blank().split("---")[1])
    blank = f'<title>{front["title"]}</title><meta content="{front["description"]}">'
    page = quoted.filled(blank, "own", "model-index/<b>x.md", "url", "x")
    assert page.startswith("<title>model-index/&lt;b&gt;x.md</title>")
    assert "<b>" not in page


# What stands on them


def test_the_changelog_is_the_files(site):
    text = (site / "changelog" / "index.html").read_text("utf-8")
    first = re.search(r"^- `(.*?)` reads", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert f"<code>{first[1]}</code> reads" in text


def test_a_project_without_a_changelog_has_a_page_that_names_it(tmp_path):
    assert plugin.changelog("See `CHANGELOG.md`.", tmp_path / "x") == "See `CHANGELOG.md`."


def test_every_formula_of_the_site_is_drawn(site):
    pages = {page: page.read_text("utf-8") for page in site.rglob("index.html")}
    formulas = [
        formula
        for text in pages.values()
        for formula in re.findall(r"<math .*?</math>", text, re.DOTALL)
    ]
    assert len(formulas) > 20
    assert not any("\\" in formula for formula in formulas)
    assert not any("language-math" in text for text in pages.values())


def test_building_the_site_loads_no_torch(project):
    cli.main(["docs"])
    code = (
        "import sys; from mkdocs.__main__ import cli\n"
        "try: cli(['build', '--strict', '--quiet'])\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted({'torch', 'lightning', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    reference = (project.root / "site" / "reference" / "index.html").read_text("utf-8")
    assert 'id="effcc.create_module"' in reference


# In a browser


def ask(chrome, script, *words):
    return chrome.execute_script(f"return {script}", *words)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_a_phone_and_its_formulas_need_no_scrolling(browser, page, scheme):
    chrome, address = browser
    show(chrome, f"{address}/{page}/" if page else address, width=390, height=800, scheme=scheme)
    assert ask(chrome, "document.documentElement.scrollWidth") <= 390
    wide = """[...document.querySelectorAll('.formula')]
        .filter(formula => formula.scrollWidth > formula.clientWidth).length"""
    assert ask(chrome, wide) == 0
    flat = """[...document.querySelectorAll('math')]
        .filter(math => math.getBoundingClientRect().height < 8).length"""
    assert ask(chrome, flat) == 0
    assert severe(chrome) == []


@pytest.mark.browser
@pytest.mark.parametrize("page", ["commands", "models/cc_b0_4e", "bridges", "numbers"])
def test_no_word_of_code_in_a_table_is_broken_on_a_phone(browser, page):
    chrome, address = browser
    show(chrome, f"{address}/{page}/", width=390, height=800)
    broken = """[...document.querySelectorAll('.md-typeset td code')]
        .filter(code => /^[^\\s-]+$/.test(code.innerText) && code.getClientRects().length > 1)
        .map(code => code.innerText)"""
    assert ask(chrome, "document.querySelectorAll('.md-typeset td code').length") > 3
    assert ask(chrome, broken) == []
    assert ask(chrome, "document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
@pytest.mark.parametrize("query", ["tf_eff", "cc_b0", "8e"])
def test_search_finds_cards_first(browser, query):
    chrome, address = browser
    show(chrome, f"{address}/condconv/")
    cards = {f"cc_{name}" for name in ("b0_4e", "b0_8e", "b1_8e", "pico_4e")}
    wanted = {"tf_eff": cards - {"cc_pico_4e"}, "cc_b0": {"cc_b0_4e", "cc_b0_8e"}}
    wanted["8e"] = {"cc_b0_8e", "cc_b1_8e"}
    found = typed(chrome, query)
    first = found[: len(wanted[query])]
    assert {url.split("?")[0] for url in first} == {
        f"{address}/models/{card}/" for card in wanted[query]
    }
    assert severe(chrome) == []


@pytest.mark.browser
@pytest.mark.parametrize(
    ("query", "page"),
    [("effcc.create", "reference"), ("recipe.lr", "recipe"), ("effcc fit", "commands")],
)
def test_search_finds_a_page_with_all_words_before_a_card_with_some(browser, query, page):
    chrome, address = browser
    show(chrome, f"{address}/condconv/")
    assert typed(chrome, query)[0].split("?")[0] == f"{address}/{page}/"
    assert severe(chrome) == []


@pytest.mark.browser
@pytest.mark.parametrize("option", ["ckpt_path", "plan", "recipe.lr"])
def test_search_finds_an_option_as_it_is_typed(browser, option):
    chrome, address = browser
    found = []
    for query in (option, f"--{option}", f"fit --{option}", f'"--{option}'):
        show(chrome, f"{address}/condconv/")
        found.append([url.split("?")[0] for url in typed(chrome, query)])
    assert f"{address}/commands/" in found[0]
    assert found[0] == found[1] == found[3]
    assert f"{address}/commands/" in found[2]


def typed(chrome, query):
    """The addresses that search shows for what is typed, best first, once it is done searching.

    It searches at every letter, so that what it shows first may be for half the word.
    """
    from selenium.webdriver.support.ui import WebDriverWait

    chrome.execute_script("document.querySelector('[data-md-toggle=search]').click()")
    box = chrome.find_element("css selector", ".md-search__input")
    WebDriverWait(chrome, 20).until(lambda _: box.is_displayed())
    box.send_keys(query)
    results = "[...document.querySelectorAll('.md-search-result__item > a')].map(a => a.href)"
    last = None

    def settled(_):
        nonlocal last
        before, last = last, ask(chrome, results)
        return before == last and last

    return WebDriverWait(chrome, 20, poll_frequency=0.7).until(settled)


@pytest.mark.browser
def test_a_button_copies_a_citation_as_it_stands(browser):
    chrome, address = browser
    show(chrome, f"{address}/citation/")
    for name in ("clipboard-read", "clipboard-write"):
        allowed = {"permission": {"name": name}, "setting": "granted"}
        chrome.execute_cdp_cmd("Browser.setPermission", allowed)
    blocks = re.findall(
        r"^```(?:bibtex|yaml)\n(.*?)\n```",
        (ROOT / "docs" / "citation.md").read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    buttons = chrome.find_elements("css selector", ".md-code__button[data-md-type=copy]")
    assert len(buttons) >= len(blocks) > 4
    for button, block in zip(buttons, blocks, strict=False):
        chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
        button.click()
        copied = chrome.execute_async_script(
            "const done = arguments[0]; navigator.clipboard.readText().then(done, done)"
        )
        assert copied.rstrip("\n") == block
