"""The built site as people meet it: nothing fetched from elsewhere, and pages that look right."""

import re
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT
from rendered import Page, to_html
from site_pages import mkdocs, severe, show

from effcc.report import quoted
from effcc.report import site as plugin


def test_no_page_fetches_anything_from_elsewhere(site):
    fetching = re.compile(
        r"""<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=["']?(https?:)?//[^>]*>"""
    )
    for page in site.rglob("*.html"):
        found = [tag[0] for tag in fetching.finditer(page.read_text()) if "canonical" not in tag[0]]
        assert found == [], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", sheet.read_text()), sheet


def test_a_page_loads_the_style_sheets_that_it_needs_and_no_others(site):
    for page in site.rglob("index.html"):
        sheets = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page.read_text("utf-8"))
        assert all((page.parent / sheet).is_file() for sheet in sheets), page
        own = {Path(sheet).name for sheet in sheets if "stylesheets" not in sheet}
        address = page.parent.relative_to(site).as_posix()
        needed = {"effcc.css"}
        needed |= {f"{name}.css" for name in ("models", "try") if address == name}
        needed |= {"_mkdocstrings.css"} if address.split("/")[0] == "reference" else set()
        assert own == needed, page


def test_every_variant_is_in_the_navigation(site):
    models = (site / "models" / "index.html").read_text("utf-8")
    side = models[models.index('aria-label="Navigation"') : models.index("<article")]
    for card in (ROOT / "registry").glob("*.yaml"):
        assert f'href="{card.stem}/"' in side


def test_of_very_many_variants_only_the_table_is_in_the_navigation(tmp_path):
    (tmp_path / "models").mkdir()
    nav = [{"Home": "index.md"}, {"Models": []}]
    for number in range(1000):
        (tmp_path / "models" / f"v{number}.md").write_text("# v")
    config = {"theme": SimpleNamespace(dirs=[]), "docs_dir": str(tmp_path), "nav": nav}
    config |= {"markdown_extensions": [], "mdx_configs": {}}
    cards = plugin.Cards()
    cards.load_config({})
    cards.on_config(config)
    assert nav == [{"Home": "index.md"}, {"Models": ["models/index.md"]}]


def test_search_finds_variants_by_part_of_their_names(site):
    config = (site / "search" / "search_index.json").read_text()
    separator = re.search(r'"separator":"(.*?)"', config)[1].encode().decode("unicode_escape")
    assert {"cc", "b0", "8e"} <= set(re.split(separator, "cc_b0_8e"))


def anchors(html):
    return set(re.findall(r' id="([^"]+)"', html))


def test_every_figure_of_a_card_leads_to_a_line_that_is_on_the_site(site):
    """Followed by hand, as a browser would, from every card to every anchor."""
    followed = 0
    for card in (site / "models").rglob("index.html"):
        for link in re.findall(r'href="([^"#]*(?:#[^"]*)?)"', card.read_text("utf-8")):
            path, _, anchor = link.partition("#")
            if "sources/" not in path:
                assert not re.match(r"(\.\./)*(registry|model-index)/.*\.", path), link
                continue
            target = (card.parent / path).resolve()
            assert target.is_relative_to(site.resolve())
            assert anchor in anchors(target.read_text("utf-8")), link
            followed += 1
    assert followed > 100


def test_a_source_page_shows_its_file_line_by_line(site):
    for name in ("model-index/tf-efficientnet-condconv.md", "registry/shared/condconv.yaml"):
        html = (site / "sources" / f"{name}.html").read_text("utf-8")
        (shown,) = re.findall(r'<pre class="source"[^>]*>(.*?)</pre>', html, re.DOTALL)
        lines = re.findall(r'<span id="L(\d+)">(.*?)\n</span>', shown, re.DOTALL)
        assert [int(number) for number, _ in lines] == list(range(1, len(lines) + 1))
        text = (ROOT / name).read_text("utf-8")
        assert [unescape(line) for _, line in lines] == text.rstrip("\n").split("\n")


def test_a_record_is_on_the_site_byte_for_byte(site):
    records = sorted((ROOT / "registry" / "results").glob("*/*.json"))
    assert records
    for record in records:
        copy = site / "records" / record.parent.name / record.name
        assert copy.read_bytes() == record.read_bytes()
        html = site / "sources" / f"{record.relative_to(ROOT)}.html"
        (link,) = re.findall(r'href="([^"]*)">as it is<', html.read_text("utf-8"))
        assert (html.parent / link).resolve() == copy.resolve()


TABLE = """<table>
<tr><td><a href="../../registry/a.yaml">a</a></td></tr>
</table>"""
NESTED = """```
<figure markdown="0">drawn</figure>
[way](../../registry/a.yaml)"""
WAYS = ("[way](../../registry/a.yaml)", '<a href="../../registry/a.yaml">')
ODD = f"""# Odd

<table>
<tr><td><a href="../../registry/a.yaml#L1">in a table</a></td></tr>
</table>

```html
{TABLE}
```

~~~~text
{NESTED}
~~~~

In a line `{WAYS[0]}` and `{WAYS[1]}`. [By `name`](../../registry/a.yaml#L1),
[an index](../../model-index/a.json#L1), and [a record](../../registry/results/a/r.json#L2).
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A site of one page, the files it links to saved on Windows."""
    root = tmp_path_factory.mktemp("odd")
    files = {
        "mkdocs.yml": "site_name: x\nnav: [{Home: index.md}, {Models: []}]\n"
        "theme: {name: material, font: false}\nplugins: [effcc, search]\n"
        "markdown_extensions: [md_in_html, tables, pymdownx.superfences]\n",
        "docs/index.md": "# Home",
        "docs/models/index.md": "# Models",
        "docs/models/odd.md": ODD,
        "registry/a.yaml": "a: 1\r\n",
        "registry/results/a/r.json": '{\r\n  "a": 1\r\n}\r\n',
        "model-index/a.json": '{"a": 1}\r\n',
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())
    mkdocs(root)
    return root


def test_code_is_shown_as_it_stands_whatever_it_is_about(odd):
    html = (odd / "site" / "models" / "odd" / "index.html").read_text("utf-8")
    codes = re.findall(r"<code>(.*?)</code>", html, re.DOTALL)
    shown = [unescape(re.sub(r"<.*?>", "", code)).strip() for code in codes]
    assert shown == [TABLE, NESTED, *WAYS, "name"]
    assert "of-this-page" not in html
    for text in ("in a table", "By <code>name</code>"):
        assert f'<a href="../../sources/registry/a.yaml.html#L1">{text}</a>' in html


def test_only_a_record_is_said_to_be_one_and_its_copy_has_its_very_bytes(odd):
    record = Path("registry", "results", "a", "r.json")
    assert (odd / "site" / "records" / "a" / "r.json").read_bytes() == (odd / record).read_bytes()
    assert [path.name for path in (odd / "site" / "records").rglob("*.json")] == ["r.json"]
    for name, times in ((record, 1), ("model-index/a.json", 0), ("registry/a.yaml", 0)):
        html = (odd / "site" / "sources" / f"{name}.html").read_text("utf-8")
        assert html.count("A record of a measurement") == times
        assert "\r" not in html


def test_source_pages_are_neither_in_the_navigation_nor_found_by_search(site):
    assert "sources/" not in (site / "index.html").read_text("utf-8")
    assert '"location":"sources/' not in (site / "search" / "search_index.json").read_text()


def test_nothing_in_a_file_becomes_markup_on_its_page():
    hostile = "</span></pre><script>x</script>\n\n```sh\n# no heading\n\n</pre>\n{: .x }\n[a](b)"
    plain = re.sub(r"[^\n]+", "words", hostile)
    blank = to_html(quoted.blank().split("---\n", 2)[2])
    name, words = "registry/results/a/<b>&.json", "registry/results/a/words.json"
    made, expected = (
        Page(quoted.filled(blank, "own", origin, "url", text, record="record"))
        for origin, text in ((name, hostile), (words, plain))
    )
    assert made.elements == expected.elements
    assert made.links == expected.links
    assert " ".join(hostile.split()) in made.text
    assert name in made.text


def test_a_page_of_a_file_is_laid_out_as_any_other_and_says_its_own_address(site):
    sources = site / "sources"
    one = (sources / "registry" / "cc_b0_4e.yaml.html").read_text("utf-8")
    other = (sources / "registry" / "cc_pico_4e.yaml.html").read_text("utf-8")
    for page, name in ((one, "registry/cc_b0_4e.yaml"), (other, "registry/cc_pico_4e.yaml")):
        assert f"<title>{name} - effcc</title>" in page
        assert "md-header" in page
    above = [page.partition("<h1")[0] for page in (one, other)]
    names = ("registry/cc_b0_4e.yaml", "registry/cc_pico_4e.yaml")
    assert above[0].replace(names[0], "x") == above[1].replace(names[1], "x")
    for page in sources.rglob("*.html"):
        html = page.read_text("utf-8")
        assert "of-a-quoted-file" not in html
        sheets = re.findall(r'<link rel="stylesheet" href="([^"]+)"', html)
        assert all((page.parent / sheet).resolve().is_file() for sheet in sheets)


def test_only_files_that_belong_to_a_card_are_put_on_the_site(tmp_path):
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "a.yaml").write_text("a: 1\n")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "registry" / "link.yaml").symlink_to("/etc/hostname")

    def origin(link):
        return quoted.origin(link, "models/card.md", tmp_path)

    assert origin("../../registry/a.yaml") == "registry/a.yaml"
    for link in (
        *("../../secret.txt", "../../registry/../secret.txt", "../../registry/missing.yaml"),
        *("../../../etc/passwd", "../../registry/link.yaml", "../registry/a.yaml"),
    ):
        assert origin(link) is None, link


def test_no_page_of_the_site_says_where_or_by_whom_it_was_built(site):
    for page in site.rglob("*.html"):
        html = page.read_text("utf-8")
        for private in (str(ROOT), str(site.parent), str(Path.home()) + "/"):
            assert private not in html, page


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_card_reads_well_on_desk_and_phone_in_light_and_dark(browser, scheme, width):
    chrome, address = browser
    show(chrome, f"{address}/models/cc_b0_4e/", width=width, scheme=scheme)

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
    assert severe(chrome) == []


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_line_that_a_figure_links_to_stands_out_and_is_in_sight(browser, scheme):
    chrome, address = browser
    show(chrome, f"{address}/models/cc_b0_4e/", width=390, height=800, scheme=scheme)
    link = chrome.execute_script(
        "return [...document.querySelectorAll('td a')].find(a => a.innerText == '77.32%').href"
    )
    chrome.get("about:blank")
    chrome.get(link)

    def ask(script):
        return chrome.execute_script(f"return {script}")

    assert "77.32%" in ask("document.querySelector(':target').innerText")
    top = ask("document.querySelector(':target').getBoundingClientRect().top")
    assert 48 < top < 760  # below the header, above the end
    line, next_one = (
        ask(f"getComputedStyle(document.querySelector(':target{more}')).backgroundColor")
        for more in ("", " + span")
    )
    assert line != next_one
    assert ask("document.documentElement.scrollWidth") <= 390


def test_an_error_before_anything_is_built_is_told_as_it_is():
    assert plugin.Cards().on_build_error(error=ValueError("of the configuration")) is None
