"""Readers are fed what they never expected: short runs here, long ones by `make fuzz`."""

import functools
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from fuzz import harness

TARGETS = harness.targets()
RUNS, SECONDS = 60, 2.0  # of each engine for each target; all of them take less than a minute
# What a reader must not do, each done by a target of its own.
BAD = {
    "crash": ("{}[data]", "KeyError"),
    "hang": ("while True: pass", "takes more than 2 s"),
    "swallowed": (
        "\n        try: open('/etc/passwd')\n        except BaseException: pass",
        "open /etc/passwd",
    ),
    "memory": ("b'x' * (600 * 10**6)", "takes more than 500 MB"),
    "space": ("bytearray(8 * 10**9)", "MemoryError"),
    "file read": ("open('/etc/hostname')", "open /etc/hostname"),
    "file beside": ("open(folder.parent / 'x', 'w')", "open "),
    "link": ("(folder / 'l').symlink_to('/etc/hosts'); open(folder / 'l')", "open /etc/hosts"),
    "folder": ("os.listdir('/')", "os.listdir /"),
    "file removed": ("os.remove('/nowhere')", "os.remove /nowhere"),
    "network": ("socket.getaddrinfo(b'example.org', 443)", "socket.getaddrinfo"),
    "connection": ("socket.socket()", "socket.__new__"),
    "process": ("os.system('true')", "os.system"),
    "program": ("subprocess.run(['true'])", "subprocess.Popen"),
    "library": ("ctypes.CDLL('libm.so.6')", "ctypes.dlopen"),
    "code": ("eval('1')", "compile"),
    "code kept": ("exec(CODE)", "exec"),
    "import": ("import antigravity", "imports antigravity"),
    "pickle": ("pickle.loads(b'cos\\nsystem\\n.')", "pickle.find_class"),
    "two lines": ("raise UserError('')", "AssertionError"),
}
# What leaves no process to go on with.
ENDS = {"exit": ("os._exit(0)", "exit code 0"), "segfault": ("os.abort()", "SIGABRT")}
TARGET = """
import ctypes, os, pickle, socket, subprocess, time
from effcc.ground.errors import UserError
CODE = compile("1", "x", "eval")
def seeds():
    return [b"fine"]
def run(data, folder):
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What came of a target, by engine; they are processes of their own and run side by side."""

    def run(name, engine, corpus):
        if (kept := harness.HERE / "corpus" / name).is_dir():  # else nothing of it ever failed
            shutil.copytree(kept, corpus)
        failed = len(list(corpus.glob("*")))
        bounds = {"runs": RUNS, "seed": 1, "seconds": SECONDS}
        return failed, harness.run(TARGETS[name], engine, corpus, **bounds)

    @functools.cache
    def of(name):
        folder = tmp_path_factory.mktemp(name)
        engines = [e for e in harness.ENGINES if e != "atheris" or not harness.without_atheris()]
        with ThreadPoolExecutor() as pool:
            return {e: pool.submit(run, name, e, folder / e) for e in engines}

    return of


@pytest.mark.parametrize("engine", harness.ENGINES)
@pytest.mark.parametrize("name", TARGETS)
def test_what_ever_failed_and_what_nobody_meant_is_answered(name, engine, outcomes):
    """Every engine begins with the seeds and the corpus."""
    if engine == "atheris" and (why := harness.without_atheris()):
        pytest.skip(why)
    failed, outcome = outcomes(name)[engine].result()
    assert not outcome.found, outcome.trace
    assert outcome.inputs > failed
    assert outcome.answered


def fed(folder, kinds):
    """What is found with a target that does for each kind of input what that says."""
    target, corpus = folder / "bad.py", folder / "corpus"
    blocks = (
        f"    if data == {kind.encode()!r}:\n        {does}\n" for kind, does in kinds.items()
    )
    target.write_text(TARGET + "".join(blocks))
    corpus.mkdir()
    for kind in kinds:
        (corpus / kind).write_bytes(kind.encode())
    return harness.run(target, "replay", corpus, seconds=60)


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """All that a process outlives, found in one."""
    return fed(tmp_path_factory.mktemp("bad"), {kind: does for kind, (does, _) in BAD.items()})


@pytest.mark.parametrize("kind", BAD)
def test_what_no_reader_may_do_is_found(kind, bad):
    found = [did for path, did in bad.found.items() if path.read_bytes() == kind.encode()]
    assert [did.startswith(BAD[kind][1]) for did in found] == [True], found


def test_each_thing_that_is_done_is_found_once(bad):
    assert len(bad.found) == len(BAD)
    assert bad.inputs > len(BAD)
    assert bad.answered >= 1


@pytest.mark.parametrize("kind", ENDS)
def test_what_ends_the_process_is_found(kind, tmp_path):
    does, how = ENDS[kind]
    assert list(fed(tmp_path, {kind: does}).found.values()) == [f"ends the process: {how}"]


def test_what_waits_for_ever_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "WAITED", 1.0)
    assert list(fed(tmp_path, {"wait": "time.sleep(60)"}).found.values()) == ["never ends"]


def test_words_that_a_person_can_use_are_no_finding(tmp_path):
    outcome = fed(tmp_path, {"refused": "raise UserError('file:1:1: key: mend it')"})
    assert (outcome.inputs, outcome.answered, outcome.found) == (2, 1, {})


def test_a_target_that_is_broken_itself_says_so(tmp_path):
    with pytest.raises(RuntimeError, match="NameError"):
        fed(tmp_path, {"x": "pass\n1 / nothing"})


def test_a_finding_is_cut_to_what_makes_it(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "long").write_bytes(b"x" * 500 + b"needle" + b"y" * 500)
    target = tmp_path / "target.py"
    target.write_text(f"{TARGET}    assert b'needle' not in data\n")
    (found,) = harness.run(target, "replay", corpus).found
    assert found.read_bytes() == b"needle"
