"""How fast a variant is here: by engine and batch, beside its plain network and the limit.

Everything has a short turn in every round, one after the other, so that what else the machine does
hits all alike. Ratios hold on a busy machine, to a degree; times do not.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from effcc.catalog import ids, timings
from effcc.catalog.spec import Spec
from effcc.catalog.timings import PLAIN, VARIANT, Bench, Peak, Timing
from effcc.ground.home import Home
from effcc.nn import sessions, weights
from effcc.nn.efficientnet import build
from effcc.nn.weights import Checkpoint
from effcc.train import provenance, turns
from effcc.train.turns import COPY, PRODUCT, Inference, Worker

ROUNDS = 5
# The 99th percentile of fewer calls would be the worst of them.
ENOUGH_FOR_P99 = 100
# Seconds that the machine's own two measurements have together, of all rounds.
MACHINE_SECONDS = 5.0

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to time: `seconds` are for each engine, network and batch, over all rounds."""

    engines: Sequence[str]
    batches: Sequence[int]
    threads: int
    seconds: float

    @property
    def whole_seconds(self) -> float:
        """How long the rounds take, unless calls are so slow that a few outlast their turn."""
        return MACHINE_SECONDS + self.seconds * len(self.engines) * 2 * len(self.batches)


def plan(
    engines: Sequence[str], batches: Sequence[int], threads: int | None, seconds: float
) -> Plan:
    """What to time, each batch once, smallest first; as many threads as torch would take."""
    return Plan(engines, sorted(set(batches)), threads or torch.get_num_threads(), seconds)


def measure(
    spec: Spec, checkpoint: Checkpoint | None, plan: Plan, home: Home, command: str, report: Report
) -> Bench:
    """Time a variant and its plain network.

    Args:
        spec: the variant, with the checkpoint's number of classes.
        checkpoint: weights for the variant; None for fresh ones. Speed does not depend on them.
        plan: what to time.
        home: the project, for the record.
        command: what was typed, for the record.
        report: called with the turns done and those in all.

    Returns:
        The record, not yet saved.

    Raises:
        BadCheckpoint: the weights do not fit.
        BadExport: a graph computes something else.
        LostProcess: an engine's process ended; there may not be enough memory.
    """
    name = ids.fresh(spec.name, f"bench-{plan.threads}-threads", home)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as at_end:
        subjects = _subjects(spec, checkpoint, plan, Path(folder))
        workers = [Worker(subject) for subject in subjects]
        machine = Worker(turns.Machine(plan.threads))
        for worker in (machine, *workers):
            at_end.callback(worker.kill)
            worker.ready()
        started = time.monotonic()
        found = _rounds(machine, workers, plan, report)
        seconds = time.monotonic() - started
        peaks = tuple(
            Peak(subject.engine, subject.label, worker.end())
            for subject, worker in zip(subjects, workers, strict=True)
        )
    size, flat = spec.preprocessing.image_size, timings.plain(spec)
    return Bench(
        id=name,
        variant=spec.name,
        verb="bench",
        date=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        command=command,
        settings=spec.settings(),
        overrides=spec.overrides(),
        seed=spec.seed,
        image_size=size,
        threads=plan.threads,
        rounds=ROUNDS,
        seconds=round(seconds, 1),
        timings=tuple(
            _timing(subject, batch, found[worker, batch])
            for batch in plan.batches
            for subject, worker in zip(subjects, workers, strict=True)
        ),
        peaks=peaks,
        work={
            VARIANT: timings.work(spec.network, size),
            PLAIN: timings.work(flat.network, size),
        },
        machine=timings.Machine(
            turns.Machine.operations() / statistics.median(found[machine, PRODUCT]),
            turns.Machine.copied() / statistics.median(found[machine, COPY]),
        ),
        git=provenance.git(home.root),
        versions=provenance.versions(*plan.engines),
        device=provenance.device("cpu", 1) | {"threads": plan.threads},
        checkpoint=provenance.file(checkpoint.path, home) if checkpoint else None,
    )


def _subjects(
    spec: Spec, checkpoint: Checkpoint | None, plan: Plan, folder: Path
) -> list[Inference]:
    """Every engine with either network; what they load is written here, by this process."""
    made: list[Inference] = []
    for label, of in ((VARIANT, spec), (PLAIN, timings.plain(spec))):
        torch.manual_seed(spec.seed)
        model = build(of.network).eval()
        if checkpoint and label == VARIANT:
            weights.load(model, of.network, checkpoint)
        for engine in plan.engines:
            if engine == "torch":
                path = folder / f"{label}.pt"
                torch.save(model.state_dict(), path)
            else:
                path = sessions.graph(model, of, engine)
            size = of.preprocessing.image_size
            made.append(Inference(engine, label, path, of.network, size, plan.threads))
    return sorted(made, key=lambda subject: plan.engines.index(subject.engine))


def _rounds(
    machine: Worker, workers: Sequence[Worker], plan: Plan, report: Report
) -> dict[tuple[Worker, int], list[float]]:
    """The seconds of every call, by worker and task."""
    ours = [(worker, batch) for batch in plan.batches for worker in workers]
    turn = {(machine, PRODUCT): MACHINE_SECONDS / 2, (machine, COPY): MACHINE_SECONDS / 2}
    turn |= dict.fromkeys(ours, plan.seconds)
    found: dict[tuple[Worker, int], list[float]] = {key: [] for key in turn}
    done, every = 0, ROUNDS * len(turn)
    for _ in range(ROUNDS):
        for (worker, task), seconds in turn.items():
            report(done, every)
            found[worker, task] += worker.turn(task, seconds / ROUNDS)
            done += 1
    report(done, every)
    return found


def _timing(subject: Inference, batch: int, seconds: Sequence[float]) -> Timing:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return Timing(
        engine=subject.engine,
        network=subject.label,
        batch=batch,
        calls=len(seconds),
        low=cuts[24],
        median=cuts[49],
        high=cuts[74],
        p99=cuts[98] if len(seconds) >= ENOUGH_FOR_P99 else None,
    )
