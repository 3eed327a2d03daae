"""The cards of a project whose files anybody may have written: pages that run nothing, or words."""

import json
import re
import shutil
from html.parser import HTMLParser

import hostile
from fuzz import data, project
from fuzz import shapes as of
from hypothesis import strategies as st
from mkdocs.utils import meta
from rendered import to_html

from effcc.catalog import seal
from effcc.report import cards

EVERYWHERE = b"="  # begins an input that is one text, which every file says wherever it can
FILES = (
    f"registry/{project.VARIANT}.yaml",
    f"model-index/{project.VARIANT}.md",
    *(f"registry/results/{project.VARIANT}/{path.name}" for path in project.RECORDS.values()),
)
LONGEST = 4000
TOKENS = of.TOKENS + tuple(text.encode() for text in hostile.PAYLOADS if len(text) < 60)
_ADDRESS = re.compile(r"https?://|[#?./\w-]*(?![\w:])|data:image/png;base64,")


def prepare(folder):
    """A project of one variant, and what elements its pages have when nobody is hostile."""
    global HOME, KNOWN
    HOME, KNOWN = project.laid(folder), None
    known = {("a", "aria-label")}  # a point of an accuracy that is claimed; ours claims none
    for text in (*seeds()[:3], _PLAIN):
        for page in _pages(text).values():
            known |= {(tag, key) for tag, key, _ in _Page(page).found}
    KNOWN = known


_PLAIN = EVERYWHERE + b"just some words"


def seeds():
    """The files as they are, and some of the hostile texts, all of which `shapes` has."""
    paths = [of.ROOT / f"registry/{project.VARIANT}.yaml"]
    paths += [of.ROOT / "model-index/effcc-condconv-pico.md", *project.RECORDS.values()]
    files = [(number, project.short(path)) for number, path in enumerate(paths)]
    whole = [of.packed(*files), of.packed(*files[:2]), of.packed(*files[:3])]
    return [*whole, _PLAIN, *(EVERYWHERE + text.encode() for text in hostile.PAYLOADS[::10])]


def shapes():
    """Texts made of hostile ones, and projects in which a few values or words are others."""
    pieces = st.sampled_from(hostile.PAYLOADS + of.WORDS) | st.text(max_size=5)
    said = st.lists(pieces, min_size=1, max_size=4).map("".join)
    whole = seeds()[0].split(b"\xff")[1:]
    records = [(number, text[1:]) for number, text in enumerate(whole) if number > 1]

    @st.composite
    def changed(draw):
        number, text = draw(st.sampled_from(records))
        found = draw(data.changed([text], pieces))
        if isinstance(found, dict):
            found["digest"] = seal.digest(found)
        others = [(n, part[1:]) for n, part in enumerate(whole) if n != number]
        return of.packed(*others, (number, json.dumps(found).encode()))

    everywhere = said.map(lambda text: EVERYWHERE + text.encode("utf-8", "surrogatepass"))
    return st.one_of(everywhere, changed(), of.packs(seeds()[:3]))


def run(text, folder):
    """The pages of the project as the site has them: nothing in them that ours do not have."""
    for path, html in _pages(text).items():
        for tag, key, value in _Page(html).found:
            assert (tag, key) in KNOWN, f"<{tag} {key}={value!r:.100}> in {path.name}"
            if key in ("href", "src"):
                assert _ADDRESS.match(value or ""), f"{key}={value!r:.100}"
                assert key == "href" or not value.startswith("http"), value


def _pages(text):
    for name in ("registry/results", "model-index"):
        shutil.rmtree(HOME.root / name, ignore_errors=True)
    (HOME.results / project.VARIANT).mkdir(parents=True)
    HOME.model_index.mkdir()
    if text.startswith(EVERYWHERE):
        hostile.write(HOME, project.VARIANT, text[1:].decode("utf-8", "replace"))
    else:
        for name, content in of.unpacked(text, FILES).items():
            (HOME.root / name).write_bytes(content)
    pages = cards.pages(HOME)
    return {path: to_html(meta.get_data(page)[0]) for path, page in pages.items()}


class _Page(HTMLParser):
    """The elements of a page with each attribute, one of none as an empty one."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found += [(tag, key, value) for key, value in (("", ""), *attrs)]

    def handle_decl(self, decl):
        self.found.append(("!", decl, ""))

    unknown_decl = handle_pi = handle_decl
