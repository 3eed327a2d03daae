"""What a command line may say: verbs with their options, and every setting as a dotted flag."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from shlex import quote
from typing import Any, NoReturn

import effcc
from effcc.ground.errors import COMMAND_LINE, BadFile, Place, Problem, UsageError
from effcc.ground.words import closest
from effcc.nn import engines

# The verbs that resolve a variant, and so take settings.
TAKE_SETTINGS = (
    *("fit", "validate", "test", "predict", "bench", "routing", "export", "show", "reproduce"),
    "audit",
)
# What export writes.
FORMATS = ("safetensors", "timm", "onnx", "hub")
# What convert writes: see claims/formats.py, which help need not read.
REGISTRIES = ("pwc", "hf", "eval-results")

Verb = Callable[[argparse.Namespace], int]


def parser(verbs: Mapping[str, Verb], words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of `effcc VERB` for a command line; `args.run` is the verb.

    A verb's docstring is its help. Only verbs among `words` get their options: those of a run end
    with every setting of the schema, which `effcc --help` need not read.
    """
    top = _Parser(
        prog="effcc",
        description="EfficientNet-CondConv: train, measure and document variants in YAML.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"effcc {effcc.__version__}")
    subparsers = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, run in verbs.items():
        summary = (run.__doc__ or "").strip()
        sub = subparsers.add_parser(
            name,
            help=summary[0].lower() + summary[1:].rstrip("."),
            description=summary,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        if name in words:
            _OPTIONS[name](sub)
    return top


class _Parser(argparse.ArgumentParser):
    """One that complains in a line, and names the nearest word instead of all."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with 2."""
        match = re.search(r"(.*)invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if match and (hint := closest(match[2], re.findall(r"[\w-]+", match[3]))):
            message = f"{match[1]}{match[2]!r} is none of them{hint}"
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help says more\n")


def _of_a_run(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add(
        "--config",
        action="append",
        metavar="FILE",
        help="a registry file (needed); more change its values",
    )
    add("--ckpt_path", metavar="FILE", help="a checkpoint, or `last` for the newest run's")
    add("--print_config", action="store_true", help="print the resolved settings as YAML and stop")
    add("--seed", type=int, metavar="N", help="seed of weights, order and augmentation")
    sub.epilog = settings_help()


def _of_fit(sub: argparse.ArgumentParser) -> None:
    _of_a_run(sub)
    sub.add_argument(
        "--plan", action="store_true", help="say what it would take, train nothing and stop"
    )
    sub.add_argument(
        "--compile",
        action="store_true",
        help="have torch compile the network: minutes at first, worth them on accelerators",
    )


def _of_a_measurement(sub: argparse.ArgumentParser) -> None:
    _of_a_run(sub)
    _engine(sub)


def _engine(sub: argparse.ArgumentParser) -> None:
    named = f"who computes: {', '.join(engines.ENGINES)}; {engines.DEFAULT} unless stated"
    sub.add_argument("--engine", default=engines.DEFAULT, metavar="NAME", help=named)


def _of_predict(sub: argparse.ArgumentParser) -> None:
    _of_a_measurement(sub)
    sub.add_argument("images", nargs="*", metavar="IMAGE", help="image files or folders")
    sub.add_argument("--top", type=int, default=5, metavar="N", help="classes an image in --json")
    sub.add_argument("--json", action="store_true", help="print JSON")


def _of_bench(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("name", nargs="?", metavar="NAME", help="a variant")
    _of_a_run(sub)
    named = f"any of {', '.join(engines.ENGINES)}; all that are installed unless stated"
    add("--engine", nargs="+", default=[], metavar="ENGINE", help=named)
    # Read by the verb: what is wrong with a number is one line then.
    add("--batch", nargs="+", default=["1", "16"], metavar="N", help="images a call (1 16)")
    add("--threads", metavar="N", help="threads of every engine; as many as torch takes")
    add("--seconds", default="5", metavar="S", help="for each engine, network and batch (5)")
    add("--no-record", action="store_true", help="print only; leave registry and cards alone")


def _of_routing(sub: argparse.ArgumentParser) -> None:
    _of_a_run(sub)
    add = sub.add_argument
    add("--split", choices=("test", "val"), default="test", help="whose images (test)")
    add("--images", action="store_true", help="put small images into the record, whoever's")
    add("--no-record", action="store_true", help="print only; leave registry and cards alone")


def _of_export(sub: argparse.ArgumentParser) -> None:
    _of_a_run(sub)
    add = sub.add_argument
    add("--to", metavar="DIR", help="the folder to write to")
    named = f"any of {', '.join(FORMATS)}; the first unless stated"
    add("--format", nargs="+", choices=FORMATS, default=[], metavar="FORMAT", help=named)
    add("--routing", action="store_true", help="onnx: each block's routing, as a second output")
    add("--push", metavar="REPO", help="upload the hub folder to this Hugging Face repository")


def _of_weights(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("action", choices=("list", "pull"), help="what is there, or fetch a file")
    sub.add_argument("name", nargs="?", help="pull: a variant")
    sub.add_argument("--file", metavar="FILE", help="pull: a copy to take instead of the net's")


def _of_list(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    asked = "what to list: 'top1>78', 'macs<500M', experts=8, dataset:ImageNet, or words"
    add("query", nargs="*", metavar="QUERY", help=asked)
    add("--sort", metavar="FIELD", help="by a figure: params, or --sort=-params from the largest")
    add("--json", action="store_true", help="print JSON")
    sub.epilog = "The page of all models explains queries: docs/models/index.md."


def _of_results(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add(
        "action", choices=("list", "show", "compare", "diff"), help="of which there are, what to do"
    )
    named = "list: a variant; the others: records, by the start of their id, VARIANT/ID or path"
    add("records", nargs="*", metavar="RECORD", help=named)
    add("--all", action="store_true", help="list: not only the newest 1,000")
    add("--json", action="store_true", help="print JSON")


def _of_reproduce(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("id", metavar="RECORD", help="of a fit or a test: the start of its id, VARIANT/ID or path")
    add(
        "--at-commit", action="store_true", help="with the code of the record's commit, not today's"
    )
    add(
        "--record",
        action="store_true",
        help="keep it: as a record, on the card, and its checkpoint",
    )
    add("--ckpt_path", metavar="FILE", help="of a test: where the measured checkpoint is now")


def _of_show(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("name", help="a variant")
    one = sub.add_mutually_exclusive_group()
    one.add_argument("--resolved", action="store_true", help="every setting and where it stands")
    one.add_argument(
        "--augmentations", metavar="IMAGE", help="draw a sheet of what training makes of an image"
    )
    sub.add_argument("--out", metavar="FILE", help="where to write the sheet, a PNG file")


def _of_check(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("paths", nargs="*", metavar="PATH", help="model-index files, or folders of them")
    form = sub.add_mutually_exclusive_group()
    form.add_argument(
        "--format",
        choices=("text", "json", "sarif", "github"),
        default="text",
        help="how to print what is found (text)",
    )
    form.add_argument(
        "--json", dest="format", action="store_const", const="json", help="the same as JSON"
    )
    add("--fix", action="store_true", help="mend what needs no thought, and nothing else")
    add("--facts", action="store_true", help="print every fact of a model, and who says it")
    add("--strict", action="store_true", help="fail on warnings too")
    add("--root", metavar="DIR", help="what imports may not leave: the folder, or the repository")
    add("--outside", action="store_true", help="let imports leave it")


def _of_audit(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    named = "settings, records or checkpoints; settings as flags are looked at too"
    add("files", nargs="+", metavar="FILE", help=named)
    add("--json", action="store_true", help="print JSON")


def _of_verify(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("names", nargs="*", metavar="NAME", help="variants; all unless named")
    sub.add_argument(
        "--explain", metavar="FIGURE", help="search the rule that a figure was counted by: FLOPs"
    )
    sub.add_argument("--json", action="store_true", help="print JSON")


def _of_new(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("name", help="name of the new variant: a-z, 0-9 and _")
    sub.add_argument("--from", dest="base", required=True, metavar="VARIANT", help="its start")


def _of_convert(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("file", metavar="FILE", help="a model-index file or page, a card, or eval results")
    add("--to", required=True, choices=REGISTRIES, help="the format to write")
    add("--out", metavar="PATH", help="the file or folder to write to, instead of printing")
    add("--model", metavar="NAME", help="the one model to convert; whose eval results they are")
    add("--strict", action="store_true", help="write nothing if anything would be left out")


def _of_shards(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("folder", metavar="DIR", help="train, val and test: folders or lists; or shards to --check")
    add("out", nargs="?", metavar="OUT", help="folder for the shards; packing goes on in it")
    length = sub.add_mutually_exclusive_group()
    length.add_argument("--per-shard", type=_count, metavar="N", help="images in a shard")
    length.add_argument(
        "--size", type=_count, default=256, metavar="MB", help="largest shard, in 10^6 bytes (256)"
    )
    add("--split", action="append", choices=("train", "val", "test"), help="only this; repeatable")
    add("--source", choices=("folder", "imagenet"), default="folder", help="what DIR is (folder)")
    add("--check", action="store_true", help="compare the shards in DIR with their manifest")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _of_docs(sub: argparse.ArgumentParser) -> None:
    one = sub.add_mutually_exclusive_group()
    one.add_argument("--check", action="store_true", help="write nothing; fail if one is stale")
    one.add_argument("--build", action="store_true", help="build the site as well")
    add = sub.add_argument
    add("--out", metavar="DIR", help="build: the folder to build it in (site)")
    add("--offline", action="store_true", help="build: pages that open as files, and a zip of them")
    tried = sub.add_mutually_exclusive_group()
    named = "build: the model to try on a page; the newest run of cc_pico_4e unless stated"
    tried.add_argument("--demo", metavar="CKPT", help=named)
    tried.add_argument("--no-demo", action="store_true", help="build: no model to try")


_OPTIONS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "fit": _of_fit,
    "validate": _of_a_measurement,
    "test": _of_a_measurement,
    "predict": _of_predict,
    "bench": _of_bench,
    "routing": _of_routing,
    "export": _of_export,
    "weights": _of_weights,
    "list": _of_list,
    "results": _of_results,
    "reproduce": _of_reproduce,
    "show": _of_show,
    "check": _of_check,
    "audit": _of_audit,
    "verify": _of_verify,
    "new": _of_new,
    "docs": _of_docs,
    "shards": _of_shards,
    "convert": _of_convert,
}


def parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line without its dotted flags, and those with their values.

    The parser does not know them, and would take their values for names of images.
    """
    ordinary: list[str] = []
    dotted: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        name, equals, _ = word.partition("=")
        if not (name.startswith("--") and "." in name):
            ordinary.append(word)
            continue
        dotted.append(word)
        if not equals and queue and not queue[0].startswith("--"):
            dotted.append(queue.pop(0))
    return ordinary, dotted


def flags(verb: str, words: list[str]) -> dict[str, Any]:
    """Settings by dotted name from `--recipe.lr 0.01 --data.root=DIR`; values are YAML.

    Raises:
        UsageError: a word is no such option, or has no value.
        BadFile: a value is not YAML.
    """
    found: dict[str, Any] = {}
    queue = list(words)
    while queue:
        word = queue.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or "." not in name or verb not in TAKE_SETTINGS:
            what = "is not an option" if word.startswith("-") else "is one word too many"
            raise UsageError(f"{verb}: {word!r} {what}{_hint(verb, word)}")
        if not equals:
            if not queue or queue[0].startswith("--"):
                raise UsageError(f"{verb}: --{name} needs a value")
            value = queue.pop(0)
        from effcc.ground import document

        if re.search("[\udc80-\udcff]", value):  # what Python makes of such bytes
            message = (
                "bytes that are no text in this terminal's language; say PYTHONUTF8=1 before the "
                "command, or rename what has this name"
            )
            raise BadFile(Problem(Place(COMMAND_LINE), f"--{name}", message))
        try:
            found[name] = document.parse(value, f"--{name}").data
        except BadFile as error:
            place = Place(COMMAND_LINE)
            problems = (Problem(place, f"--{name}", p.message) for p in error.problems)
            raise BadFile(*problems) from None
    return found


def settings_help() -> str:
    """Every setting and what it means, for the end of `--help`."""
    from effcc.catalog.spec import rule, settings_in_order

    lines = ["settings, each as --section.key VALUE or in a --config file:"]
    lines += [f"  --{name:<28} {rule(name)['description']}" for name in settings_in_order()]
    lines.append(f"  --{'trainer.*':<28} any argument of lightning.Trainer")
    return "\n".join(lines)


def _hint(verb: str, word: str) -> str:
    from effcc.catalog.spec import settings_in_order

    if verb == "list" and not word.startswith("-"):
        return "; write all of a query in one place"
    if verb == "list" and not word.startswith("--"):
        return f"; a query that begins with a minus goes behind --: effcc list -- {quote(word)}"
    name = word.removeprefix("--").partition("=")[0]
    if meant := next((s for s in settings_in_order() if s.endswith(f".{name}")), None):
        return f"; did you mean --{meant}?"
    if not word.startswith("-"):
        return f"; effcc {verb} --help says what goes with it"
    return closest(word, _known(verb)) or f"; effcc {verb} --help lists them"


def _known(verb: str) -> list[str]:
    """The options of a verb, settings included."""
    sub = _Parser(add_help=False)
    _OPTIONS[verb](sub)
    settings = re.findall(r"^  (--\S+)", sub.epilog or "", re.MULTILINE)
    return [*sub._option_string_actions, *settings]
