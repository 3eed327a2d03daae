"""Records of measurements, which are JSON that anybody may edit: measurements, or problems."""

import json

from fuzz import answers, data, project
from fuzz import shapes as of
from hypothesis import strategies as st

from effcc import ledger as lists
from effcc import tally, terminal
from effcc.catalog import glance, ledger, registry, results, routings, seal, timings
from effcc.ground.errors import UserError
from effcc.report import experts

KINDS = ("fit", "bench", "routing")  # the first byte of an input says which
LONGEST = 20_000
TOKENS = of.TOKENS


def prepare(folder):
    """A project whose variant the records are of."""
    global HOME, ENTRY
    HOME = project.laid(folder)
    (ENTRY,) = registry.entries(HOME)
    (HOME.results / project.VARIANT).mkdir()


def seeds():
    """A record of each kind, written closely."""
    found = []
    for number, kind in enumerate(KINDS):
        found.append(b"%d" % number + project.short(project.RECORDS[kind]))
        found.append(found[-1].replace(b'"schema": 2', b'"schema": 1').replace(b"digest", b"x"))
    return found


def shapes():
    """Records in which a few values are others, sealed anew or not."""
    texts = [text[1:] for text in seeds()]

    @st.composite
    def changed(draw):
        found = draw(data.changed(texts))
        verb = found.get("verb") if isinstance(found, dict) else None
        if isinstance(found, dict) and draw(st.booleans()):
            found["digest"] = seal.digest(found)
        number = KINDS.index(verb) if verb in KINDS else 0
        return b"%d" % number + json.dumps(found).encode()

    return changed() | of.edited(seeds())


def run(text, folder):
    """The record among a variant's, as lists and cards read it, and as it is shown alone."""
    kind = KINDS[text[0] % 3 if text else 0]
    place = HOME.results / project.VARIANT
    for path in place.glob("*"):
        path.unlink()
    name = project.RECORDS[kind].name
    (place / name).write_bytes(text[1:])
    shelf = results.shelf(HOME, project.VARIANT)
    accuracies, wrong = results.made(shelf, *results.KIND)
    times, more = results.made(shelf, *timings.KIND)
    routed, most = results.made(shelf, *routings.KIND)
    answers.problems([*wrong, *more, *most])
    runs = results.beside(ENTRY, accuracies)
    assert not any(results.edited(run.record) for run in results.headlines(runs))
    timings.benches(ENTRY.spec, times)
    experts.of(ENTRY, routed)
    try:
        record = ledger.find(place.name + "/" + name.removesuffix(".json"), HOME)
    except UserError:
        assert not [*accuracies, *times, *routed]
        raise
    _shown(record)


def _shown(record):
    cells = lists._cells(glance.of(record), "")
    heads = ("",) * len(cells)
    lines = [*terminal.table(heads, [cells]).split("\n"), *tally.outline(record.filed.data)]
    if isinstance(record, results.Record):
        lines += "\n".join(tally.accuracies([record, record])).split("\n")
    elif isinstance(record, timings.Bench):
        lines += "\n".join(tally.times([record, record])).split("\n")
    ledger.differences(record, record)
    for line in lines:
        answers.printed(line)
