"""The built site as people meet it: nothing fetched from elsewhere, and pages that look right."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading

import pytest
from conftest import ROOT

from effcc.catalog.home import Home
from effcc.report import cards


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The shipped documentation, built with cards written afresh."""
    root = tmp_path_factory.mktemp("site")
    for folder in ("registry", "model-index", "docs"):
        shutil.copytree(ROOT / folder, root / folder)
    shutil.copy(ROOT / "mkdocs.yml", root)
    cards.write(Home(root))
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"],
        cwd=root,
        check=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    return root / "site"


def test_no_page_fetches_anything_from_elsewhere(site):
    fetching = re.compile(
        r"""<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=["']?(https?:)?//[^>]*>"""
    )
    for page in site.rglob("*.html"):
        found = [tag[0] for tag in fetching.finditer(page.read_text()) if "canonical" not in tag[0]]
        assert found == [], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", sheet.read_text()), sheet


def test_every_variant_is_in_the_navigation(site):
    home = (site / "index.html").read_text()
    for card in (ROOT / "registry").glob("*.yaml"):
        assert f'href="models/{card.stem}/"' in home


def test_search_finds_variants_by_part_of_their_names(site):
    config = (site / "search" / "search_index.json").read_text()
    separator = re.search(r'"separator":"(.*?)"', config)[1].encode().decode("unicode_escape")
    assert {"cc", "b0", "8e"} <= set(re.split(separator, "cc_b0_8e"))


@pytest.fixture(scope="module")
def browser(site):
    """(driver, address of the site) with the site served on loopback."""
    selenium = pytest.importorskip("selenium", reason="the test extra brings it")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("needs Chromium and its driver (Debian: chromium, chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    assert selenium
    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-background-networking",
        "disable-component-update",
        "no-first-run",
    ):
        options.add_argument(f"--{flag}")
    with webdriver.Chrome(options=options, service=Service(driver)) as chrome:
        yield chrome, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_card_reads_well_on_desk_and_phone_in_light_and_dark(browser, scheme, width):
    chrome, address = browser
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    chrome.get(f"{address}/models/cc_b0_4e/")

    def ask(script):
        return chrome.execute_script(f"return {script}")

    assert ask("document.documentElement.scrollWidth") <= width
    assert (
        ask("document.body.dataset.mdColorScheme") == {"light": "default", "dark": "slate"}[scheme]
    )
    assert ask("document.querySelector('h1').innerText").startswith("cc_b0_4e")
    assert "396,513,888" in ask("document.querySelector('table').innerText")
    colours = {
        kind: ask(f"getComputedStyle(document.querySelector('.mark.{kind}')).color")
        for kind in ("claimed", "computed", "measured")
    }
    assert len(set(colours.values())) == 3  # three kinds of figure, told apart at sight
    severe = [entry for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []
