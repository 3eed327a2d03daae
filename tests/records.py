"""Records of measurements that nobody made."""

from dataclasses import replace

from effcc.catalog import registry
from effcc.catalog.results import Dataset, Record, accuracy


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
