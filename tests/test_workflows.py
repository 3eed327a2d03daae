"""The workflows do what .ci/run does, on the Pythons that pyproject.toml names."""

import os
import re
import subprocess
import tomllib

import pytest
import yaml
from conftest import ROOT
from test_lock import supported

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RUN = (ROOT / ".ci" / "run").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


def workflow(path):
    return yaml.load(path.read_text("utf-8"), yaml.BaseLoader)  # which leaves `on` a word


def jobs(path):
    return workflow(path)["jobs"].items()


def steps(path, key):
    return [step[key] for _, job in jobs(path) for step in job["steps"] if key in step]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_may_only_read_and_comes_to_an_end(path):
    text = workflow(path)
    assert set(text) == {"name", "on", "permissions", "concurrency", "jobs"}
    assert text["permissions"] == {"contents": "read"}
    assert text["concurrency"]
    for name, job in jobs(path):
        assert 0 < int(job["timeout-minutes"]) <= 60, name
        assert "permissions" not in job
    assert not re.search(r"secrets\.|pull_request_target", path.read_text("utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_action_is_one_commit(path):
    """A tag can be moved to other code."""
    assert steps(path, "uses")
    for used in steps(path, "uses"):
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", used), used


def test_what_a_job_runs_is_a_step_of_ours():
    """A line of .ci/run, a command of the README, or a script beside the first."""
    known = {line.strip() for line in f"{RUN}\n{README}".splitlines()}
    known |= {command.removesuffix(" && pytest") for command in known}
    for path in FILES:
        for command in steps(path, "run"):
            script = re.fullmatch(r'(\.ci/[a-z]+)(?: "\$RUNNER_TEMP/wheels"| --must)?', command)
            assert command in known or script, command
            if script:
                assert os.access(ROOT / script[1], os.X_OK), command


def test_every_check_of_the_long_run_has_its_job():
    (path,) = (path for path in FILES if path.name == "ci.yml")
    parts = RUN.partition("step 'lint and types'")[2].partition("if [")[0]
    checks = [line for line in parts.splitlines() if line and not line.startswith("step ")]
    assert len(checks) == 6
    assert set(checks) | {"pytest"} <= set(steps(path, "run"))
    assert RUN.rstrip().endswith("pytest")


def test_the_workflows_test_every_python_that_we_name():
    (path,) = (path for path in FILES if path.name == "ci.yml")
    tested = dict(jobs(path))["test"]["strategy"]["matrix"]["python"]
    assert tested == supported()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == f">={tested[0]}"


@pytest.mark.parametrize("name", ["run", "fetch", "lock", "audit"])
def test_a_script_is_one_that_bash_reads(name):
    done = subprocess.run(
        ["bash", "-n", ROOT / ".ci" / name], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
