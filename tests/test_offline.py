"""The site as a folder of files: nothing served, nothing fetched, everything found."""

import re
import time
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from site_pages import chromium, requests, served, severe, shipped, show

from effcc import cli
from effcc.report import offline

ADDRESSES = {
    *("index.html", "try.html", "models/index.html", "models/a.html", "models/b.html"),
    *("sources/registry/a.yaml.html", "assets/x.css", "records/a.json"),
    *('models/c" onclick="x.html', "models/a&b.html", "models/it's.html"),
}


# A page as somebody might write it who means no good.
HOSTILE = """---
title: "<script>window.ran = 'title'</script>"
description: "\"><script>window.ran = 'description'</script>"
---
# Hello

<script>window.ran = "text"</script>
<img src="assets/missing.png" onerror="window.ran = 'handler'">
<svg><script>window.ran = "picture"</script></svg>
<iframe srcdoc="<script>parent.ran = 'frame'</script>"></iframe>
<a href="javascript:window.ran = 'link'" id="bad">here</a>
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The shipped site, built for files, as it comes out of its zip."""
    folder = tmp_path_factory.mktemp("offline")
    shipped(folder)
    (folder / "docs" / "hostile.md").write_text(HOSTILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EFFCC_HOME", str(folder))
        assert cli.main(["docs", "--build", "--offline", "--no-demo"]) == 0
    with zipfile.ZipFile(folder / "site.zip") as archive:
        archive.extractall(folder / "elsewhere")
    return folder / "elsewhere" / "site"


@pytest.fixture(scope="module")
def chrome(unpacked):
    with chromium() as driver:
        yield driver


@pytest.mark.parametrize(
    ("way", "leads"),
    [
        ("../b/", "b.html"),
        ("../b/#anchor", "b.html#anchor"),
        ("../../", "../index.html"),
        ("../", "index.html"),
        ("../../try/", "../try.html"),
        ("../../sources/registry/a.yaml/#L7", "../sources/registry/a.yaml.html#L7"),
        ("../../records/a.json", "../records/a.json"),
        # A name may hold anything: it ends no attribute.
        ("../c%22%20onclick=%22x/", "c%22%20onclick%3D%22x.html"),
        ("../c&quot; onclick=&quot;x/", "c%22%20onclick%3D%22x.html"),
        ("../a&amp;b/", "a%26b.html"),
        ("../it&#x27;s/", "it%27s.html"),
        # What leads somewhere already, elsewhere or nowhere stays as it is.
        *((way, way) for way in ("b.html", "../try.html#x", "#x", "../missing/")),
        *((way, way) for way in ("https://example.org/b/", "//example.org/b/", "mailto:b")),
    ],
)
def test_a_link_written_for_a_folder_leads_to_its_page(way, leads):
    html = f'<a class="x" href="{way}">b</a>'
    assert offline.led(html, "models/a.html", ADDRESSES) == html.replace(way, leads)


def test_a_link_from_the_first_page_of_a_folder_stays_in_it():
    assert offline.led('<a href="b/">', "models/index.html", ADDRESSES) == '<a href="b.html">'


def test_the_same_site_gives_the_same_zip(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "site" / "sub").mkdir(parents=True)
        (tmp_path / name / "site" / "sub" / "page.html").write_text("x")
        (tmp_path / name / "site" / "index.html").write_text("y")
        offline.pack(tmp_path / name / "site", tmp_path / f"{name}.zip")
        time.sleep(0.01)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["site/index.html", "site/sub/page.html"]


def test_every_link_leads_to_a_file_and_to_a_place_in_it(unpacked):
    anchors = {
        page: set(re.findall(r'\bid="?([^"\s>]+)', page.read_text("utf-8")))
        for page in unpacked.rglob("*.html")
    }
    followed = 0
    for page in anchors:
        if page.name in ("404.html", "hostile.html"):  # a server's, and a test's own
            continue
        for link in re.findall(r'\b(?:href|src)="([^"]*)"', page.read_text("utf-8")):
            parts = urlsplit(link.replace("&amp;", "&"))
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert target.is_file(), f"{page}: {link}"
            if target in anchors and parts.fragment and "=" not in parts.fragment:
                assert unquote(parts.fragment) in anchors[target] | {"__toc"}, f"{page}: {link}"
                followed += 1
    assert followed > 100


@pytest.mark.browser
def test_search_finds_a_variant_and_leads_to_its_card(unpacked, chrome):
    show(chrome, (unpacked / "index.html").as_uri())
    field = chrome.find_element(By.CSS_SELECTOR, ".md-search__input")
    field.click()
    field.send_keys("cc_b0")
    found = WebDriverWait(chrome, 20).until(
        lambda driver: driver.find_elements(By.CSS_SELECTOR, ".md-search-result__link")
    )
    first = found[0].get_attribute("href")
    assert first.startswith((unpacked / "models" / "cc_b0_").as_uri())
    chrome.get(first)
    assert chrome.find_element(By.TAG_NAME, "h1").text.startswith("cc_b0_")
    assert severe(chrome) == []


@pytest.mark.browser
def test_search_finds_an_option_as_it_is_typed(unpacked, chrome):
    show(chrome, (unpacked / "index.html").as_uri())
    field = chrome.find_element(By.CSS_SELECTOR, ".md-search__input")
    field.click()
    field.send_keys("--plan")
    found = WebDriverWait(chrome, 20).until(
        lambda driver: driver.find_elements(By.CSS_SELECTOR, ".md-search-result__link")
    )
    commands = (unpacked / "commands.html").as_uri()
    assert any(link.get_attribute("href").startswith(commands) for link in found)
    assert severe(chrome) == []


@pytest.mark.browser
def test_a_cards_figure_leads_to_its_line(unpacked, chrome):
    show(chrome, (unpacked / "models" / "cc_b0_4e.html").as_uri())
    chrome.find_element(By.LINK_TEXT, "77.32%").click()
    assert "77.32%" in chrome.find_element(By.CSS_SELECTOR, ":target").text
    assert severe(chrome) == []


@pytest.mark.browser
def test_no_page_asks_for_what_is_not_in_the_folder(unpacked, chrome):
    requests(chrome)
    source = next((unpacked / "sources").rglob("*.html")).relative_to(unpacked).as_posix()
    for page in ("index.html", "models/index.html", "models/cc_b0_8e.html", "try.html", source):
        show(chrome, (unpacked / page).as_uri())
        assert severe(chrome) == [], page
    asked = requests(chrome)
    assert len(asked) > 20
    for url in asked:
        path = Path(unquote(urlsplit(url).path))
        assert urlsplit(url).scheme in ("file", "data", "about"), url
        assert urlsplit(url).scheme != "file" or path.is_relative_to(unpacked), url


@pytest.mark.browser
@pytest.mark.parametrize("by", ["file", "server"])
def test_no_script_that_came_with_a_text_runs(unpacked, chrome, by):
    with served(unpacked) as address:
        base = unpacked.as_uri() if by == "file" else address
        show(chrome, f"{base}/hostile.html")
        chrome.execute_script("document.getElementById('bad').click()")
        assert chrome.find_element(By.TAG_NAME, "h1").text.startswith("Hello")
        time.sleep(0.3)
        assert chrome.execute_script("return window.ran") is None
        refused = [told for told in severe(chrome) if "Content Security Policy" in told["message"]]
        assert len(refused) >= 5  # they were there
