"""Records of time: how fast a variant is on a machine, beside its plain network and the limit.

They stand among a variant's other records and are told apart by their verb, `bench`. A time holds
for the network and the image size, so a record stays the variant's while those do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from effcc.catalog import results
from effcc.catalog.cost import count
from effcc.catalog.seal import Filed, Seal
from effcc.catalog.spec import Network, Spec, architecture, rule
from effcc.ground.document import Document
from effcc.ground.errors import Place, Problem
from effcc.ground.home import Home

# What is timed: the variant, and the same spec with no conditional stage.
VARIANT, PLAIN = "variant", "plain"


@dataclass(frozen=True, slots=True)
class Timing:
    """Calls of one network by one engine on batches of one size; times in seconds a call."""

    engine: str
    network: str  # VARIANT or PLAIN
    batch: int
    calls: int
    low: float  # the lower quartile
    median: float
    high: float  # the upper quartile
    p99: float | None  # the 99th percentile; None of fewer than 100 calls

    @property
    def images_per_second(self) -> float:
        """Of the median call."""
        return self.batch / self.median


@dataclass(frozen=True, slots=True)
class Peak:
    """The most memory that the process of one engine and network had resident, in bytes."""

    engine: str
    network: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Work:
    """What one image costs a network: multiply-accumulates, and bytes of weights to read a call."""

    macs: int
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine can do with the same threads, measured in the same rounds.

    `flops` are floating-point operations a second in a matrix product, two a multiply-accumulate;
    `copy_bytes` are bytes read and written a second in a copy too large for any cache.
    """

    flops: float
    copy_bytes: float

    def limit(self, work: Work, batch: int) -> float:
        """Seconds that no call should beat (S. Williams et al., "Roofline", CACM 52, 2009).

        The multiply-accumulates at the speed of a matrix product, or the weights once from memory,
        whichever takes longer. What layers hand each other is left out: it may stay in caches. So
        may weights, if all of them fit there: such a network can come in below the second limit.
        """
        return max(2 * work.macs * batch / self.flops, work.weight_bytes / self.copy_bytes)


@dataclass(frozen=True, slots=True)
class Bench:
    """One measurement of time. `schemas/bench.schema.json` describes the fields."""

    id: str
    variant: str
    verb: str
    date: str
    command: str
    settings: Mapping[str, Any]
    overrides: Mapping[str, Any]
    seed: int
    image_size: int
    threads: int
    rounds: int
    seconds: float
    timings: tuple[Timing, ...]
    peaks: tuple[Peak, ...]
    work: Mapping[str, Work]
    machine: Machine
    git: Mapping[str, Any]
    versions: Mapping[str, str]
    device: Mapping[str, str | int]
    checkpoint: Mapping[str, Any] | None  # None: fresh weights, of the seed
    filed: Filed | None = field(default=None, compare=False, repr=False)  # None: not yet written

    def place(self, *path: str | int) -> Place:
        """The line of a value in the record's file."""
        assert self.filed
        return self.filed.place(*path)

    @property
    def engines(self) -> list[str]:
        """Those that were timed, in their order."""
        return list(dict.fromkeys(timing.engine for timing in self.timings))

    @property
    def batches(self) -> list[int]:
        """The sizes that were timed, smallest first."""
        return sorted({timing.batch for timing in self.timings})

    def timing(self, engine: str, network: str, batch: int) -> Timing:
        """The one of these three."""
        wanted = (engine, network, batch)
        return next(t for t in self.timings if (t.engine, t.network, t.batch) == wanted)

    def peak(self, engine: str, network: str) -> Peak:
        """The one of these two."""
        return next(p for p in self.peaks if (p.engine, p.network) == (engine, network))

    def share(self, timing: Timing) -> float:
        """How near a timing is to the machine's limit: 1 is as fast as it."""
        return self.machine.limit(self.work[timing.network], timing.batch) / timing.median

    def beside_plain(self, engine: str, batch: int) -> float:
        """The variant's speed as a multiple of the plain network's, by the same engine."""
        variant, plain = (self.timing(engine, name, batch) for name in (VARIANT, PLAIN))
        return plain.median / variant.median


def plain(spec: Spec) -> Spec:
    """The same spec with no conditional stage: the network that a variant is measured by."""
    stages = tuple(replace(stage, conditional=False) for stage in spec.network.stages)
    return replace(spec, network=replace(spec.network, stages=stages))


def work(network: Network, image_size: int) -> Work:
    """What one image costs, counted."""
    cost = count(network, image_size)
    return Work(cost.macs, cost.state_bytes)


def differs(bench: Bench, spec: Spec) -> str:
    """Why a measurement is not of the variant as the registry has it now; empty if it is."""
    if results.edited(bench):
        return Seal.BROKEN
    if bench.image_size != spec.preprocessing.image_size:
        return f"preprocessing.image_size {bench.image_size}"
    was = bench.settings["network"]
    for key, value in architecture(spec.network).items():
        # A setting that a later version adds means by default what was done before.
        if was.get(key, rule(f"network.{key}").get("default")) != value:
            return f"another network.{key}"
    return ""


def benches(spec: Spec, found: Sequence[Bench]) -> tuple[Bench | None, list[tuple[Bench, str]]]:
    """The newest of the registered variant; and the others, newest first, with what differs.

    `found` are the variant's, oldest first.
    """
    differing = [(bench, differs(bench, spec)) for bench in reversed(found)]
    newest = next((bench for bench, why in differing if not why), None)
    return newest, [(bench, why) for bench, why in differing if bench is not newest]


def save(bench: Bench, home: Home) -> Path:
    """Write it to `registry/results/<variant>/<id>.json`.

    Raises:
        FileExistsError: a record of that id exists.
    """
    data = asdict(replace(bench, filed=None))
    del data["filed"]
    return results.write(data, home)


def read_bench(document: Document) -> tuple[Bench, list[Problem]]:
    """A record from a file that fits the schema, and what shows that it was edited."""
    data = dict(document.data)
    timings = tuple(Timing(**timing) for timing in data["timings"])
    message = "quartiles and median are not in order; restore the record"
    wrong = [
        document.problem(("timings", number), message)
        for number, timing in enumerate(timings)
        if not timing.low <= timing.median <= timing.high <= (timing.p99 or timing.high)
    ]
    for name in ("schema", "digest"):
        data.pop(name, None)
    data["timings"] = timings
    data["peaks"] = tuple(Peak(**peak) for peak in data["peaks"])
    data["work"] = {name: Work(**work) for name, work in data["work"].items()}
    data["machine"] = Machine(**data["machine"])
    made = Bench(**data)
    wanted = {(e, n, b) for e in made.engines for n in (VARIANT, PLAIN) for b in made.batches}
    if sorted((t.engine, t.network, t.batch) for t in timings) != sorted(wanted) or sorted(
        (peak.engine, peak.network) for peak in made.peaks
    ) != sorted({(engine, network) for engine, network, _ in wanted}):
        message = "not each engine, network and batch once; restore the record"
        wrong.append(document.problem(("timings",), message))
    file, wrong = results.filed(document, wrong)
    return replace(made, filed=file), wrong


# The schema of these records, and who reads one.
KIND = ("bench", read_bench)
