"""What CI installs is what pyproject.toml asks for, by hash, and nothing else."""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCK = (ROOT / "requirements" / "ci.txt").read_text("utf-8")
ENTRY = re.compile(r"^([a-z][^\\\n]*?) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M)
LOCKED = [(Requirement(line), hashes.count("sha256:")) for line, hashes in ENTRY.findall(LOCK)]
BY_VERSION = [
    Requirement(line)
    for line in (ROOT / "requirements" / "torch.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]
# Of what torch brings with CUDA, nothing is locked; see CONTRIBUTING.
CUDA = ("nvidia-", "cuda-")


def environment(python):
    return {
        "python_version": python,
        "python_full_version": f"{python}.5",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


def applies(requirement, python, extra=""):
    marker = requirement.marker
    return marker is None or marker.evaluate(environment(python) | {"extra": extra})


def locked(python):
    """Version of each package on a Python, torch included."""
    found = {}
    for requirement in [*(one for one, _ in LOCKED), *BY_VERSION]:
        if applies(requirement, python):
            (pinned,) = requirement.specifier
            assert pinned.operator == "==", requirement
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} twice on {python}"
            found[name] = pinned.version
    return found


def asked(extra=None):
    """Requirements of the project and of an extra, with those that it takes from others."""
    for line in EXTRAS[extra] if extra else PROJECT["dependencies"]:
        requirement = Requirement(line)
        if requirement.name == PROJECT["name"]:
            for other in requirement.extras:
                yield from asked(other)
        else:
            yield requirement


def supported():
    line = re.compile(r"Programming Language :: Python :: (3\.[0-9]+)")
    return [found[1] for each in PROJECT["classifiers"] if (found := line.fullmatch(each))]


@pytest.mark.parametrize("python", supported())
def test_the_lock_has_all_that_is_asked_for_in_a_version_that_fits(python):
    have = locked(python)
    wanted = [*asked(), *asked("test")]
    assert len(wanted) > 30
    for requirement in wanted:
        if applies(requirement, python):
            version = have.get(canonicalize_name(requirement.name))
            assert version, f"{requirement.name} is in no lock: run .ci/lock"
            assert requirement.specifier.contains(version), f"{requirement}: {version} is locked"


def test_the_lock_has_what_those_ask_for_in_turn():
    """By what the packages here say of themselves, where the locked version is the one here."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    have = locked(python)
    read = 0
    for package, version in have.items():
        try:
            if metadata.version(package) != version:
                continue
        except metadata.PackageNotFoundError:
            continue
        read += 1
        for requirement in map(Requirement, metadata.requires(package) or ()):
            name = canonicalize_name(requirement.name)
            if applies(requirement, python) and not name.startswith(CUDA):
                assert name in have, f"{package} asks for {requirement}"
                assert requirement.specifier.contains(have[name]), f"{package}: {requirement}"
    assert read or not os.environ.get("CI")


def test_every_line_of_the_lock_is_a_package_with_hashes_and_no_place():
    left = ENTRY.sub("", LOCK)
    assert [line for line in left.splitlines() if not re.match(r"\s*#", line)] == []
    assert "://" not in LOCK
    assert not re.search(r"--(?!hash=)", LOCK)
    assert not re.search(r"(^|\s)/", LOCK)
    names = [requirement.name for requirement, _ in LOCKED]
    assert names == sorted(names)
    assert not [name for name in names if name.startswith(CUDA) or name == "torch"]
    assert [one.name for one in BY_VERSION] == ["torch"]


def wheel(folder, name, *requires, version="1.0", said="x = 1"):
    """A package of one module, as small as can be."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    head += "".join(f"Requires-Dist: {each}\n" for each in requires)
    inner = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"{name}.py", said)
        made.writestr(
            f"{inner}/METADATA", head + "".join(f"Requires-Dist: {r}\n" for r in requires)
        )
        made.writestr(
            f"{inner}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        made.writestr(f"{inner}/RECORD", "")
    return path


@pytest.fixture
def shop(tmp_path):
    """A folder to fetch from instead of an index, and a project whose lock names one package."""
    for name in (".ci", "requirements", "offered"):
        (tmp_path / name).mkdir()
    (tmp_path / ".ci" / "fetch").write_bytes((ROOT / ".ci" / "fetch").read_bytes())
    (tmp_path / "requirements" / "torch.txt").write_text("torch==1.0\n")
    right = wheel(tmp_path / "offered", "locked")
    hashed = hashlib.sha256(right.read_bytes()).hexdigest()
    lock = f"# a lock\nlocked==1.0 \\\n    --hash=sha256:{hashed}\n    # via effcc\n"
    (tmp_path / "requirements" / "ci.txt").write_text(lock)
    wheel(tmp_path / "offered", "locked", version="2.0")
    wheel(tmp_path / "offered", "torch", "locked", "nvidia_thing")
    wheel(tmp_path / "offered", "nvidia_thing")
    return tmp_path


def fetch(shop):
    """(exit code, what was said, files that came)."""
    bin_folder = os.path.dirname(sys.executable)
    environment = os.environ | {
        "PATH": os.pathsep.join((bin_folder, os.environ["PATH"])),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(shop / "offered"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    done = subprocess.run(
        ["bash", shop / ".ci" / "fetch", shop / "got"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return (
        done.returncode,
        done.stdout + done.stderr,
        {path.name for path in (shop / "got").glob("*.whl")},
    )


def test_what_is_fetched_is_what_was_locked_and_torch_with_what_it_brings(shop):
    code, said, files = fetch(shop)
    assert code == 0, said
    ours = {f"{name}-1.0-py3-none-any.whl" for name in ("locked", "torch", "nvidia_thing")}
    assert files == ours
    assert "1 files as locked" in said
    assert "torch-1.0" in said.partition("by version only:")[2]


def test_a_file_that_was_changed_is_refused(shop):
    wheel(shop / "offered", "locked", said="x = 'not what was locked'")
    code, said, files = fetch(shop)
    assert code != 0
    assert "DO NOT MATCH THE HASHES" in said
    assert files == set()


def test_a_package_that_no_lock_knows_is_refused(shop):
    wheel(shop / "offered", "torch", "locked", "stowaway")
    wheel(shop / "offered", "stowaway")
    code, said, _ = fetch(shop)
    assert code == 1
    assert "stowaway-1.0-py3-none-any.whl\nthese are in no lock" in said
