"""The sources of the site are plain enough for another engine than the one that builds it today."""

import re
import subprocess
import sys
from html import unescape

import pytest
from conftest import ROOT

from effcc.report import cards

pytestmark = pytest.mark.slow


@pytest.fixture
def built(project):
    """The site as Zensical makes it, without our plugin, which it does not know.

    Not strictly: it takes the table's `#q=...`, a question and no place on the page, for an anchor.
    """
    pytest.importorskip("zensical", reason="pip install zensical: another engine, to build with")
    cards.write(project)
    config = project.root / "mkdocs.yml"
    config.write_text(config.read_text("utf-8").replace("strict: true", "strict: false"), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean"],
        capture_output=True,
        text=True,
        cwd=project.root,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return project.root / "site"


def text(page):
    html = page.read_text("utf-8").partition("<article")[2].partition("</article>")[0]
    return unescape(re.sub(r"<[^>]+>", "", html))


def test_another_engine_builds_every_page_of_the_same_sources(built):
    sources = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    for source in sources:
        folder = source.parent if source.stem == "index" else source.with_suffix("")
        assert len(text(built / folder / "index.html")) > 50, source
    assert len(sources) > 20


def test_what_only_our_plugin_does_degrades_to_text_that_can_be_read(built):
    idea = text(built / "condconv" / "index.html")
    assert r"W(x) = \sum_{e=1}^{n} \alpha_e(x)\, W_e" in idea
    assert "CHANGELOG.md" in text(built / "changelog" / "index.html")
    assert "create_module(" in text(built / "reference" / "index.html")


def test_its_cards_show_every_figure_with_its_mark(built):
    card = built / "models" / "cc_b0_4e" / "index.html"
    figures = text(card).partition("Figures")[2].partition("Disagreements")[0]
    for words in ("claimed", "computed", "measured", "224153788", "396,513,888"):
        assert words in figures
    assert 'class="mark computed"' in card.read_text("utf-8")
    table = (built / "models" / "index.html").read_text("utf-8")
    assert all(f'href="{path.stem}/"' in table for path in (ROOT / "registry").glob("*.yaml"))
