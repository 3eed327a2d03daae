"""The whole site in a real browser: every page, in light and dark, on desk and phone."""

import importlib.util
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import hostile
import pytest
from conftest import BESIDE, ROOT
from site_pages import chromium, mkdocs, served, severe, show

from effcc.ground.home import Home
from effcc.report import cards

pytestmark = pytest.mark.browser
WIDTHS = {"desk": 1280, "phone": 390}


def pages(site):
    """The addresses of all pages on the site, of files of the project only one a folder."""
    found, shown = [], set()
    for page in sorted(site.rglob("*.html")):
        path = page.relative_to(site)
        folder = path.parent
        if path.parts[0] == "sources" and folder in shown:
            continue
        shown.add(folder)
        found.append(path.as_posix().removesuffix("index.html"))
    return found


def requested(chrome):
    """The addresses that the browser asked for since it was last asked."""
    for entry in chrome.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            yield message["params"]["request"]["url"]


def elsewhere(chrome, address):
    """Those of them that are not on the site."""
    kept = ("data:", "blob:", "about:", "chrome:")
    asked = [url for url in requested(chrome) if not url.startswith(kept)]
    return [url for url in asked if urlsplit(url).netloc != urlsplit(address).netloc]


@pytest.fixture(scope="module")
def axe():
    """The script of axe-core, which a package of the test extra brings."""
    found = importlib.util.find_spec("axe_playwright_python")
    if not found:
        pytest.skip("axe-playwright-python is not installed; the test extra brings it")
    return Path(found.origin).with_name("axe.min.js").read_text("utf-8")


RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(found => done(found.violations.map(rule => ({
  rule: rule.id, impact: rule.impact, nodes: rule.nodes.slice(0, 3).map(node => node.html)
}))), error => done([{rule: String(error), impact: "serious", nodes: []}]));
"""


def barriers(chrome, address, page, axe, scheme):
    """What is wrong with a page on a desk, and what of it its policy may have to do with."""
    show(chrome, f"{address}/{page}", scheme=scheme)
    scope = chrome.execute_script("return String(window.__md_scope)")  # which a script of it sets
    chrome.execute_script(axe)
    serious = [
        (entry["rule"], *entry["nodes"])
        for entry in chrome.execute_async_script(RUN)
        if entry["impact"] in ("serious", "critical")
    ]
    errors = [entry["message"] for entry in severe(chrome)]
    wrong = [*serious, *errors, *elsewhere(chrome, address)]
    return wrong, errors if scope.startswith(address) else [*errors, f"its scope is {scope}"]


def width(chrome, address, page):
    """How wide a page is on a phone."""
    show(chrome, f"{address}/{page}", width=WIDTHS["phone"])
    return chrome.execute_script("return document.documentElement.scrollWidth")


@pytest.fixture(scope="module")
def looked(site, axe):
    """What was seen of every page, by how it was looked at, each in a browser of its own."""
    looks = {
        "light": lambda *page: barriers(*page, axe, "light"),
        "dark": lambda *page: barriers(*page, axe, "dark"),
        "phone": width,
    }

    def through(look):
        with chromium() as chrome:
            return {page: look(chrome, address, page) for page in pages(site)}

    # Side by side: a browser works through a page in one thread.
    with served(site) as address, ThreadPoolExecutor() as pool:
        return dict(zip(looks, pool.map(through, looks.values()), strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_barrier_an_error_or_asks_for_anything_elsewhere(looked, scheme):
    found = {page: wrong for page, (wrong, _) in looked[scheme].items() if wrong}
    assert json.dumps(found, indent=1) == "{}"


def test_no_page_breaks_its_policy(looked):
    assert any(page.startswith("sources/") for page in looked["light"])
    assert {page: broken for page, (_, broken) in looked["light"].items() if broken} == {}


def test_no_page_is_wider_than_a_phone(looked):
    assert {page: wide for page, wide in looked["phone"].items() if wide > WIDTHS["phone"]} == {}


def test_pages_can_be_read_without_scripts(site):
    with served(site) as address, chromium() as chrome:
        chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        for page, words in (
            ("models/", "cc_b0_8e"),
            ("models/cc_b0_4e/", "396,513,888"),
            ("", "effcc fit"),
        ):
            chrome.get(f"{address}/{page}")
            text = chrome.find_element("tag name", "article").text
            assert words in text, page


@pytest.fixture(scope="module")
def hostile_site(tmp_path_factory):
    """A site of variants each of which says one of the payloads everywhere."""
    root = tmp_path_factory.mktemp("hostile")
    for name in ("registry", "docs"):
        ignored = shutil.ignore_patterns("results", "models", "*.yaml" if name == "docs" else "")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    (root / "model-index").mkdir()
    for variant in (root / "registry").glob("*.yaml"):
        variant.unlink()
    for name in BESIDE:
        shutil.copy(ROOT / name, root)
    home = Home(root.resolve())
    for number, text in enumerate(hostile.PAYLOADS):
        hostile.write(home, f"hostile_{number:02d}", text)
    cards.write(home)
    mkdocs(root, strict=False)  # hand-written pages link to cards that are not there
    return root / "site"


def quiet(address, pages):
    """Open pages; none may run what a file says, nor ask for it."""
    with chromium() as chrome:
        chrome.execute_cdp_cmd(
            "Page.addScriptToEvaluateOnNewDocument",
            {"source": "window.hits = 0; window.hit = () => { window.hits += 1; };"},
        )
        for page in pages:
            chrome.get(f"{address}/{page}")
            open_all = "document.querySelectorAll('details').forEach(d => { d.open = true; })"
            chrome.execute_script(open_all)
            assert chrome.execute_script("return window.hits") == 0, page
            assert elsewhere(chrome, address) == [], page
            assert severe(chrome) == [], page
            assert urlsplit(chrome.current_url).path == f"/{page}"


def test_nothing_that_a_file_says_runs_or_asks_for_anything(hostile_site):
    names = sorted(path.parent.name for path in hostile_site.glob("models/hostile_*/index.html"))
    assert len(names) == len(hostile.PAYLOADS) >= 36
    every = ["models/", *(f"models/{name}/" for name in names)]
    with served(hostile_site) as address, ThreadPoolExecutor() as pool:
        for half in [pool.submit(quiet, address, every[at::2]) for at in range(2)]:
            half.result()
