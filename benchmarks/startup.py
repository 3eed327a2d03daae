"""What starting costs: commands beside a bare Python, and a network without weights beside timm.

`python benchmarks/startup.py` prints two tables. Commands run as processes of their own, with
their bytecode cached. timm builds the same network, cc_b1_8e, and both load the same file.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import interleaved

ROOT = Path(__file__).resolve().parents[1]
BARE = "python -c pass"
COMMANDS = {
    BARE: ["-c", "pass"],
    "import effcc": ["-c", "import effcc"],
    "effcc --help": ["-m", "effcc", "--help"],
    "effcc fit --help": ["-m", "effcc", "fit", "--help"],
    "effcc list": ["-m", "effcc", "list"],
    "effcc show cc_b0_4e": ["-m", "effcc", "show", "cc_b0_4e"],
    "effcc check": ["-m", "effcc", "check"],
    "effcc docs --check": ["-m", "effcc", "docs", "--check"],
}


def starts(count: int) -> list[str]:
    """The table of commands."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        def command(words: list[str]) -> None:
            done = subprocess.run(
                [sys.executable, *words], env=environment, cwd=ROOT, capture_output=True
            )
            assert done.returncode in (0, 1), done.stderr  # 1: a check has found something

        contestants = {name: lambda w=words: command(w) for name, words in COMMANDS.items()}
        times = interleaved.rounds(contestants, count)
    lines = [f"{'':<40} {'quartile':>9} {'median':>9} {'quartile':>9} {'over bare':>10}"]
    for name, seconds in times.items():
        over = [here - bare for here, bare in zip(seconds, times[BARE], strict=True)]
        lines.append(
            f"{name:<40} {interleaved.cells(seconds)} {1e3 * statistics.median(over):>+10.1f}"
        )
    return lines


def builds(count: int, threads: int) -> tuple[list[str], dict[str, str]]:
    """The table of networks, and the versions that made it."""
    timm = interleaved.timm()
    import torch

    import effcc
    from effcc.nn import efficientnet

    torch.set_num_threads(threads)
    theirs = "tf_efficientnet_cc_b1_8e"
    spec = effcc.load("cc_b1_8e")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.pth"
        torch.save(efficientnet.build(spec.network).state_dict(), file)

        def timm_from_file() -> torch.nn.Module:
            model = timm.create_model(theirs)
            model.load_state_dict(torch.load(file, weights_only=True, mmap=True))
            return model

        def ours_from_file() -> torch.nn.Module:
            return effcc.create("cc_b1_8e", pretrained=file)

        ours, peers = ours_from_file().state_dict(), timm_from_file().state_dict()
        assert ours.keys() == peers.keys()
        assert all(tensor.equal(peers[name]) for name, tensor in ours.items())
        pairs = {
            "built, to load weights": (
                lambda: timm.create_model(theirs),
                lambda: efficientnet.unfilled(spec.network),
            ),
            "built and loaded from a file": (timm_from_file, ours_from_file),
            "built with fresh weights": (
                lambda: timm.create_model(theirs),
                lambda: effcc.create("cc_b1_8e"),
            ),
        }
        contestants = {
            f"{name}: {who}": run
            for name, both in pairs.items()
            for who, run in zip(("timm", "effcc"), both, strict=True)
        }
        times = interleaved.rounds(contestants, count)
    lines = [f"{'':<40} {'quartile':>9} {'median':>9} {'quartile':>9} {'timm /':>10}"]
    for name, seconds in times.items():
        what = name.rpartition(":")[0]
        ratio = statistics.median(times[f"{what}: timm"]) / statistics.median(seconds)
        lines.append(f"{name:<40} {interleaved.cells(seconds)} {ratio:>10.2f}")
    return lines, {"torch": torch.__version__, "timm": timm.__version__}


def main() -> None:
    args = interleaved.arguments("What starting costs.", rounds=15)
    commands = starts(args.rounds)
    networks, versions = builds(args.rounds, args.threads)
    what = "Starting commands, and building cc_b1_8e: milliseconds"
    header = interleaved.header(what, args.threads, args.rounds, **versions)
    interleaved.say([header, *commands, "", *networks], args.out)


if __name__ == "__main__":
    main()
