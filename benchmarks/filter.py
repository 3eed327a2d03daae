"""Asking 1,000 variants on the Models page: from the key to the laid out table, in a real browser.

`python benchmarks/filter.py` prints a table. The variants are made up (tests/variants.py); the page
is built as the site's is, and driven in Debian's Chromium. A question is typed over another one,
so that rows appear as well as vanish, and only when all rows of that one are there. The first three
columns are the time until the first rows are laid out and the next key is heard, the last one is
the median until all are, slice by slice.
"""

import gzip
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import interleaved

ROOT = Path(__file__).resolve().parents[1]
VARIANTS = 1000
# Typed over each other in this order, round after round.
QUESTIONS = (
    "top1>78 macs<500M experts=8 dataset:ImageNet",
    "",
    "b1",
    "claimed.top1>77 measured.top1>=98",
    "nothing of this name",
    '-"four experts" params=13.3M',
    "latency<20ms",
    "",
)
# Seconds from an event until the first rows are laid out, and until all are; and how many.
TIMED = """
    const [question, head, done] = arguments;
    const rows = () => document.querySelectorAll(".models tbody tr:not([hidden])").length;
    const box = document.querySelector(".models-filter input");
    const start = performance.now();
    if (head === null) {
        box.value = question;
        box.dispatchEvent(new Event("input", { bubbles: true }));
    } else {
        document.querySelectorAll(".models th button")[head].click();
    }
    document.body.getBoundingClientRect();
    const first = performance.now() - start;
    const said = document.querySelector(".models-filter output").value;
    const wanted = Number(said.split(" ")[0].replace(",", ""));
    const look = () => {
        if (rows() < wanted) return setTimeout(look, 0);
        document.body.getBoundingClientRect();
        done([first / 1e3, (performance.now() - start) / 1e3, wanted]);
    };
    look();
"""


def main() -> None:
    given = interleaved.arguments(__doc__.splitlines()[0], rounds=15)
    sys.path.append(str(ROOT / "tests"))
    import site_pages
    import variants

    made = variants.rows(VARIANTS)
    with tempfile.TemporaryDirectory() as folder:
        site = variants.site(Path(folder), made)
        page = (site / "models" / "index.html").read_bytes()
        with site_pages.served(site) as address, site_pages.chromium() as chrome:
            site_pages.show(chrome, f"{address}/models/")
            _round(chrome)  # the first one warms up
            rounds = [_round(chrome) for _ in range(given.rounds)]
            browser = chrome.capabilities["browserVersion"]
    lines = [f"{'':<54} {'quartile':>9} {'median':>9} {'quartile':>9} {'all rows':>9}"]
    for timed in zip(*rounds, strict=True):
        what = f"{timed[0][0]}: {timed[0][1][2]:,} rows"
        first, complete, _ = zip(*(found for _, found in timed), strict=True)
        whole = f"{1e3 * statistics.median(complete):>9.1f}"
        lines.append(f"{what:<54} {interleaved.cells(list(first))} {whole}")
    lines += [
        "",
        f"The page: {len(page) / 1e3:.0f} kB, {len(gzip.compress(page)) / 1e3:.0f} packed",
    ]
    what = f"Asking {VARIANTS:,} variants on the Models page: milliseconds"
    head = interleaved.header(what, 1, given.rounds, Chromium=browser)
    interleaved.say([head, *lines], given.out)


def _round(chrome: Any) -> list[tuple[str, tuple[float, float, int]]]:
    """Every question typed and every head clicked, with what it took."""
    ask = chrome.execute_async_script
    return [
        *((question or "everything again", ask(TIMED, question, None)) for question in QUESTIONS),
        *((f"sorted by head {head + 1}", ask(TIMED, "", head)) for head in range(8)),
    ]


if __name__ == "__main__":
    main()
