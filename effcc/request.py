"""What a command line asks for: a project, a variant with every setting, perhaps weights."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from effcc import terminal
from effcc.ground import home
from effcc.ground.errors import BadFile, Place, Problem, UsageError
from effcc.train import process

if TYPE_CHECKING:
    from effcc.catalog.spec import Spec
    from effcc.ground.home import Home
    from effcc.nn.weights import Checkpoint

# What fit, validate and test use when nothing names any data.
DEFAULT_SOURCE = "digits"
# The verbs that leave a record, unless they are told not to.
_RECORDS = ("fit", "test", "routing")


def resolve(
    args: argparse.Namespace, source: str | None = DEFAULT_SOURCE
) -> tuple[Home, Spec, Checkpoint | None]:
    """The project, the spec and the checkpoint that a command's options name."""
    from effcc.catalog import registry

    process.check_numbers()
    process.keep_memory()  # before anything below imports torch
    if not args.config:
        raise UsageError(
            f"{args.verb}: name a variant's file, as in --config registry/cc_b0_4e.yaml"
        )
    paths = [Path(name) for name in args.config]
    for path in paths:
        if not path.is_file():
            what = "a folder, not a variant's file" if path.is_dir() else "no such file"
            raise BadFile(Problem(Place(str(path)), "", f"{what}; {_instead()}"))
    quiet = args.print_config or getattr(args, "plan", False) or getattr(args, "no_record", False)
    found = home.own if args.verb in _RECORDS and not quiet else home.find
    at = found(paths[0].absolute().parent)
    checkpoint = _checkpoint(args, at, paths[0].stem)
    layer = (
        (at.shown(checkpoint.path), checkpoint.settings)
        if checkpoint and checkpoint.settings
        else None
    )
    spec = registry.load_file(
        paths[0], at, overlays=paths[1:], flags=args.flags, source=source, checkpoint=layer
    )
    for path in (at.results / spec.name, at.models):  # before hours of work, not after
        at.hold(path)
    return at, spec, checkpoint


def print_config(spec: Spec) -> int:
    """Print every setting as a registry file has them; returns the exit code."""
    import yaml

    settings = spec.settings()
    if spec.origins["network.num_classes"].layer == "default":
        del settings["network"]["num_classes"]  # still for the data to say
    data = {"model": spec.entry, "summary": spec.summary, "seed": spec.seed} | settings
    terminal.say(yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=110), end="")
    return 0


def _instead() -> str:
    """What to say of a file that is not there."""
    from effcc.catalog import registry

    if (at := home.around()) is None:
        return "no project is here; begin one: effcc new NAME --from cc_b0_4e"
    names = registry.names(at)
    return f"there are: {', '.join(at.shown(at.registry / f'{name}.yaml') for name in names)}"


def _checkpoint(args: argparse.Namespace, at: Home, variant: str) -> Checkpoint | None:
    if args.verb == "fit" and process.is_restarted():
        from effcc.train import checkpoints

        if begun := checkpoints.of_launch(at.runs / variant, process.launch()):
            if process.is_first():
                shown = at.shown(begun.path)
                terminal.say(f"started again by torchrun; checkpoint {shown}", error=True)
            return begun
    if args.ckpt_path is None:
        if args.verb in ("fit", "bench") or args.print_config:
            return None
        raise UsageError(
            f"{args.verb}: name weights with --ckpt_path FILE, or `last` for the newest run's"
        )
    from effcc.nn import weights

    if args.ckpt_path != "last":
        return weights.read(Path(args.ckpt_path))
    from effcc.train import checkpoints

    newest = checkpoints.newest(at.runs / variant)
    if newest is None:
        raise UsageError(
            f"--ckpt_path last: no run in {at.shown(at.runs / variant)}/; run effcc fit first"
        )
    if process.is_first():
        if newest.instead:
            terminal.say(f"{newest.instead}; taking the one before it", error=True)
        terminal.say(f"checkpoint {at.shown(newest.checkpoint.path)}", error=True)
    return newest.checkpoint
