"""A plan as text in a terminal, 80 columns wide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from effcc import terminal
from effcc.catalog.cost import count
from effcc.ground.words import many, three

if TYPE_CHECKING:
    from effcc.train.plan import Plan, Run

# Bits of the dots in a Unicode braille pattern: four rows of two.
_BLANK = chr(0x2800)
_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def text(plan: Plan) -> str:
    """What a fit would be: its counts, its rates, its memory and its time."""
    parts = [_counts(plan), _picture(plan.run), _memory(plan), _time(plan), _devices(plan)]
    return "\n\n".join("\n".join(lines) for lines in parts)


def curve(values: Sequence[float], height: int = 6) -> list[str]:
    """Numbers from 0 up as a joined line of dots: lines of text, two numbers to a character."""
    rows, peak = 4 * height, max(values) or 1.0
    dots = [[0] * ((len(values) + 1) // 2) for _ in range(height)]
    levels = [rows - 1 - round(value / peak * (rows - 1)) for value in values]
    for x, (before, level) in enumerate(zip([levels[0], *levels], levels, strict=False)):
        low, high = sorted((before, level))
        for y in range(low, high + 1):
            dots[y // 4][x // 2] |= _BRAILLE[y % 4][x % 2]
    return ["".join(chr(0x2800 + cell) for cell in line).rstrip(_BLANK) for line in dots]


def span(seconds: float) -> str:
    """A time to three digits, in the unit that suits it."""
    for unit, size, most in (("s", 1, 100), ("min", 60, 6000), ("h", 3600, 48 * 3600)):
        if seconds < most:
            return f"{three(seconds / size)} {unit}"
    return f"{three(seconds / 86400)} days"


def _counts(plan: Plan) -> list[str]:
    run, schedule, recipe = plan.run, plan.run.schedule, plan.spec.recipe
    read = round(run.epochs * run.images_per_epoch)
    per_node = run.devices // plan.nodes
    cost = count(plan.spec.network, plan.spec.preprocessing.image_size)
    return [
        *terminal.item(
            "model",
            f"{plan.spec.name}, {cost.parameters:,} parameters, "
            f"{many(plan.spec.network.num_classes, 'class', 'classes')}, "
            f"{plan.spec.preprocessing.image_size} pixels",
        ),
        *terminal.item(
            "images",
            plan.title,
            f"{plan.images['train']:,} to train on, {plan.images['val']:,} to validate, "
            f"{plan.images['test']:,} to test",
            f"{run.images_per_epoch:,} read an epoch to train, {read:,} in all",
        ),
        *terminal.item(
            "batch",
            f"{many(plan.nodes, 'machine')} x {many(per_node, 'device')} x "
            f"{run.accumulated} accumulated x {many(run.batch_size, 'image')}",
            f"= {schedule.images_per_step:,} a step",
        ),
        *terminal.item(
            "steps",
            f"{schedule.steps_per_epoch:,} an epoch, {run.steps:,} in {many(run.epochs, 'epoch')}",
        ),
        *terminal.item(
            "rate",
            f"{schedule.peak_lr:.4g} before decay: the recipe's {recipe.lr:g} is for "
            f"{many(recipe.batch_size, 'image')} a step",
            f"{many(schedule.warmup_steps, 'step')} of warm-up "
            f"({many(recipe.warmup_epochs, 'epoch')}), "
            f"then x {recipe.decay_rate:g} every {many(recipe.decay_epochs, 'epoch')}",
        ),
    ]


def _picture(run: Run) -> list[str]:
    """The learning rate over the run, and in numbers."""
    schedule, last = run.schedule, max(0, run.steps - 1)
    rates = [schedule.lr(round(last * i / 127)) for i in range(128)]
    lines = curve(rates)
    labels = [f"{max(rates):.3g}", *[""] * (len(lines) - 2), "0"]
    axis = ["┤", *["│"] * (len(lines) - 2), "┤"]
    drawn = [f"{a:>8} {b}{c}" for a, b, c in zip(labels, axis, lines, strict=True)]
    ends = f" epoch 0{f'epoch {run.epochs:.5g}':>57}"
    shares = {round(last * share) for share in (0, 0.1, 0.25, 0.5, 0.75, 1)}
    steps = sorted(shares | {step for step in (schedule.warmup_steps,) if step <= last})
    heads = ["epoch", *(f"{step / schedule.steps_per_epoch:.3g}" for step in steps)]
    return [
        *drawn,
        " " * 9 + ends,
        "",
        *terminal.numbers(heads, [["rate", *(f"{schedule.lr(s):.3g}" for s in steps)]]),
    ]


def _memory(plan: Plan) -> list[str]:
    memory, step = plan.memory, plan.step
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "optimiser": memory.optimiser,
        "averages": memory.averages,
        "activations": memory.activations,
    }
    listed = [f"{name} {terminal.size(size)}" for name, size in parts.items()]
    what = "what the forward pass keeps" if step.kind == "cpu" else "CUDA's peak above the rest"
    return terminal.item(
        "memory",
        f"{terminal.size(memory.total)} a device, for {many(memory.images, 'image')}",
        ", ".join(listed[:3]) + ",",
        f"{listed[3]}, {listed[4]}: {what},",
        f"measured on {many(step.memory.images, 'image')} and taken in proportion",
    )


def _time(plan: Plan) -> list[str]:
    step, loading, run = plan.step, plan.loading, plan.run
    epoch = plan.epoch_seconds(run, ideal=plan.scaling is None)
    whole = epoch * run.epochs
    order = "one after the other" if plan.shared else "at the same time"
    processes = (
        f"a device has {many(plan.workers, 'process', 'processes')}"
        if plan.workers
        else "the training process itself"
    )
    return [
        *terminal.item(
            "measured",
            f"on {step.name} ({step.kind}):",
            f"a step of {many(step.images, 'image')} takes {span(step.seconds)}, "
            f"{three(step.images / step.seconds)} images/s",
            f"a process loads {three(loading.images_per_second)} images/s, "
            f"seen on {loading.images}; {processes}",
        ),
        *terminal.item(
            "time",
            f"{span(epoch)} an epoch, {span(whole)} in all, "
            f"{three(whole * run.devices / 3600)} device-hours",
            f"a batch: {span(plan.compute_seconds)} to compute, "
            f"{span(plan.loading_seconds)} to load, {order}",
            "validation comes on top",
        ),
    ]


def _devices(plan: Plan) -> list[str]:
    heads = ["devices", "images/step", "steps/epoch", "rate", "ideal epoch", "ideal total"]
    heads += ["measured"] if plan.scaling else []
    rows = [_row(plan, run) for run in plan.table]
    return [*terminal.numbers(heads, rows), "", *_scaling(plan)]


def _row(plan: Plan, run: Run) -> list[str]:
    epoch = plan.epoch_seconds(run, ideal=True)
    row = [f"{run.devices:,}", f"{run.schedule.images_per_step:,}"]
    row += [f"{run.schedule.steps_per_epoch:,}", f"{run.schedule.peak_lr:.4g}"]
    row += [span(epoch), span(epoch * run.epochs)]
    if plan.scaling:
        row.append(span(plan.epoch_seconds(run, ideal=False) * run.epochs))
    return row


def _scaling(plan: Plan) -> list[str]:
    found = plan.scaling
    if found is None:
        return [
            "Ideal devices average their gradients in no time. What that really costs",
            f"could not be measured here, on one device ({plan.step.kind}).",
        ]
    return [
        f"Measured: {found.devices} devices here are {100 * found.efficiency:.0f} % efficient; "
        f"a step takes {span(found.together)}, {span(found.alone)} on one.",
        "Other numbers follow a ring all-reduce's traffic, on links as fast as here.",
    ]
