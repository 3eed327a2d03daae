"""The two files of a new variant, begun from another's and valid as written; a project for them."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from effcc.catalog import layers, registry
from effcc.claims import bibtex, modelindex
from effcc.claims.claim import Claim
from effcc.ground import files
from effcc.ground.document import Document, read
from effcc.ground.errors import UsageError
from effcc.ground.home import Home

# Facts of an entry that its numbers or files prove: a new variant has none of them yet.
_EARNED = ("FLOPs", "Parameters", "File Size", "ID", "Training Data")

# What a new variant's summary asks for, until somebody says it.
UNSAID = "say in a sentence what is different"

_PAGE = """\
# {name}

Say here, in a paragraph or two, what this variant is and why it exists.

## Citation

{bibtex}

<!-- What is claimed of the variant. The recipe's facts were taken over from {base}; change what differs.
     Once there are weights, add `Weights:` and `Results:`, and `Parameters:` and `FLOPs:` under
     Metadata; `effcc check` compares the last two with the code. -->

<!--
{data}-->
"""

_REGISTRY_HEAD = """\
# Begun from {base}.yaml. Say here what model-index/{name}.md does not: the network, the rest of the recipe.
# Change what makes this another variant (experts, width, depth, stages), then: effcc check
"""


# Says to an editor where the schema is, in a checkout.
_MODELINE = "# yaml-language-server:"


def begin(folder: Path, source: Home) -> Home:
    """Make `folder` a project with the variants and claims of `source`, and nothing measured.

    Raises:
        UsageError: half a project stands there.
    """
    home = Home(folder.resolve())
    for part in (home.registry, home.model_index):
        if part.exists():
            raise UsageError(
                f"{part} stands there, and no project; begin one in another folder, or call it "
                "something else"
            )
    written = [*source.registry.glob("*.yaml"), *source.shared.glob("*.yaml")]
    written += source.model_index.glob("*.md")
    with tempfile.TemporaryDirectory(dir=home.root, prefix=".effcc-new.") as name:
        made = Path(name)
        for path in written:
            lines = path.read_text("utf-8").splitlines(keepends=True)
            text = "".join(line for line in lines if not line.startswith(_MODELINE))
            files.create(made / path.relative_to(source.root), text)
        for part in (home.registry, home.model_index):
            (made / part.name).rename(part)
    return home


def new(name: str, base: str, home: Home, *, within: Path | None = None) -> tuple[Path, Path]:
    """Write `registry/<name>.yaml` and `model-index/<name>.md`, begun from the variant `base`.

    Args:
        name: of the variant.
        base: the variant to begin from.
        home: the project that has it.
        within: a folder to make a project of first, if they are not to be written to `home`.

    Returns:
        The two paths, the registry file first.

    Raises:
        UsageError: the name is taken or not of a-z, 0-9 and _; `within` is half a project.
        UnknownVariant: there is no `base`.
        BadFile: the project has problems already.
    """
    if not layers.NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a variant; use a-z, 0-9 and _, at most 64 of them, and not "
            "`index`, which is a page"
        )
    claims = modelindex.load(home.model_index, home.root)
    spec = registry.load(base, home, claims=claims)
    variant, page = home.registry / f"{name}.yaml", home.model_index / f"{name}.md"
    for path in map(home.hold, (variant, page)):
        if os.path.lexists(path):
            raise UsageError(f"{home.shown(path)} exists; choose another name, or edit it")
    if name in claims:
        raise UsageError(
            f"an entry named {name!r} is in {claims[name].place.short} already; choose another name"
        )
    original = read(home.registry / f"{base}.yaml")
    if within:
        home = begin(within, home)
        variant, page = home.registry / variant.name, home.model_index / page.name
        original = read(home.registry / f"{base}.yaml")
    files.create(variant, _registry_text(name, base, original))
    files.create(page, _page_text(name, base, claims[spec.entry]))
    return variant, page


def _registry_text(name: str, base: str, original: Document) -> str:
    """The base's file, comments and all, with its own name, entry and summary."""
    lines = original.text.splitlines()
    replaced = {
        "model": f"model: {name}",
        "summary": f"summary: Like {base}, but {UNSAID}.",
    }
    for key, line in replaced.items():
        if (key,) in original.marks:
            lines[original.marks[key,].key.line - 1] = line
        else:
            lines.append(line)
    # What the base disputes are its own claims, and published weights are its own. Each is a block
    # of lines, indented under its key.
    marks = [original.marks[key,] for key in ("disputes", "weights") if (key,) in original.marks]
    for first in sorted((mark.key.line - 1 for mark in marks), reverse=True):
        last = next(
            (i for i in range(first + 1, len(lines)) if re.match(r"\S", lines[i])), len(lines)
        )
        del lines[first:last]
    first = [line + "\n" for line in lines if line.startswith(_MODELINE)]
    body = [line for line in lines if not line.startswith(_MODELINE)]
    head = "".join(first[:1]) + _REGISTRY_HEAD.format(name=name, base=base)
    return head + "\n".join(body).strip() + "\n"


def _page_text(name: str, base: str, claim: Claim) -> str:
    begun = replace(
        claim,
        name=name,
        collection=None,
        papers=(claim.cited,) if claim.cited else (),
        metadata={key: fact for key, fact in claim.facts.items() if key not in _EARNED},
        code=None,
        weights=(),
        readme=None,
        results=(),
    )
    title = (claim.cited.title if claim.cited else None) or ""
    cited = [
        entry for entry in claim.bibtex if bibtex.same_title(bibtex.parse(entry).title, title)
    ] or claim.bibtex
    citations = "\n\n".join(f"```BibTeX\n{entry}\n```" for entry in cited)
    return _PAGE.format(name=name, base=base, bibtex=citations, data=modelindex.dump([begun]))
