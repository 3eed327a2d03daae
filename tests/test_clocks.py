"""A clock that goes back, jumps ahead, or is another country's: names stay in order and in UTC.

The clock is moved for real, for one process: a library before the C library's answers in its place.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from conftest import ROOT
from records import record

from effcc.catalog import ids, results
from effcc.report import cards

PICO = "cc_pico_4e"
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long ahead(void) { /* seconds, in a file that may change at any moment */
  long seconds = 0;
  FILE *file = fopen(getenv("AHEAD"), "r");
  if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
  return seconds;
}
int clock_gettime(clockid_t clock, struct timespec *at) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real(clock, at);
  if (!failed && clock == CLOCK_REALTIME) at->tv_sec += ahead();
  return failed;
}
int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  int failed = clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
  return failed;
}
time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
"""
needs_compiler = pytest.mark.skipif(
    not (sys.platform == "linux" and shutil.which("cc")),
    reason="the clock of a process is moved by a library in C, as Linux loads them",
)


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clock")
    (folder / "clock.c").write_text(SHIM)
    words = ["cc", "-shared", "-fPIC", "-o", folder / "clock.so", folder / "clock.c", "-ldl"]
    subprocess.run(words, check=True, timeout=60)
    return folder / "clock.so"


def moved(shim, project, code):
    """What code prints as JSON in a process whose clock it may move, by `ahead(seconds)`."""
    head = "import json, os, pathlib\n"
    head += "def ahead(seconds): pathlib.Path(os.environ['AHEAD']).write_text(f'{seconds:d}')\n"
    done = subprocess.run(
        [sys.executable, "-c", head + code],
        env=os.environ
        | {"LD_PRELOAD": str(shim), "AHEAD": str(project.root / "ahead"), "OMP_NUM_THREADS": "1"}
        | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        cwd=project.root,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


NAMES = """
from datetime import UTC, datetime
from effcc.catalog import ids
from effcc.ground import home
found, at = [], home.find()
for seconds in (0, -3600, 0, 1, -86400 * 365, 7200, 0, 0):
    ahead(seconds)
    name = ids.fresh("cc_pico_4e", "fit-digits-0", at)
    (at.runs / "cc_pico_4e" / name).mkdir(parents=True)
    found.append((name, f"{datetime.now(UTC):%Y}"))
print(json.dumps(found))
"""


@needs_compiler
def test_names_never_go_back_whatever_the_clock_does(project, shim):
    found = moved(shim, project, NAMES)
    names = [name for name, _ in found]
    assert names == sorted(set(names))
    assert len(names) == 8
    years = [int(year) for _, year in found]
    assert years[4] < years[0]  # the clock was moved indeed
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-fit-digits-0", name) for name in names)


FITS = """
import warnings
from effcc import cli
from effcc.train.module import CondConvModule
words = ["fit", "--config", "registry/cc_pico_4e.yaml", "--network.depth", "0.3",
         "--network.head", "64", "--data.batch_size", "8", "--recipe.warmup_epochs", "0",
         "--recipe.epochs", "1", "--trainer.limit_train_batches", "3", "--trainer.accelerator",
         "cpu", "--trainer.limit_val_batches", "1", "--trainer.limit_test_batches", "1"]
original = CondConvModule.training_step

def step(self, batch, number):
    if number == 1:
        ahead(-7200)  # within the first run, and earlier than it began
    return original(self, batch, number)

CondConvModule.training_step = step
codes = [cli.main(words)]
codes.append(cli.main([*words, "--seed", "1"]))
ahead(-86400)
codes.append(cli.main(["test", "--config", "registry/cc_pico_4e.yaml", "--ckpt_path", "last",
                       "--trainer.limit_test_batches", "1", "--trainer.accelerator", "cpu",
                       "--network.depth", "0.3", "--network.head", "64"]))
print(json.dumps(codes))
"""


@pytest.mark.slow
@needs_compiler
def test_when_the_clock_goes_back_the_last_run_is_the_newest_and_none_took_less_than_no_time(
    project, shim
):
    assert moved(shim, project, FITS) == [0, 0, 0]
    first, second, measured = results.load(project, PICO)
    assert [first.seed, second.seed] == [0, 1]
    assert measured.checkpoint == second.checkpoint
    assert min(made.seconds for made in (first, second, measured)) > 0
    ended = re.sub(r"[-:]", "", first.date)
    assert ended < first.id[:16]  # by the clock that was moved within it
    assert cards.stale(project) == []


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Asia/Kathmandu", "America/St_Johns"])
def test_names_are_in_utc_and_pages_the_same_in_every_zone(project, zone, monkeypatch):
    results.save(record(project), project)
    cards.write(project)
    monkeypatch.setenv("TZ", zone)
    try:
        time.tzset()
        assert time.timezone % 3600 or abs(time.timezone) > 12 * 3600
        begun = datetime.now(UTC)
        made = ids.fresh("cc_b0_4e", "fit-digits-0", project)[:16]
        assert f"{begun:%Y%m%dT%H%M%SZ}" <= made <= f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        assert cards.stale(project) == []
    finally:
        monkeypatch.undo()
        time.tzset()


@needs_compiler
def test_the_hour_that_comes_twice_is_two_hours_of_names(project, shim):
    # In Berlin, clocks go from 03:00 to 02:00 on the last Sunday of October.
    code = """
import time
from effcc.catalog import ids
from effcc.ground import home
os.environ["TZ"] = "Europe/Berlin"; time.tzset()
found = []
for minutes in (-30, 30):
    ahead(0)
    ahead(round(1792890020 + 60 * minutes - time.time()))  # 2026-10-25T01:00:20Z
    found.append((time.strftime("%H:%M"), ids.fresh("cc_b0_4e", "fit-digits-0", home.find())[:13]))
print(json.dumps(found))
"""
    found = moved(shim, project, code)
    assert found == [["02:30", "20261025T0030"], ["02:30", "20261025T0130"]]
