"""The comparison of ways to read images still runs, and its ways that should agree do."""

import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.slow
def test_the_comparison_runs_and_writes_its_tables(tmp_path):
    words = ["--images", "40", "--rounds", "2", "--steps", "1", "--out", str(tmp_path / "out.txt")]
    script = ROOT / "benchmarks" / "data_pipeline.py"
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "out.txt").read_text("utf-8")
    assert written == done.stdout
    for row in ("effcc, simplejpeg and torch", "effcc, Pillow", "Pillow by hand", "simplejpeg"):
        assert f"\n{row}" in written
