"""A variant's registry file with all that it leans on: a Spec that can be counted, or a BadFile."""

import json

from fuzz import answers, data, project
from fuzz import shapes as of
from hypothesis import strategies as st

from effcc import terminal
from effcc.catalog import cost, layers, registry, schedule, schema, spec
from effcc.claims import modelindex
from effcc.ground.errors import BadFile, UserError
from effcc.proof import verify
from effcc.report import pictures

VARIANT, SHARED, ENTRY, OVERLAY, CHECKPOINT = range(5)
FILES = (
    *("registry/fuzzed.yaml", "registry/shared/fuzzed.yaml", "model-index/fuzzed.md"),
    *("overlay.yaml", "checkpoint.json"),
)
TOKENS = of.TOKENS + tuple(
    f"{word}:".encode()
    for word in (
        *(
            "model",
            "extends",
            "summary",
            "network",
            "compound",
            "phi",
            "stages",
            "experts",
            "width",
        ),
        *(
            "repeats",
            "kernel",
            "stride",
            "expand",
            "out",
            "conditional",
            "recipe",
            "augment",
            "data",
        ),
        *("preprocessing", "image_size", "crop_pct", "trainer", "logger", "callbacks", "profiles"),
        *("digits", "disputes", "claimed", "reason", "weights", "url", "sha256", "seed", "epochs"),
    )
)
_BASE = b"model: effcc_cc_pico_4e\nextends: condconv\nnetwork: {experts: 4, width: 0.25}\n"
NAMED = {"model": "effcc_cc_pico_4e", "extends": "condconv"}
_CODE = b"trainer: {logger: {class_path: os.system, init_args: {command: x}}, callbacks: [a.b]}\n"
_COMPOUND = b"network: {compound: {phi: 3.5, alpha: 1.2}, num_classes: 10}\n"


def prepare(folder):
    """A project to put the file into."""
    global HOME, CLAIMS
    HOME = project.laid(folder)
    CLAIMS = modelindex.load(HOME.model_index, HOME.root)


def seeds():
    """Registry files as they are, and with one mistake each."""
    good = of.below("registry/*.yaml")
    bad = of.below("tests/bad/registry-*.yaml")
    (shared,) = of.below("registry/shared/condconv.yaml")
    (page,) = of.below("model-index/effcc-condconv-pico.md")
    page = page.replace(b"effcc_cc_pico_4e", b"other")
    settings = json.dumps({"recipe": {"lr": 0.1}, "network": {"dropout": 0.5}, "seed": 3}).encode()
    own = _BASE.replace(b"condconv", b"fuzzed")
    return [
        *(of.packed((VARIANT, text)) for text in (*good, *bad, _BASE + _CODE)),
        of.packed((VARIANT, own), (SHARED, shared), (OVERLAY, _COMPOUND)),
        of.packed((VARIANT, _BASE.replace(b"effcc_cc_pico_4e", b"other")), (ENTRY, page)),
        of.packed((VARIANT, _BASE), (CHECKPOINT, settings), (OVERLAY, _CODE)),
    ]


def shapes():
    """Sets of files with a few things changed, and any settings at all."""
    rules = schema.load("registry")
    some = data.of_schema(rules, rules)
    made = some.map(lambda found: of.packed((VARIANT, json.dumps(found | NAMED).encode())))
    over = some.map(
        lambda found: of.packed((VARIANT, _BASE), (OVERLAY, json.dumps(found).encode()))
    )
    kept = some.map(
        lambda found: of.packed((VARIANT, _BASE), (CHECKPOINT, json.dumps(found).encode()))
    )
    return st.one_of(of.packs(seeds()), made, over, kept)


def run(packed, folder):
    """The file as every command reads it, and what is worked out of it before torch is there."""
    layers._kept.cache_clear()  # two files of one size within a tick of the clock are one
    files = of.unpacked(packed, FILES)
    for name in FILES:
        (HOME.root / name).unlink(missing_ok=True)
        if name in files:
            (HOME.root / name).write_bytes(files[name])
    claims = dict(CLAIMS)
    if FILES[ENTRY] in files:
        try:
            found = modelindex.load_file(HOME.root / FILES[ENTRY], HOME.root)
            claims |= {claim.name: claim for claim in found}
        except BadFile as error:
            answers.told(error)
    overlays = [HOME.root / name for name in (FILES[OVERLAY],) if name in files]
    path = HOME.root / FILES[VARIANT]
    refused = []
    for source in (None, "digits"):
        try:
            found = registry.load_file(
                path,
                HOME,
                overlays=overlays,
                source=source,
                checkpoint=_checkpoint(files.get(FILES[CHECKPOINT])),
                claims=claims,
                located=False,
            )
        except UserError as error:
            refused.append(error)
            continue
        _worked_out(found, claims)
    for error in refused:
        raise error


def _checkpoint(text):
    """Settings as a checkpoint of somebody else may have them."""
    try:
        settings = json.loads((text or b"").decode())
    except ValueError:
        return None
    return ("checkpoint", settings) if isinstance(settings, dict) else None


def _worked_out(found, claims):
    assert len(found.digest) == 64
    json.dumps(found.settings())
    json.dumps(found.overrides())
    for origin in found.origins.values():
        answers.printed(terminal.setting(origin.value))
    size = found.preprocessing.image_size
    counted = cost.count(found.network, size)
    assert counted.parameters > 0
    assert counted.macs > 0
    assert spec.layout(found.network)
    for drawn in (pictures.network, pictures.cost):
        str(drawn(found.network, size)).encode()
    str(pictures.learning_rates(found.recipe, found.recipe, "digits")).encode()
    planned = schedule.Schedule.of(found, devices=2, accumulated=3, batches=100)
    for step in (0, 1, 1000):
        assert planned.lr(step) >= 0
    if claim := claims.get(found.entry):
        for row in verify.compare(claim, found):
            str(row.reason).encode()
