"""cc_b0_4e beside its peers: timm eager and compiled, OpenVINO and onnxruntime on timm's export.

`python benchmarks/peers.py` prints two tables: predicting at 224 px, and training steps. All have
the same weights, and their logits are asserted equal first. `--autotune` adds torch.compile's
max-autotune, which takes minutes; `--predicting` and `--training` print one table alone.
"""

import copy
import logging
import statistics
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path

import effcc
from effcc.train import process

process.keep_memory()  # as in a fit, for all of them; before torch is imported
import interleaved
import torch
from torch import Tensor, nn
from torch.nn import functional as F

timm = interleaved.timm()
from effcc.catalog import timings
from effcc.nn import engines, sessions
from effcc.nn.efficientnet import build

SIZE = 224
# Engines' threads spin on for a while after a call, which is the next one's time.
PAUSE = 0.1
STEPS = ((16, 224), (64, 64), (64, 32))
# Of the largest logit: what float32 leaves of the same sums in other orders.
TOLERANCE = 1e-4

Call = Callable[[Tensor], Tensor]
LAST, FIRST = torch.channels_last, torch.contiguous_format


def network(name: str, plain: bool = False) -> tuple[nn.Module, object]:
    """A variant, or its plain network, with the statistics of some random images; and its spec."""
    spec = timings.plain(effcc.load(name)) if plain else effcc.load(name)
    torch.manual_seed(0)
    model = build(spec.network)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model(torch.randn(16, 3, SIZE, SIZE))
    return model.eval().requires_grad_(False), spec


def compiled(model: nn.Module, **settings: object) -> Call:
    """Torch's compiler on a copy, with settings of its backend."""
    made = torch.compile(copy.deepcopy(model))

    def call(images: Tensor) -> Tensor:
        with torch._inductor.config.patch(settings):
            return made(images)

    return call


def exported(model: nn.Module, engine: str, batch: int, threads: int, folder: Path) -> Call:
    """An engine on timm's export, which is for one batch."""
    path = folder / f"timm-{batch}.onnx"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        with warnings.catch_warnings(action="ignore"):
            example = torch.zeros(batch, 3, SIZE, SIZE)
            program = torch.onnx.export(
                model, (example,), dynamo=True, verbose=False, input_names=["images"]
            )
        program.model.graph.outputs[0].name = "logits"
        program.save(path)
    return sessions.SESSIONS[engine](path, threads)


def contestants(
    name: str, batch: int, args: object, folder: Path
) -> dict[str, tuple[Call, torch.memory_format]]:
    """Who predicts, and how images lie for it."""
    model, spec = network(name)
    plain, plain_spec = network(name, plain=True)
    peer = timm.create_model(f"tf_efficientnet_{name}").eval().requires_grad_(False)
    peer.load_state_dict(model.state_dict())
    last = copy.deepcopy(peer).to(memory_format=LAST)
    found: dict[str, tuple[Call, torch.memory_format]] = {
        "timm eager, channels last": (last, LAST),
        "timm eager, channels first": (peer, FIRST),
        "timm compiled": (compiled(last), LAST),
        "timm compiled, frozen": (compiled(last, freezing=True), LAST),
    }
    if args.autotune:
        tuned = compiled(last, freezing=True, max_autotune=True)
        found["timm compiled, frozen, tuned"] = (tuned, LAST)
    for engine in ("openvino", "onnxruntime"):
        on = exported(peer, engine, batch, args.threads, folder)
        found[f"timm, {engine}"] = (on, FIRST)
    found["effcc eager"] = (copy.deepcopy(model).to(memory_format=LAST), LAST)
    for engine in ("openvino", "onnxruntime", "torch"):
        ours = engines.build(engine, model, spec, args.threads)
        found[f"effcc, {engine}"] = (ours, LAST if engine == "torch" else FIRST)
        if engine != "onnxruntime":
            beside = engines.build(engine, plain, plain_spec, args.threads)
            found[f"plain network, {engine}"] = (beside, LAST if engine == "torch" else FIRST)
    return found


def predicting(name: str, batch: int, args: object, folder: Path) -> list[str]:
    """One table of predictions."""
    images = torch.randn(batch, 3, SIZE, SIZE)
    who = contestants(name, batch, args, folder)
    laid = {layout: images.contiguous(memory_format=layout) for layout in (LAST, FIRST)}
    with torch.inference_mode():
        expected = who["timm eager, channels first"][0](images)
        for label, (call, layout) in who.items():
            difference = (call(laid[layout]) - expected).abs().max() / expected.abs().max()
            if not label.startswith("plain"):
                assert difference <= TOLERANCE, f"{label}: {difference:.2g} from timm"
        calls = {label: partial(call, laid[layout]) for label, (call, layout) in who.items()}
        times = interleaved.rounds(calls, args.rounds, PAUSE)
    peers = ("timm eager, channels last", "timm eager, channels first")
    return table(f"{name}, predicting, {SIZE} px, batch {batch}", batch, times, peers)


def training(name: str, batch: int, size: int, args: object) -> list[str]:
    """One table of training steps: forward, loss and backward."""
    settings = {"network.drop_path": 0, "network.dropout": 0}
    torch.manual_seed(0)
    ours = effcc.create(name, settings=settings)
    peer = timm.create_model(f"tf_efficientnet_{name}")
    peer.load_state_dict(ours.state_dict())
    models = {
        "timm, channels last": (copy.deepcopy(peer).to(memory_format=LAST), LAST),
        "timm, channels first": (peer, FIRST),
        "effcc": (ours.to(memory_format=LAST), LAST),
        "plain network": (network(name, plain=True)[0].to(memory_format=LAST), LAST),
    }
    images, classes = torch.randn(batch, 3, size, size), torch.randint(0, 1000, (batch,))

    def step(model: nn.Module, images: Tensor) -> Tensor:
        model.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(images), classes)
        loss.backward()
        return loss.detach()

    calls = {
        label: partial(step, model.train().requires_grad_(), images.contiguous(memory_format=lay))
        for label, (model, lay) in models.items()
    }
    losses = {label: call() for label, call in calls.items() if label != "plain network"}
    for label, loss in losses.items():
        assert abs(loss - losses["effcc"]) <= 1e-4 * loss, f"{label}: {loss} and {losses['effcc']}"
    for _ in range(4):  # until the allocator has what they need
        for call in calls.values():
            call()
    times = interleaved.rounds(calls, args.rounds if size < SIZE else max(args.rounds // 2, 3))
    peers = ("timm, channels last", "timm, channels first")
    return table(f"{name}, training step, {size} px, batch {batch}", batch, times, peers)


def table(
    title: str, batch: int, times: dict[str, list[float]], peers: tuple[str, ...]
) -> list[str]:
    """Rows of times, each beside the faster of the peers."""
    best = min(statistics.median(times[name]) for name in peers)
    columns = f"{'quartile':>9} {'median':>9} {'quartile':>9} {'images/s':>9} {'timm /':>7}"
    lines = [title, f"{'':<30} {columns}"]
    for label, seconds in times.items():
        median = statistics.median(seconds)
        ratios = f"{batch / median:>9.1f} {best / median:>6.2f}x"
        lines.append(f"{label:<30} {interleaved.cells(seconds)} {ratios}")
    return [*lines, ""]


def main() -> None:
    """Print the tables."""
    args = interleaved.arguments(
        __doc__.partition("\n")[0],
        11,
        autotune="add torch.compile's max-autotune",
        predicting="predict only",
        training="train only",
    )
    torch.set_num_threads(args.threads)
    names = ("torch", "timm", "openvino", "onnxruntime")
    versions = {name: metadata.version(name) for name in names}
    what = "cc_b0_4e beside its peers: milliseconds; memory is kept, in large pages, for all"
    lines = [interleaved.header(what, args.threads, args.rounds, **versions)]
    if not args.training:
        with tempfile.TemporaryDirectory() as folder:
            for name, batch in (("cc_b0_4e", 16), ("cc_b0_4e", 1), ("cc_b0_8e", 16)):
                lines += predicting(name, batch, args, Path(folder, name))
    if not args.predicting:
        for batch, size in STEPS:
            lines += training("cc_b0_4e", batch, size, args)
    interleaved.say(lines, args.out)


if __name__ == "__main__":
    main()
