"""Runs a target in a process of its own, and keeps every input that did what none may do.

    python tests/fuzz/harness.py TARGET --runs 1000 --seed 1 --seconds 60

A target is a file in `targets/`:

    seeds() -> list[bytes]        real inputs, which also import whatever any input may import
    run(data, folder)             feeds one input to what a person would call, and may write below
                                  `folder`; it returns on a right answer, raises a UserError on bad
                                  input, and asserts what can be said of the answer; nothing may
                                  depend on the inputs before
    shapes() -> SearchStrategy    hypothesis: bytes that are nearly right
    prepare(folder)               optional: writes what all inputs need, once
    TOKENS, LONGEST               optional: words for atheris to put in, and bytes of an input
    READS, LAZY                   optional: other folders to be read, modules to be imported late

An input fails by any other exception, by 2 s of work or 500 MB of memory, by a file outside of its
folder, a connection, a process, or code that runs: see `guard`.
"""

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
PATHS = [str(HERE.parent), str(HERE.parents[1])]  # of the tests, and of effcc as it is here
if __name__ == "__main__":
    sys.path[:1] = PATHS

from fuzz import engines

ENGINES = ("hypothesis", "atheris")
# An input that a process has been reading for as long is one that nothing in it can stop.
WAITED = 10.0  # seconds
# A thread more costs no more than what it holds.
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(PATHS),
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "HYPOTHESIS_STORAGE_DIRECTORY": str(HERE.parents[1] / ".hypothesis"),  # seconds to make
}


class Outcome(NamedTuple):
    """What a run has seen, and the inputs that failed with what they did."""

    inputs: int
    found: dict[Path, str]
    seconds: float  # the slowest input took
    megabytes: float  # beyond the process's own, at most
    trace: str

    def line(self, name, engine):
        """The figures of a run."""
        return (
            f"{name} ({engine}): {self.inputs} inputs, {len(self.found)} found, "
            f"slowest {self.seconds:.2f} s, most {self.megabytes:.0f} MB"
        )


def targets():
    """The files of all targets, by name."""
    return {path.stem: path for path in sorted((HERE / "targets").glob("*.py"))}


def without_atheris():
    """Why atheris does not run here, or nothing."""
    if importlib.util.find_spec("atheris") is None:
        version = ".".join(map(str, sys.version_info[:2]))
        return f"no atheris for Python {version} on {sys.platform}; hypothesis runs all the same"
    return ""


def run(target, engine, corpus, *, runs=1000, seed=1, seconds=60.0, grown=None):
    """Feed a target; what fails is written to `corpus`.

    Raises:
        RuntimeError: the process ended before or between inputs.
    """
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        seen = engines.Seen(scratch / "seen", new=True)
        words = [sys.executable, "-m", "fuzz.engines", target, engine]
        words += ["--corpus", corpus, "--scratch", scratch, "--runs", runs, "--seed", seed]
        words += ["--seconds", seconds, *(["--grown", grown] if grown else [])]
        with (scratch / "said").open("w+") as said:
            child = subprocess.Popen(
                [str(word) for word in words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=scratch,
                start_new_session=True,
                env=os.environ | ENVIRONMENT,
            )
            stuck = _watched(child, seen, seconds + 120)
            said.seek(max(0, said.tell() - 4000))
            tail = said.read()[-4000:]
        running, count, slowest, most, data = seen.read()
        if running:
            name = "never ends" if stuck else f"ends the process: {_ended(child.returncode)}"
            engines.keep(scratch / "findings", data, name, tail)
        elif child.returncode or stuck:
            raise RuntimeError(f"{target} ended outside of any input: {child.returncode}\n{tail}")
        found = _collected(scratch / "findings", corpus)
        traces = "\n".join(trace for _, trace in found.values())
        names = {path: name for path, (name, _) in found.items()}
        return Outcome(count, names, slowest, most / 1e6, traces)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _watched(child, seen, seconds):
    """Wait for a process; True if it had to be ended because one input took too long."""
    until, last, since = time.monotonic() + seconds, None, time.monotonic()
    while True:
        try:
            child.wait(0.05)
            return False
        except subprocess.TimeoutExpired:
            running, count, *_ = seen.read()
            now = time.monotonic()
            if not running or count != last:
                last, since = count, now
            if now - since > WAITED or now > until:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                return True


def _ended(code):
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _collected(findings, corpus):
    """Findings moved to the corpus: by path, what each did."""
    found = {}
    for path in sorted(findings.glob("*.json")) if findings.is_dir() else ():
        corpus.mkdir(parents=True, exist_ok=True)
        kept = Path(shutil.copyfile(path.with_suffix(""), corpus / path.stem))
        found[kept] = tuple(json.loads(path.read_text()).values())
    return found


def main(words=None):
    """The command: 0, or 1 if something was found."""
    parser = argparse.ArgumentParser(description="Feed a reader of effcc what it never expected.")
    parser.add_argument("target", help=f"all, or one of: {', '.join(targets())}")
    parser.add_argument("--engine", choices=("replay", *ENGINES), help="default: both")
    parser.add_argument("--runs", type=int, default=10**9, help="inputs, at most")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each engine")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--grown", type=Path, help="keep what reaches new code in this folder")
    of = parser.parse_args(words)
    every = targets() if of.target == "all" else {of.target: targets()[of.target]}
    failed = False
    for name, path in every.items():
        for engine in (of.engine,) if of.engine else ENGINES:
            if engine == "atheris" and (why := without_atheris()):
                print(f"{name} ({engine}): {why}")
                continue
            how = {"runs": of.runs, "seed": of.seed, "seconds": of.seconds}
            grown = of.grown.resolve() / name if of.grown else None
            outcome = run(path, engine, HERE / "corpus" / name, grown=grown, **how)
            for kept, did in outcome.found.items():
                print(f"{kept}: {did}")
            print(outcome.trace, end="")
            print(outcome.line(name, engine), flush=True)
            failed |= bool(outcome.found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
