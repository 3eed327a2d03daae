"""Reading and checking 1,000 model-index files, beside the format's reference library.

`python benchmarks/check.py` prints a table. The files are generated, in the shapes that real ones
have (tests/corpus.py). Both read the same files in one process, in turn: the reference library with
`modelindex.load(path).check(silent=True)`, which keeps no places and checks little more than that
names and files exist.
"""

import importlib.metadata
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import interleaved

ROOT = Path(__file__).resolve().parents[1]
CARDS = 1000


def main() -> None:
    given = interleaved.arguments(__doc__.splitlines()[0], rounds=5)
    sys.path.append(str(ROOT / "tests"))
    import corpus
    import modelindex as reference

    from effcc.claims import modelindex, rules

    lines = [f"{'':<40} {'quartile':>9} {'median':>9} {'quartile':>9} {'reference /':>12}"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = corpus.write(root, CARDS)
        readable = [file for file in files if _is_readable(file, reference)]
        kinds = {
            "Markdown": [file for file in readable if file.suffix == ".md"],
            "YAML and JSON": [file for file in readable if file.suffix != ".md"],
            "together": readable,
        }
        for kind, chosen in kinds.items():

            def theirs(chosen: list[Path] = chosen) -> None:
                for file in chosen:
                    reference.load(str(file)).check(silent=True)

            def ours(chosen: list[Path] = chosen) -> None:
                modelindex.check(chosen, root)

            times = interleaved.rounds({"reference": theirs, "effcc": ours}, given.rounds)
            for name, seconds in times.items():
                over = [r / s for r, s in zip(times["reference"], seconds, strict=True)]
                ratio = f"{statistics.median(over):>12.2f}"
                label = f"{len(chosen)} files, {kind}: {name}"
                lines.append(f"{label:<40} {interleaved.cells(seconds)} {ratio}")
        found = modelindex.check(files, root)
    refused = f"{len(files) - len(readable)} of {len(files):,} files are left out of the timing: "
    refused += "the reference library takes no .mdx, nor front matter above a comment"
    errors = sum(rules.is_error(problem.code) for problem in found.problems)
    models = f"{len(found.claims):,} models in {len(found.files):,} files, those imported included"
    lines += [
        "",
        refused,
        f"effcc: {models}: {errors} errors, {len(found.problems) - errors:,} warnings",
    ]
    version = importlib.metadata.version("model-index")
    what = "Reading and checking model-index files: milliseconds"
    head = interleaved.header(what, 1, given.rounds, **{"model-index": version})
    interleaved.say([head, *lines], given.out)


def _is_readable(file: Path, reference: Any) -> bool:
    try:
        reference.load(str(file))
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    main()
