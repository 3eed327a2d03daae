"""The process that reads the inputs: those of a target's seeds and corpus, then an engine's own.

What it has seen stands in a file that the process which started it reads, also if this one dies.
"""

import argparse
import contextlib
import hashlib
import importlib.util
import json
import mmap
import os
import struct
import sys
import time
import traceback
from pathlib import Path

from fuzz.guard import Guard, Violation

from effcc.ground.errors import BadFile, UserError

MAX_INPUT = 2**20  # bytes
_HEAD = struct.Struct("<?QddQ")  # running, inputs, slowest, most bytes, length of the input
_TRIES = 300  # runs that make a finding smaller
_SECONDS = 10.0


class Seen:
    """A file with the figures of a run and the input that is being read, for whoever watches."""

    def __init__(self, path, *, new=False):
        if new:
            path.write_bytes(bytes(_HEAD.size + MAX_INPUT))
        with path.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        self.inputs, self.slowest, self.most = 0, 0.0, 0.0

    def begin(self, data):
        self.inputs += 1
        end = _HEAD.size + len(data)
        self.map[_HEAD.size : end] = data
        _HEAD.pack_into(self.map, 0, True, self.inputs, self.slowest, self.most, len(data))

    def end(self, seconds, most):
        self.slowest, self.most = max(self.slowest, seconds), max(self.most, most)
        _HEAD.pack_into(self.map, 0, False, self.inputs, self.slowest, self.most, 0)

    def read(self):
        """(whether one is being read, how many were, seconds, bytes, the input)."""
        *figures, length = _HEAD.unpack_from(self.map)
        return *figures, bytes(self.map[_HEAD.size : _HEAD.size + length])


class Runner:
    """A target, its guard and its findings: one a place in the code, each as small as can be."""

    def __init__(self, target, scratch, seen):
        self.target, self.seen = target, seen
        self.folder = scratch / "files"
        self.findings = scratch / "findings"
        self.found = set()
        if prepare := getattr(target, "prepare", None):
            prepare(self.folder)
        os.chdir(self.folder)
        for data in target.seeds():  # what any input may import is imported
            with contextlib.suppress(Exception):  # said when it is read again
                target.run(data, self.folder)
        reads, lazy = getattr(target, "READS", ()), getattr(target, "LAZY", ())
        self.guard = Guard(self.folder, reads, lazy)

    def __call__(self, data):
        """Read one input; what is wrong is kept, and the engine goes on."""
        if len(data) > MAX_INPUT:
            return
        self.seen.begin(data)
        wrong = self.wrong(data)
        self.seen.end(self.guard.seconds, self.guard.grown)
        if wrong and wrong[0] not in self.found:
            self.found.add(wrong[0])
            self.keep(self.smaller(data, wrong[0]), *wrong)

    def wrong(self, data):
        """None, or what is wrong: a line that tells it from other findings, and the trace."""
        try:
            with self.guard.watching():
                try:
                    self.target.run(data, self.folder)
                except UserError as error:
                    told(error)
        except (Exception, Violation) as error:
            frames = traceback.extract_tb(error.__traceback__)
            own = [frame for frame in frames if "/effcc/" in frame.filename] or frames
            at = f"{Path(own[-1].filename).name}:{own[-1].lineno}"
            # What takes long is stopped anywhere.
            name = str(error) if isinstance(error, Violation) else f"{type(error).__name__} {at}"
            return name.splitlines()[0][:200], traceback.format_exc()
        return None

    def smaller(self, data, name):
        """An input with parts of another cut out that fails alike."""
        until, tries, size = time.monotonic() + _SECONDS, 0, len(data) // 2
        while size:
            at = 0
            while at < len(data):
                cut = data[:at] + data[at + size :]
                tries += 1
                if tries > _TRIES or time.monotonic() > until:
                    return data
                self.seen.begin(cut)
                wrong = self.wrong(cut)
                self.seen.end(0, 0)
                if wrong and wrong[0] == name:
                    data = cut
                else:
                    at += size
            size //= 2
        return data

    def keep(self, data, name, trace):
        keep(self.findings, data, name, trace)


def keep(folder, data, name, trace):
    """Write a finding: the input, and beside it what it did."""
    folder.mkdir(exist_ok=True)
    digest = hashlib.sha256(data).hexdigest()[:16]
    (folder / f"{digest}.json").write_text(json.dumps({"name": name, "trace": trace}))
    (folder / digest).write_bytes(data)


def told(error):
    """Hold an error against what a person can use: words, each problem on one line."""
    lines = [str(p) for p in error.problems] if isinstance(error, BadFile) else [str(error)]
    assert lines, "an error without a word"
    for line in lines:
        line.encode()  # a lone surrogate cannot be printed
        assert line.strip(), "an error without a word"
        assert line.isprintable() or not isinstance(error, BadFile), f"not one line: {line!r}"


def hypothesis(runner, arguments):
    """Structured inputs, the same for the same seed."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    until = time.monotonic() + arguments.seconds

    class Enough(BaseException):
        pass

    @seed(arguments.seed)
    @settings(
        max_examples=arguments.runs,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(runner.target.shapes())
    def examples(data):
        if time.monotonic() > until:
            raise Enough
        runner(data)

    with contextlib.suppress(Enough):
        examples()


def atheris(runner, arguments):
    """Inputs that reach new code of effcc; does not return."""
    import atheris

    words = [f"-runs={arguments.runs}", f"-seed={arguments.seed}", "-rss_limit_mb=0"]
    words += [f"-max_total_time={arguments.seconds:.0f}", "-len_control=20"]
    words += [f"-max_len={getattr(runner.target, 'LONGEST', 4096)}", "-print_final_stats=1"]
    if tokens := getattr(runner.target, "TOKENS", ()):
        quoted = ("".join(f"\\x{byte:02x}" for byte in token) for token in tokens)
        book = arguments.scratch / "tokens"
        book.write_text("".join(f'"{token}"\n' for token in quoted))
        words.append(f"-dict={book}")
    grown, begun = arguments.grown or arguments.scratch / "grown", arguments.scratch / "begun"
    for folder in (grown, begun):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(inputs(runner.target, arguments.corpus)):
        (begun / str(number)).write_bytes(data)
    atheris.Setup([sys.argv[0], *words, str(grown), str(begun)], runner, internal_libfuzzer=True)
    atheris.Fuzz()


def inputs(target, corpus):
    """Every seed, and every input that ever failed."""
    kept = sorted(corpus.iterdir()) if corpus.is_dir() else []
    return [*target.seeds(), *(path.read_bytes() for path in kept)]


def load(path):
    """The module of a target."""
    spec = importlib.util.spec_from_file_location(f"target_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("target", type=Path)
    parser.add_argument("engine", choices=("replay", "hypothesis", "atheris"))
    for name in ("--corpus", "--scratch", "--grown"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seconds", type=float)
    arguments = parser.parse_args()
    instrumented = contextlib.nullcontext()
    if arguments.engine == "atheris":
        from atheris import instrument_imports

        for name in [name for name in sys.modules if name.partition(".")[0] == "effcc"]:
            if name not in ("effcc", "effcc.ground", "effcc.ground.errors"):
                del sys.modules[name]
        instrumented = instrument_imports(include=["effcc"])
    with instrumented:
        target = load(arguments.target)
        seen = Seen(arguments.scratch / "seen")
        (arguments.scratch / "files").mkdir()
        runner = Runner(target, arguments.scratch, seen)
    if arguments.engine == "atheris":
        atheris(runner, arguments)
    for data in inputs(target, arguments.corpus):
        runner(data)
    if arguments.engine == "hypothesis":
        hypothesis(runner, arguments)


if __name__ == "__main__":
    main()
