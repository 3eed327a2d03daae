"""RMSProp and averaged weights, beside timm's: RMSpropTF and ModelEmaV3 on cc_b0_4e's parameters.

`python benchmarks/optimiser.py` prints the time of a step by each, how near that is to what the
memory allows, and its share of a training step. `--compiled` adds our step as torch.compile makes
it, which takes a compiler and a minute.
"""

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import effcc
from effcc.train import process

process.keep_memory()  # as in a fit, for all of them; before torch is imported
import interleaved  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

timm = interleaved.timm()  # before Lightning, which looks for torchvision
from effcc.train import ema, optim  # noqa: E402

DECAY, AVERAGED = 0.9, 0.9999
SETTINGS = {"momentum": 0.9, "eps": 1e-3}
LR = 0.01
# A step must read weight, gradient, mean square, momentum and average, and write all but the
# gradient: so many numbers for every parameter.
LEAST = 9
STEPS = {"224 px, batch 16": (16, 224), "64 px, batch 64": (64, 64), "32 px, batch 64": (64, 32)}

Contestant = tuple[nn.Module, nn.Module, Callable[[], object], Callable[[], object]]


def ours(model: nn.Module, spec: Any) -> Contestant:
    """The model, its averages, and the two halves of a step."""
    optimizer = optim.RMSpropTF(
        optim.parameter_groups(model, spec.recipe, LR), lr=LR, decay=DECAY, **SETTINGS
    )
    average = copy.deepcopy(model)
    pairs = ema.pairs(average, model)
    return model, average, optimizer.step, lambda: ema.fold(pairs, AVERAGED, 10**9)


def theirs(model: nn.Module, spec: Any, foreach: bool) -> Contestant:
    """As `ours`, by timm, with the same groups of parameters."""
    from timm.optim import RMSpropTF
    from timm.utils import ModelEmaV3

    groups = optim.parameter_groups(model, spec.recipe, LR)
    optimizer = RMSpropTF(groups, lr=LR, alpha=DECAY, foreach=foreach, **SETTINGS)
    average = ModelEmaV3(model, decay=AVERAGED, foreach=foreach)
    return model, average.module, optimizer.step, lambda: average.update(model)


def compiled(model: nn.Module, spec: Any) -> Contestant:
    """As `ours`, compiled; the optimiser alone, for the averages are one pass as they are."""
    made = ours(model, spec)
    return *made[:2], torch.compile(made[2]), made[3]


def timed(contestants: dict[str, Contestant], count: int) -> dict[str, tuple[list[float], ...]]:
    """Seconds of both halves, in rounds, from the same gradients each time."""
    random = torch.Generator().manual_seed(1)
    parameters = [list(model.parameters()) for model, *_ in contestants.values()]
    gradients = [1e-3 * torch.randn(p.shape, generator=random) for p in parameters[0]]
    times: dict[str, tuple[list[float], ...]] = {name: ([], []) for name in contestants}
    for number in range(count + 2):
        for (name, (_, _, *halves)), own in zip(contestants.items(), parameters, strict=True):
            for parameter, gradient in zip(own, gradients, strict=True):
                parameter.grad = gradient.clone()
            for half, seconds in zip(halves, times[name], strict=True):
                start = time.perf_counter()
                half()
                if number > 1:
                    seconds.append(time.perf_counter() - start)
    return times


def check(contestants: dict[str, Contestant]) -> None:
    """All of them have computed the same."""
    first, *others = contestants.values()
    for other in others:
        for one, another in zip(first[:2], other[:2], strict=True):
            for name, tensor in one.state_dict().items():
                torch.testing.assert_close(
                    tensor, another.state_dict()[name], rtol=1e-4, atol=1e-5, msg=name
                )


def bandwidth() -> float:
    """Bytes a second that one simple pass over large tensors moves."""
    a, b = torch.rand(2**25), torch.rand(2**25)
    seconds = interleaved.rounds({"add": lambda: torch.add(a, b, out=b)}, 9)["add"]
    return 3 * 4 * a.numel() / statistics.median(seconds)


def table(times: dict[str, tuple[list[float], ...]], least: int) -> list[str]:
    """Both halves and their sum, beside what the memory takes to move `least` bytes."""
    lines = [
        f"{'':<28} {'optimiser':>9} {'averages':>9} {'quartile':>9} {'both':>9} {'quartile':>9} "
        f"{'timm /':>8}"
    ]
    sums = {name: [a + b for a, b in zip(*halves, strict=True)] for name, halves in times.items()}
    best = min(statistics.median(sums[name]) for name in sums if name.startswith("timm"))
    for name, halves in times.items():
        alone = " ".join(f"{1e3 * statistics.median(half):>9.1f}" for half in halves)
        ratio = best / statistics.median(sums[name])
        lines.append(f"{name:<28} {alone} {interleaved.cells(sums[name])} {ratio:>8.2f}")
    speed = bandwidth()
    memory, seconds = f"the memory, {speed / 1e9:.1f} GB/s", least / speed
    lines.append(f"{memory:<28} {1e3 * seconds:>39.1f} {'':>9} {best / seconds:>8.2f}")
    return lines


def shares(contestant: Contestant, count: int) -> list[str]:
    """A training step with and without the optimiser and the averages."""
    model, _, step, fold = contestant
    lines = [f"{'training step, effcc':<28} {'images':>9} {'both':>9} {'share':>9}"]
    for name, (batch, size) in STEPS.items():
        images = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
        labels = torch.randint(0, 1000, (batch,))
        found: tuple[list[float], list[float]] = ([], [])
        for number in range(count + 2):
            model.zero_grad()
            start = time.perf_counter()
            F.cross_entropy(model(images), labels).backward()
            middle = time.perf_counter()
            step()
            fold()
            end = time.perf_counter()
            if number > 1:
                found[0].append(middle - start)
                found[1].append(end - middle)
        network, both = (1e3 * statistics.median(seconds) for seconds in found)
        lines.append(f"{name:<28} {network:>9.1f} {both:>9.1f} {both / (network + both):>9.1%}")
    return lines


def main() -> None:
    args = interleaved.arguments(
        "The optimiser and the averages, beside timm's.", 21, compiled="add our step, compiled"
    )
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = effcc.create("cc_b0_4e").to(memory_format=torch.channels_last)
    spec = effcc.load("cc_b0_4e")
    contestants = {
        "timm, a loop (its default)": theirs(copy.deepcopy(model), spec, False),
        "timm, foreach": theirs(copy.deepcopy(model), spec, True),
        "effcc": ours(copy.deepcopy(model), spec),
    }
    if args.compiled:
        contestants["effcc, compiled"] = compiled(copy.deepcopy(model), spec)
    times = timed(contestants, args.rounds)
    check(contestants)
    numbers = sum(p.numel() for p in model.parameters())
    lines = [
        *table(times, LEAST * 4 * numbers),
        "",
        *shares(contestants["effcc"], max(3, args.rounds // 4)),
    ]
    what = f"A step of RMSProp and averaged weights over {numbers:,} parameters: milliseconds"
    versions = {"torch": torch.__version__, "timm": timm.__version__}
    header = interleaved.header(what, args.threads, args.rounds, **versions)
    interleaved.say([header, *lines], args.out)


if __name__ == "__main__":
    main()
