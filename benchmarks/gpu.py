"""cc_b0_4e on one NVIDIA GPU beside timm's and beside plain EfficientNet-B0: images a second.

    pip install -e . timm && python benchmarks/gpu.py --out benchmarks/results/gpu.txt

Training steps (forward, cross-entropy, backward, SGD with momentum: one optimiser for all, so that
networks are compared) and inference, under bfloat16 autocast, channels-last. timm and effcc have
the same weights, and their logits must be equal before anything is timed. Rounds are interleaved.
Without a GPU `--device cpu --size 64 --batch 2 --rounds 1` rehearses the script; it measures
nothing.
"""

import argparse
import contextlib
import copy
import dataclasses
import functools
import itertools
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import effcc
from effcc.nn import condconv
from effcc.nn.efficientnet import InvertedResidual, build

NAME, PEER = "cc_b0_4e", "tf_efficientnet_cc_b0_4e"
WORKS = [("training", 128), ("training", 256), ("inference", 256), ("inference", 1)]
WARM_UP = 3
LAST = torch.channels_last


@dataclasses.dataclass
class Contender:
    """A network, how it runs, and what was found."""

    network: str
    way: str  # eager, compiled, or compiled + CUDA graph
    model: nn.Module
    triton: bool = False
    seconds: list[float] = dataclasses.field(default_factory=list)
    memory: int = 0
    failure: str = ""


def main() -> None:
    options = read_options()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "no NVIDIA GPU here; to rehearse: --device cpu --size 64 --batch 2 --rounds 1",
        )
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False  # logits are compared in float32
    torch._dynamo.config.recompile_limit = 64  # our networks share their code
    torch._dynamo.config.fail_on_recompile_limit_hit = True  # never eager in a compiled row
    networks = made(device)
    lines = [*described(options), f"logits: {assert_equal(networks, options.size, device)}"]
    for work, batch in dict.fromkeys((work, options.batch or batch) for work, batch in WORKS):
        contenders = entered(networks, work, device)
        measure(contenders, work, batch, options, device)
        lines += ["", f"{work}, batch {batch}", *table(contenders, batch)]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if options.out:
        options.out.write_text(text, "utf-8")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--size", type=int, default=224, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, help="instead of 128 and 256, 256 and 1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="timed steps of a round")
    parser.add_argument("--out", type=Path, help="a file for the table")
    return parser.parse_args()


def made(device: torch.device) -> dict[str, nn.Module]:
    """timm's network, ours with its weights, and B0 without conditional stages."""
    torch.manual_seed(0)
    recipe = {"drop_rate": 0.25, "drop_path_rate": 0.2}
    peer = imported_timm().create_model(PEER, **recipe)
    for norm in peer.modules():  # statistics of no data, but not the trivial ones
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -0.1, 0.1)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
    ours = effcc.create(NAME)
    ours.load_state_dict(peer.state_dict())
    network = effcc.load(NAME).network
    stages = tuple(dataclasses.replace(stage, conditional=False) for stage in network.stages)
    plain = build(dataclasses.replace(network, stages=stages))
    networks = {"timm": peer, "effcc": ours, "plain B0": plain}
    return {name: model.to(device, memory_format=LAST) for name, model in networks.items()}


def imported_timm():
    """timm, also where torchvision's operators are missing, as they are beside some CPU builds."""
    if subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True).returncode:
        missing = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            missing.define(f"{operator}(Tensor dets, Tensor scores, float iou) -> Tensor")
        imported_timm.kept = missing  # an operator lives as long as its library
    try:
        import timm
    except ImportError:
        sys.exit("benchmarks/gpu.py needs timm: pip install timm")
    return timm


def described(options: argparse.Namespace) -> list[str]:
    lines = [f"{NAME} at {options.size} px, bfloat16 autocast, channels-last"]
    if options.device == "cuda":
        card = torch.cuda.get_device_properties(0)
        query = ["nvidia-smi", "--query-gpu=driver_version,power.limit", "--format=csv,noheader"]
        driver = subprocess.run(query, capture_output=True, text=True).stdout.partition("\n")[0]
        lines.append(
            f"{card.name}, {card.total_memory / 2**30:.0f} GiB, driver and power limit {driver}, "
            f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        )
    else:
        lines.append("REHEARSAL on a CPU, compiled by aot_eager: these are no measurements")
    packages = []
    for package in ("torch", "triton", "timm"):
        with contextlib.suppress(PackageNotFoundError):
            packages.append(f"{package} {version(package)}")
    lines.append(f"{', '.join(packages)}, Python {platform.python_version()}")
    lines.append(f"{options.rounds} interleaved rounds of {options.steps} steps")
    return lines


@torch.inference_mode()
def assert_equal(networks: dict[str, nn.Module], size: int, device: torch.device) -> str:
    """Compare the logits of 4 images in float32 with timm's; a difference ends the script."""
    images = torch.randn(4, 3, size, size, device=device).contiguous(memory_format=LAST)
    expected = networks["timm"].eval()(images)
    forms = [("effcc", networks["effcc"], False)]
    if device.type == "cuda":
        forms.append(("effcc, Triton", networks["effcc"], True))
        forms.append(("effcc, Triton, folded", folded(networks["effcc"]), True))
    differences = []
    for name, model, triton in forms:
        condconv.TRITON = triton
        difference = (model.eval()(images) - expected).abs().max() / expected.abs().max()
        if not difference < 1e-4:
            sys.exit(f"{name} differs from timm by {difference:.1e} of the largest logit")
        differences.append(f"{name} {difference:.1e}")
    return f"largest difference from timm's, of the largest logit: {', '.join(differences)}"


class Folded(nn.Module):
    """A conditional block that predicts: depthwise, batch norm and SiLU are one kernel."""

    def __init__(self, block: InvertedResidual) -> None:
        super().__init__()
        self.block, norm = block, block.bn2
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        weight = block.conv_dw.weight.unflatten(1, (len(scale), -1))
        self.register_buffer("weight", (weight * scale[:, None]).flatten(1))
        self.register_buffer("shift", norm.bias - norm.running_mean * scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        from effcc.nn.depthwise_triton import depthwise

        block, routing = self.block, self.block.route(x)
        y = F.silu(block.bn1(block.conv_pw(x, routing)))
        kernel, stride = block.conv_dw.kernel, block.conv_dw.stride
        pads = condconv.pads(y, kernel, stride, block.conv_dw.padding)
        how = {"kernel": kernel, "stride": stride, "pads": pads, "shift": self.shift}
        y = depthwise(y, self.weight, routing.to(y.dtype), **how)
        y = block.bn3(block.conv_pwl(block.se(y), routing))
        return x + y if block.residual else y


def folded(model: nn.Module) -> nn.Module:
    model = copy.deepcopy(model).eval().requires_grad_(False)
    for stage in model.blocks:
        for index, block in enumerate(stage):
            if getattr(block, "conditional", False):
                stage[index] = Folded(block)
    return model


def entered(networks: dict[str, nn.Module], work: str, device: torch.device) -> list[Contender]:
    """Every network in every way it can run here, each with weights of its own."""
    gpu = device.type == "cuda"
    ways = ["eager", "compiled"]
    if gpu and work == "inference":
        ways.append("compiled + CUDA graph")
    forms = [(name, model, False) for name, model in networks.items()]
    if gpu:
        forms.append(("effcc, Triton", networks["effcc"], True))
        if work == "inference":
            forms.append(("effcc, Triton, folded", folded(networks["effcc"]), True))
    return [
        Contender(name, way, copy.deepcopy(model), triton)
        for name, model, triton in forms
        for way in ways
    ]


def measure(
    contenders: list[Contender],
    work: str,
    batch: int,
    options: argparse.Namespace,
    device: torch.device,
) -> None:
    """Fill in what each contender takes for a step."""
    torch._dynamo.reset()
    images = torch.randn(batch, 3, options.size, options.size, device=device)
    images = images.contiguous(memory_format=LAST)
    labels = torch.randint(0, 1000, (batch,), device=device)
    steps = {}
    for number, contender in enumerate(contenders):
        condconv.TRITON = contender.triton
        say(f"{work}, batch {batch}: {contender.network}, {contender.way}")
        try:  # an hour on a GPU is not lost to one contender that does not run
            steps[number] = begun(contender, work, images, labels)
        except Exception as error:
            contender.failure = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    for turn in range(options.rounds):
        say(f"{work}, batch {batch}: round {turn + 1} of {options.rounds}")
        for number, step in steps.items():
            condconv.TRITON = contenders[number].triton
            contenders[number].seconds += timed(step, options.steps, device)


def begun(contender: Contender, work: str, images: torch.Tensor, labels: torch.Tensor):
    """A contender's step, warm, with its memory noted."""
    device = images.device
    model = contender.model.train(work == "training")
    if contender.way != "eager":
        backend = "inductor" if device.type == "cuda" else "aot_eager"
        model = torch.compile(model, backend=backend, dynamic=False)
    half = functools.partial(torch.autocast, device.type, torch.bfloat16)
    optimiser = torch.optim.SGD(contender.model.parameters(), lr=1e-3, momentum=0.9)

    def train() -> None:
        optimiser.zero_grad()
        with half():
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimiser.step()

    @torch.inference_mode()
    def infer() -> torch.Tensor:
        with half(cache_enabled=False):
            return model(images)

    step = train if work == "training" else infer
    for _ in range(WARM_UP):
        step()
    if work == "inference" and contender.network != "plain B0":
        assert_near(infer(), contender.model, images)
    if device.type == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        torch.cuda.synchronize()
        contender.memory = torch.cuda.max_memory_allocated() - before
    if contender.way.endswith("CUDA graph"):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        return graph.replay
    return step


@torch.inference_mode()
def assert_near(logits: torch.Tensor, model: nn.Module, images: torch.Tensor) -> None:
    """What a contender computes in bfloat16 is what its network does in float32, so rounded."""
    exact = model(images)
    difference = float((logits - exact).norm() / exact.norm())
    assert difference < 0.05, f"logits differ from those of float32 by {difference:.2f}"


def timed(step, number: int, device: torch.device) -> list[float]:
    """Seconds of each of `number` steps, from one's end to the next one's."""
    step()
    if device.type == "cpu":
        marks = [time.perf_counter()]
        for _ in range(number):
            step()
            marks.append(time.perf_counter())
        return [after - before for before, after in itertools.pairwise(marks)]
    torch.cuda.synchronize()
    events = [torch.cuda.Event(enable_timing=True) for _ in range(number + 1)]
    events[0].record()
    for event in events[1:]:
        step()
        event.record()
    torch.cuda.synchronize()
    return [before.elapsed_time(after) / 1e3 for before, after in itertools.pairwise(events)]


def table(contenders: list[Contender], batch: int) -> list[str]:
    """Images a second, and how many times those of timm eager and of plain B0 run the same way."""
    rates = {
        (one.network, one.way): batch / statistics.median(one.seconds)
        for one in contenders
        if one.seconds
    }
    lines = [
        f"{'':<45} {'images/s':>9} {'quartiles':>17} {'x timm eager':>12} {'x plain B0':>10}"
        f" {'memory, MB':>10}"
    ]
    for one in contenders:
        name = f"{one.network}, {one.way}"
        if one.failure:
            lines.append(f"{name:<45} {one.failure}")
            continue
        rate = rates[one.network, one.way]
        slow, _, fast = (batch / seconds for seconds in reversed(quartiles(one.seconds)))
        beside = [
            f"{rate / rates[other]:.2f}" if other in rates else "-"
            for other in (("timm", "eager"), ("plain B0", one.way))
        ]
        memory = f"{one.memory / 1e6:.0f}" if one.memory else "-"
        lines.append(
            f"{name:<45} {rate:>9.1f} {slow:>8.1f} {fast:>8.1f} {beside[0]:>12} {beside[1]:>10}"
            f" {memory:>10}"
        )
    return lines


def quartiles(seconds: list[float]) -> list[float]:
    return statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
