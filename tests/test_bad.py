"""Every file in `bad/` begins with all that is wrong with it: line, column, problem, code."""

import re
import shutil
from pathlib import Path

import pytest

from effcc.catalog import registry
from effcc.claims import modelindex
from effcc.ground.document import BadFile

FILES = sorted((Path(__file__).parent / "bad").iterdir())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_bad_file_is_refused_with_every_problem_and_its_place(file, project):
    """A problem is written as `effcc check` prints it, without the name of the file."""
    lines = file.read_text("utf-8").splitlines()
    head = [re.fullmatch(r"(?:#|<!--) expect: (.+?)(?: -->)?", line) for line in lines]
    expected = [match[1] for match in head if match]
    with pytest.raises(BadFile) as caught:
        load(file, project)
    found = [printed(problem) for problem in caught.value.problems]
    assert found == [line.replace("ROOT", str(project.root)) for line in expected]


def printed(problem):
    line = str(problem).removeprefix(problem.place.file).lstrip(": ")
    return f"{line} [{problem.code}]" if problem.code else line


def load(file, project):
    if file.name.startswith("index-"):
        copied = shutil.copy(file, project.model_index / f"bad{file.suffix}")
        found = modelindex.check([Path(copied)], project.root)
        raise BadFile(*found.problems)
    return registry.load_file(Path(shutil.copy(file, project.registry / "bad.yaml")), project)
