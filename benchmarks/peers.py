"""effcc beside its peers on the same weights: timm by itself, compiled, and in other engines.

    python -m pip install -e '.[bench]'
    python benchmarks/peers.py --out benchmarks/results/peers.txt

Before anything is timed, all ways to run a network are shown to give the same logits. Then they
take turns in one process, in another order each round, so that whatever else the machine does meets
all of them; the first run of a turn is not counted. Plain is the same network without conditional
stages, in the same engines: what CondConv costs. Our graphs take any batch, timm's the one they are
exported for. All are given kept memory (`process.keep_memory`)
and the same number of threads.
"""

from __future__ import annotations

from effcc.train import process

KEPT = process.keep_memory()  # torch reads its part of it when it is imported

import argparse
import copy
import dataclasses
import datetime
import logging
import os
import re
import shlex
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx
import torch
import torch._inductor.config
from torch import Tensor, nn
from torch.nn import functional as F

import effcc
from effcc.nn import inference, operators
from effcc.nn.efficientnet import build
from effcc.train import provenance

SIZE = 224
# What is measured if nothing else is asked for: variants and batches.
WORKS = (("cc_b0_4e", 16), ("cc_b0_4e", 1), ("cc_b0_8e", 16))
TRAINED = "cc_b0_4e"
STEPS = ((16, 224), (64, 64), (64, 32))  # batch and size of image
TOLERANCE = 1e-4  # of the largest logit
PACKAGES = ("torch", "timm", "openvino", "onnxruntime", "onnx")

# One run of a contestant: logits for inference, the loss for a training step.
Run = Callable[[], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--variants", nargs="+", help=f"default: as in {WORKS}")
    parser.add_argument("--batch", nargs="+", type=int, help="likewise")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", default="", help="a regular expression: only such contestants")
    parser.add_argument("--training", action="store_true", help="training steps alone")
    parser.add_argument("--inference", action="store_true", help="inference alone")
    parser.add_argument("--autotune", action="store_true", help="a third way to compile timm, slow")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the tables there too")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # those of exporters and compilers
    logging.disable(logging.WARNING)
    torch.set_num_threads(args.threads)
    lines: list[str] = []
    for part in parts(args):
        print("\n".join(part), flush=True)
        lines += part
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", "utf-8")


def parts(args: argparse.Namespace) -> Iterator[list[str]]:
    """What is printed, as it is found."""
    wanted = re.compile(args.rows)
    yield header(args.rounds)
    for variant, batch in chosen(args.variants, args.batch) if not args.training else ():
        torch._dynamo.reset()
        yield inferences(variant, batch, wanted, args)
    for batch, size in STEPS if not args.inference else ():
        yield training(batch, size, wanted, args.rounds)


def chosen(variants: list[str] | None, batches: list[int] | None) -> list[tuple[str, int]]:
    """The works with these variants and batches; every pair of them if both are given."""
    if variants and batches:
        return [(variant, batch) for variant in variants for batch in batches]
    if variants:
        return [(v, b) for v in variants for b in [b for w, b in WORKS if w == v] or [16]]
    return [(v, b) for v, b in WORKS if not batches or b in batches]


def header(rounds: int) -> list[str]:
    import_timm()
    machine = provenance.device("cpu", 1)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    kept = "kept memory and large pages for all" if KEPT else "the C library's memory for all"
    return [
        f"python {shlex.join(sys.argv)}",
        f"{machine['name']}, {machine['cores']} cores, {torch.get_num_threads()} threads, "
        f"load {os.getloadavg()[0]:.1f} when it began; {machine['system']}",
        f"python {sys.version.split()[0]}, {versions}, effcc {effcc.__version__}",
        f"{datetime.date.today()}; float32; {kept}; {rounds} rounds",
    ]


def import_timm() -> Any:
    """timm, whose torchvision may have been built for another torch."""
    try:
        import timm
    except RuntimeError:  # operators that it describes do not exist: now they do, without content
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import timm
    return timm


def networks(variant: str) -> tuple[nn.Module, nn.Module, nn.Module]:
    """timm's network, ours with its weights, and the plain one; all have seen some noise."""
    torch.manual_seed(0)
    peer = import_timm().create_model(f"tf_efficientnet_{variant}", pretrained=False)
    described = effcc.load(variant, settings={"network.dropout": 0.0, "network.drop_path": 0.0})
    network = described.network
    stages = tuple(dataclasses.replace(stage, conditional=False) for stage in network.stages)
    plain = build(dataclasses.replace(network, stages=stages))
    for model in (peer, plain):
        season(model)
    ours = build(network)
    ours.load_state_dict(peer.state_dict())
    return peer, ours, plain


@torch.no_grad()
def season(model: nn.Module) -> None:
    """Give batch norms the statistics of a batch of noise, and logits a size that can be wrong."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    logits = model.train()(torch.randn(8, 3, SIZE, SIZE))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.classifier.weight /= logits.std()


def inferences(
    variant: str, batch: int, wanted: re.Pattern[str], args: argparse.Namespace
) -> list[str]:
    """The table of one work."""
    images = torch.randn(batch, 3, SIZE, SIZE)
    peer, ours, plain = (model.eval() for model in networks(variant))
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        ways: dict[str, Callable[[], Run]] = {
            "timm, channels_last": lambda: eager(peer, images, torch.channels_last),
            "timm, contiguous": lambda: eager(peer, images, torch.contiguous_format),
            "timm compiled": lambda: compiled(peer, images),
            "timm compiled, frozen": lambda: compiled(peer, images, freezing=True),
            "timm compiled, frozen, autotuned": lambda: compiled(
                peer, images, freezing=True, max_autotune=True
            ),
            "timm in OpenVINO": lambda: openvino(exported(peer, images, folder), images, args),
            "timm in onnxruntime": lambda: onnxruntime(
                exported(peer, images, folder), images, args
            ),
        }
        if not args.autotune:
            del ways["timm compiled, frozen, autotuned"]
        for name, model in (("effcc", ours), ("plain", plain)):
            ways |= our_ways(name, model, images, folder, args)
        ways = {name: way for name, way in ways.items() if not name.startswith("plain exported")}
        ways = {name: prepare for name, prepare in ways.items() if wanted.search(name)}
        truths = {"plain": plain(images)} | dict.fromkeys(("timm", "effcc"), peer(images))
        runs = prepared(ways, lambda name: truths[re.split(r"[ ,]", name)[0]])
        times = interleaved(runs, args.rounds, runs_a_turn=2 if batch > 4 else 10)
    title = f"{variant}, batch {batch}, {SIZE} px"
    return ["", *table(title, times, batch, "timm, channels_last"), *goals(times)]


def our_ways(
    name: str, model: Any, images: Tensor, folder: str, args: argparse.Namespace
) -> dict[str, Callable[[], Run]]:
    def file(engine: str) -> Path:
        path = Path(folder) / f"{name}-{engine}.onnx"
        onnx.save(operators.onnx_model(model, 3, SIZE, engine=engine), path)
        return path

    return {
        f"{name}, channels_last": lambda: eager(model, images, torch.channels_last),
        f"{name} optimised": lambda: optimised(model, images),
        f"{name} in OpenVINO": lambda: openvino(file("openvino"), images, args),
        f"{name} in onnxruntime": lambda: onnxruntime(file("onnxruntime"), images, args),
        f"{name} exported, in OpenVINO": lambda: openvino(file("any"), images, args),
        f"{name} exported, in onnxruntime": lambda: onnxruntime(file("any"), images, args),
    }


def eager(model: nn.Module, images: Tensor, layout: torch.memory_format) -> Run:
    laid = copy.deepcopy(model).to(memory_format=layout)
    x = images.contiguous(memory_format=layout)
    return lambda: laid(x)


def optimised(model: Any, images: Tensor) -> Run:
    fast = inference.optimize(model)
    x = images.contiguous(memory_format=torch.channels_last)
    return lambda: fast(x)


def compiled(model: nn.Module, images: Tensor, **options: Any) -> Run:
    laid = copy.deepcopy(model).to(memory_format=torch.channels_last)
    x = images.contiguous(memory_format=torch.channels_last)
    # As options they keep one compilation from being taken for another's; but freezing is heeded
    # only as a setting.
    fast = torch.compile(laid, dynamic=False, options=options or None)
    with torch._inductor.config.patch(options):
        fast(x)
    return lambda: fast(x)


def exported(peer: nn.Module, images: Tensor, folder: str) -> Path:
    """timm's network as ONNX, for this batch alone: its convolutions' groups depend on it."""
    path = Path(folder) / "timm.onnx"
    if not path.exists():
        torch.onnx.export(peer, (images.clone(),), path, dynamo=True, verbose=False)
    return path


def openvino(path: Path, images: Tensor, args: argparse.Namespace) -> Run:
    import openvino

    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": args.threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,  # threads of others live in this process
    }
    request = core.compile_model(path, "CPU", settings).create_infer_request()
    x = images.numpy()
    return lambda: torch.from_numpy(request.infer({0: x})[0])


def onnxruntime(path: Path, images: Tensor, args: argparse.Namespace) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: images.numpy()}
    return lambda: torch.from_numpy(session.run(None, feed)[0])


def training(batch: int, size: int, wanted: re.Pattern[str], rounds: int) -> list[str]:
    """The table of one training step: forward, loss, backward."""
    images, labels = torch.randn(batch, 3, size, size), torch.randint(0, 1000, (batch,))
    peer, ours, plain = (model.train() for model in networks(TRAINED))
    ways: dict[str, Callable[[], Run]] = {
        "timm, channels_last": lambda: step(peer, images, labels, torch.channels_last),
        "timm, contiguous": lambda: step(peer, images, labels, torch.contiguous_format),
        "effcc, channels_last": lambda: step(ours, images, labels, torch.channels_last),
        "plain, channels_last": lambda: step(plain, images, labels, torch.channels_last),
    }
    ways = {name: prepare for name, prepare in ways.items() if wanted.search(name)}
    with torch.no_grad():
        losses = {
            name: F.cross_entropy(model(images), labels)
            for name, model in (("timm", peer), ("effcc", peer), ("plain", plain))
        }
    runs = prepared(ways, lambda name: losses[name.partition(",")[0]])
    times = interleaved(runs, rounds, runs_a_turn=1)
    title = f"a training step of {TRAINED}, batch {batch}, {size} px"
    return ["", *table(title, times, batch, "timm, channels_last"), *goals(times)]


def step(model: nn.Module, images: Tensor, labels: Tensor, layout: torch.memory_format) -> Run:
    laid = copy.deepcopy(model).to(memory_format=layout)
    x = images.contiguous(memory_format=layout)

    def run() -> Tensor:
        laid.zero_grad()
        loss = F.cross_entropy(laid(x), labels)
        loss.backward()
        return loss.detach()

    return run


def prepared(
    ways: Mapping[str, Callable[[], Run]], truth: Callable[[str], Tensor]
) -> dict[str, Run]:
    """Every contestant, made ready and shown to compute what it should."""
    runs: dict[str, Run] = {}
    for name, prepare in ways.items():
        begun = time.monotonic()
        runs[name] = prepare()
        found, expected = runs[name](), truth(name)
        off = ((found - expected).abs().max() / expected.abs().max()).item()
        assert off <= TOLERANCE, f"{name} is {off:.1g} of the largest value away"
        print(f"{name}: ready after {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return runs


def interleaved(runs: dict[str, Run], rounds: int, runs_a_turn: int) -> dict[str, list[float]]:
    """Seconds of each run, turn by turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds):
        turn = number * len(names) // rounds
        for name in names[turn:] + names[:turn]:
            runs[name]()  # threads of the one before may still be awake
            for _ in range(runs_a_turn):
                begun = time.perf_counter()
                runs[name]()
                times[name].append(time.perf_counter() - begun)
    return times


def table(title: str, times: dict[str, list[float]], batch: int, yardstick: str) -> list[str]:
    """Times, rates, and how much faster than the yardstick and than the plain network."""
    medians = {name: statistics.median(found) for name, found in times.items()}
    lines = [f"{title:<44} {'ms':>8}  {'quartiles':<15} {'images/s':>8}  beside timm  beside plain"]
    for name, found in times.items():
        lower, middle, upper = (1e3 * value for value in quartiles(found))
        twin = re.sub("^effcc( exported,)?", "plain", name)
        ratios = [
            f"{medians[other] / medians[name]:.2f}x" if other in medians else ""
            for other in (yardstick, twin if twin != name else "")
        ]
        lines.append(
            f"{name:<44} {middle:>8.1f}  {f'{lower:.1f} to {upper:.1f}':<15} "
            f"{1e3 * batch / middle:>8.1f}  {ratios[0]:>11}  {ratios[1]:>12}".rstrip()
        )
    return lines


def goals(times: dict[str, list[float]]) -> list[str]:
    """Our best against the best of each kind of peer."""
    medians = {name: statistics.median(found) for name, found in times.items()}
    ours = [(median, name) for name, median in medians.items() if name.startswith("effcc")]
    kinds = ("timm, ", "timm compiled", "timm in OpenVINO", "timm in onnxruntime")
    lines: list[str] = []
    for kind in kinds:
        theirs = [(median, name) for name, median in medians.items() if name.startswith(kind)]
        if ours and theirs:
            (fast, winner), (slow, beaten) = min(ours), min(theirs)
            lines.append(f"{winner} is {slow / fast:.2f}x as fast as {beaten}")
    return lines


def quartiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    lower, middle, upper = statistics.quantiles(values, n=4, method="inclusive")
    return lower, middle, upper


if __name__ == "__main__":
    main()
