"""Cards and site of many variants: generated, generated again, and built.

`python benchmarks/docs.py` prints a table. The variants are generated (tests/many.py): each has an
entry and a record of its own. Every command is a process of its own, as a person runs it.
"""

import gzip
import os
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import interleaved

ROOT = Path(__file__).resolve().parents[1]
VARIANTS = 1000


def main() -> None:
    given = interleaved.arguments(__doc__.splitlines()[0], rounds=3)
    sys.path.append(str(ROOT / "tests"))
    import many

    lines = [f"{'':<44} {'quartile':>9} {'median':>9} {'quartile':>9}"]
    with tempfile.TemporaryDirectory() as folder:
        bare, full = Path(folder, "bare"), Path(folder, "full")
        for root, records in ((bare, 0), (full, 1)):
            root.mkdir()
            many.write(root, VARIANTS, records)
        cards = [sys.executable, "-m", "effcc", "docs"]
        build = [sys.executable, "-m", "mkdocs", "build", "--quiet"]

        def run(root: Path, command: list[str]) -> None:
            environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
            subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)

        def anew(root: Path) -> None:
            for card in (root / "docs" / "models").glob("*.md"):
                card.unlink()
            run(root, cards)

        def one_changed() -> None:
            file = full / "registry" / "cc_many_00007.yaml"
            text = file.read_text("utf-8")
            again = text.replace("of many,", "of many, mended,").replace("mended, mended, ", "")
            file.write_text(again, "utf-8")
            run(full, cards)

        times = interleaved.rounds(
            {
                "effcc docs, no card there, no record": lambda: anew(bare),
                "effcc docs, no card there, a record each": lambda: anew(full),
                "effcc docs, one file changed": one_changed,
                "effcc docs, nothing changed": lambda: run(full, cards),
                "mkdocs build": lambda: run(full, build),
            },
            given.rounds,
        )
        for name, seconds in times.items():
            lines.append(f"{name:<44} {interleaved.cells(seconds)}")
        site = full / "site"
        lines += ["", f"{'bytes of a first visit':<44} {'as served':>10} {'gzip -6':>10}"]
        for page in ("models/cc_many_00007", "models"):
            files = loaded(site, page)
            sizes = [sum(map(size, files)) for size in (len, compressed)]
            lines.append(f"{page + '/':<44} {sizes[0]:>10,} {sizes[1]:>10,}")
        total = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
        lines.append(f"the whole site of {VARIANTS:,} variants: {total / 1e6:.0f} MB")
    versions = {name: metadata.version(name) for name in ("mkdocs", "mkdocs-material")}
    what = f"Cards and site of {VARIANTS:,} variants: milliseconds"
    interleaved.say([interleaved.header(what, 1, given.rounds, **versions), *lines], given.out)


def loaded(site: Path, page: str) -> list[bytes]:
    """What a browser fetches: the page, its sheets and scripts, and the index of the search."""
    at = site / page
    html = (at / "index.html").read_text("utf-8")
    named = re.findall(r'<link rel="stylesheet" href="([^"]+)"|<script src="([^"]+)"', html)
    files = {(at / (sheet or script)).resolve() for sheet, script in named}
    files |= set(site.glob("assets/javascripts/workers/search.*.js"))
    files |= {site / "search" / "search_index.json", at / "index.html"}
    return [file.read_bytes() for file in sorted(files)]


def compressed(content: bytes) -> int:
    return len(gzip.compress(content, 6))


if __name__ == "__main__":
    main()
