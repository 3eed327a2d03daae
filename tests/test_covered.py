"""The table of what tests reach counts rightly, and a floor that falls short fails."""

import json
import subprocess
import sys

from conftest import ROOT


def covered(tmp_path, **floors):
    """(exit code, table, complaints) for floors, each with its branches and those reached."""
    files = {}
    for floor, (branches, reached) in floors.items():
        for number, (b, r) in enumerate([(branches, reached), (0, 0)]):
            files[f"effcc/{floor}/file{number}.py"] = {
                "summary": {
                    "num_statements": 10,
                    "covered_lines": 9,
                    "num_branches": b,
                    "covered_branches": r,
                    "percent_covered": 12.5,
                }
            }
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"files": files}))
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "covered.py", report],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


ENOUGH = {"catalog": (10, 9), "nn": (1000, 900), "report": (0, 0)}


def test_ninety_percent_of_the_branches_is_enough(tmp_path):
    code, table, complaints = covered(tmp_path, **ENOUGH, train=(10, 1))
    assert (code, complaints) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines()}
    assert rows["nn"] == ["20", "90.0", "1,000", "90.0", "90"]
    assert rows["train"] == ["20", "90.0", "10", "10.0"]


def test_one_branch_less_is_not(tmp_path):
    code, _, complaints = covered(tmp_path, **ENOUGH | {"nn": (1000, 899)})
    assert (code, complaints) == (1, "nn: 89.9 % of its branches are reached; 90 % should be\n")


def test_a_floor_that_was_not_measured_is_missed(tmp_path):
    code, _, complaints = covered(tmp_path, nn=(1, 1), catalog=(1, 1))
    assert (code, complaints) == (1, "report: nothing of it was measured\n")
