"""Records of measurements that nobody made: of accuracy, of time and of routing."""

from dataclasses import replace

from effcc.catalog import registry, results, routings, timings
from effcc.catalog.results import Dataset, Record, accuracy
from effcc.catalog.routings import Drift, Example, Expert, Routed, Routing, Specialist
from effcc.catalog.spec import layout
from effcc.catalog.timings import PLAIN, VARIANT, Bench, Machine, Peak, Timing


def record(home, variant="cc_pico_4e", *, correct=350, n=360, settings=None, **changes):
    """What a run on the digits would leave, of the variant as it stands in the registry."""
    spec = registry.load(variant, home, source="digits", flags=settings)
    made = Record(
        id="20260131T120000Z-fit-digits-0",
        variant=variant,
        verb="fit",
        date="2026-01-31T12:00:00Z",
        command=f"effcc fit --config registry/{variant}.yaml",
        spec_digest=spec.digest,
        settings=spec.settings(),
        overrides=spec.overrides(),
        seed=spec.seed,
        dataset=Dataset(
            name="digits",
            title="scanned digits",
            split="test",
            images=n,
            classes=10,
            fingerprint="sha256:" + "ab" * 32,
            train_images=1200,
        ),
        metrics={"top1": accuracy(correct, n), "top5": accuracy(n, n)},
        curve=(
            {"epoch": 1, "train_loss": 2.5, "val_loss": 2.0, "val_top1": 0.5},
            {"epoch": 2, "train_loss": 1.5, "val_loss": 1.0, "val_top1": 0.9},
        ),
        seconds=61.5,
        steps=780,
        git={"commit": None, "dirty": None},
        versions={"python": "3.11.0", "torch": "2.9.0"},
        device={"kind": "cpu", "count": 1, "name": "a processor", "threads": 2},
        checkpoint={"path": "runs/last.ckpt", "sha256": "cd" * 32, "bytes": 1000},
    )
    return replace(made, **changes)


def bench(
    home,
    variant="cc_pico_4e",
    *,
    engines=("torch", "openvino"),
    batches=(1, 16),
    settings=None,
    **changes,
):
    """What a bench would leave: the plain network takes 8 ms an image, the variant 10."""
    spec = registry.load(variant, home, flags=settings)
    size = spec.preprocessing.image_size
    made = Bench(
        id="20260131T120000Z-bench-2-threads",
        variant=variant,
        verb="bench",
        date="2026-01-31T12:00:00Z",
        command=f"effcc bench {variant}",
        settings=spec.settings(),
        overrides=spec.overrides(),
        seed=spec.seed,
        image_size=size,
        threads=2,
        rounds=5,
        seconds=61.5,
        timings=tuple(
            Timing(
                engine=engine,
                network=network,
                batch=batch,
                calls=500 // batch,
                low=batch * base * 0.9,
                median=batch * base,
                high=batch * base * 1.1,
                p99=batch * base * 1.5 if batch == 1 else None,
            )
            for batch in batches
            for engine in engines
            for network, base in ((VARIANT, 0.010), (PLAIN, 0.008))
        ),
        peaks=tuple(
            Peak(engine, network, 2**28) for engine in engines for network in (VARIANT, PLAIN)
        ),
        work={
            VARIANT: timings.work(spec.network, size),
            PLAIN: timings.work(timings.plain(spec).network, size),
        },
        machine=Machine(flops=1e11, copy_bytes=1e10),
        git={"commit": None, "dirty": None},
        versions={"python": "3.11.0", "torch": "2.9.0", "openvino": "2026.1.0"},
        device={"kind": "cpu", "count": 1, "name": "a processor", "threads": 2, "cores": 4},
        checkpoint=None,
    )
    return replace(made, **changes)


# One grey pixel, as a picture.
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81y"
    "tgAAAABJRU5ErkJggg=="
)


def routing(home, variant="cc_pico_4e", *, classes=None, settings=None, **changes):
    """What a measurement of routing would leave.

    Expert e of every block has a weight of about 0.9 for class e and less for the others, the more
    clearly so the deeper its block is.
    """
    spec = registry.load(variant, home, source="digits", flags=settings)
    names = tuple("0123456789") if classes is None else tuple(classes)
    conditional = [block for block in layout(spec.network) if block.experts]
    blocks = tuple(
        _routed(block.name, block.experts, len(names), (at + 1) / len(conditional))
        for at, block in enumerate(conditional)
    )
    last, experts = blocks[-1].name, range(min(2, len(blocks[-1].experts)))
    made = Routing(
        id="20260131T120000Z-routing-digits-test",
        variant=variant,
        verb="routing",
        date="2026-01-31T12:00:00Z",
        command=f"effcc routing --config registry/{variant}.yaml --ckpt_path last",
        settings=spec.settings(),
        overrides=spec.overrides(),
        seed=spec.seed,
        dataset=Dataset(
            name="digits",
            title="scanned digits",
            split="test",
            images=36 * len(names),
            classes=len(names),
            fingerprint="sha256:" + "ab" * 32,
        ),
        classes=names,
        counts=(36,) * len(names),
        blocks=blocks,
        specialists=tuple(
            Specialist(
                last,
                expert,
                tuple(
                    Example(at, expert, 0.99 - at / 100, f"image {at} of test", PICTURE)
                    for at in range(6)
                ),
            )
            for expert in experts
        ),
        drift=Drift(
            (1, 2, 3),
            {
                block.name: tuple(
                    tuple(round(0.5 + at * (one.mean - 0.5) / 2, 4) for one in block.experts)
                    for at in range(3)
                )
                for block in blocks
            },
        ),
        measured_by=None,
        seconds=2.5,
        git={"commit": None, "dirty": None},
        versions={"python": "3.11.0", "torch": "2.9.0"},
        device={"kind": "cpu", "count": 1, "name": "a processor", "threads": 2},
        checkpoint={"path": "runs/last.ckpt", "sha256": "cd" * 32, "bytes": 1000},
    )
    return replace(made, **changes)


def _routed(name, experts, classes, depth):
    means = tuple(
        tuple(
            round(0.5 + 0.4 * depth * (1 if number % experts == expert else -0.5), 4)
            for expert in range(experts)
        )
        for number in range(classes)
    )
    overall = [round(sum(row[expert] for row in means) / classes, 6) for expert in range(experts)]
    return Routed(
        name=name,
        entropy=round(1 - depth / 2, 6),
        distance=round(0.3 * depth, 6),
        experts=tuple(Expert(mean, 0.2, round(0.8 * depth, 6)) for mean in overall),
        means=means,
        spreads=tuple((0.05,) * experts for _ in range(classes)),
    )


def judged(kind, home, variant):
    """A variant's records of the kind of a module, oldest first, and what is wrong with them."""
    return results.made(results.shelf(home, variant), *kind.KIND)


def load(kind, home, variant):
    return judged(kind, home, variant)[0]


def problems(kind, home, variant):
    return judged(kind, home, variant)[1]


def everything(home):
    """Every record of a project, newest last, and the files that are none: no index is asked."""
    found, wrong = [], []
    for folder in home.results.glob("*"):
        for kind in (results, timings, routings):
            made, problems = judged(kind, home, folder.name)
            found += made
            wrong += problems
    return sorted(found, key=lambda made: (made.id, made.variant)), wrong
