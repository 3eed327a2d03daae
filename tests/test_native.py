"""Compiling: once, for this processor, and never in the way."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from effcc.nn import native

SAY = "from effcc.nn import native; print(native.library() is None, native.missing())"


def say(**environment):
    """What a new process finds."""
    done = subprocess.run(
        [sys.executable, "-c", SAY],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_it_can_be_turned_off():
    assert say(EFFCC_NATIVE="off") == "True turned off by EFFCC_NATIVE=off"


def test_without_a_compiler_it_says_so(tmp_path):
    assert say(CC="no-such-cc") == "True there is no C compiler (no-such-cc)"


def test_a_compiler_that_fails_is_quoted(tmp_path):
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho cannot do this >&2\nexit 1\n")
    broken.chmod(0o755)
    assert say(CC=str(broken), EFFCC_CACHE=str(tmp_path)) == f"True {broken}: cannot do this"
    assert list(tmp_path.glob("native/*")) == []


@pytest.mark.skipif(native.library() is None, reason=native.missing() or "compiled")
def test_it_is_compiled_once_and_kept(tmp_path):
    assert say(EFFCC_CACHE=str(tmp_path)) == "False"
    (kept,) = tmp_path.glob("native/*.so")
    written = kept.stat().st_mtime_ns
    assert say(EFFCC_CACHE=str(tmp_path)) == "False"
    assert [path.stat().st_mtime_ns for path in tmp_path.glob("native/*")] == [written]


@pytest.mark.skipif(native.library() is None, reason=native.missing() or "compiled")
def test_it_runs_on_the_threads_of_torch():
    """Two libraries of threads in one process would wait on each other's processors."""
    ours = subprocess.run(
        [
            sys.executable,
            "-c",
            "from effcc.nn import native; native.library();"
            "print(*{line.split()[-1] for line in open('/proc/self/maps') if 'gomp' in line})",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(ours.stdout.split()) == 1
    assert Path(ours.stdout.strip()).parent.name == "lib"


@pytest.mark.parametrize(
    ("struct", "source"), [(native.Depthwise, "train.c"), (native.Block, "predict.c")]
)
def test_the_structs_are_those_of_the_sources(struct, source):
    text = (native.SOURCES / source).read_text()
    declared = re.search(rf"typedef struct {{([^}}]*)}} {struct.__name__};", text)[1]
    declared = re.sub(r"/\*.*?\*/", "", declared, flags=re.DOTALL)
    names = re.findall(r"\b(\w+)(?=[,;])", declared)
    assert names == [name.removesuffix("_channels") for name, _ in struct._fields_]
