"""Readers are fed what they never expected: short runs here, long ones by `make fuzz`."""

import pytest
from fuzz import harness

TARGETS = harness.targets()
RUNS, SECONDS = 300, 3.0  # of each engine for each target; all of them take less than a minute
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
    "end": ("os._exit(0)", "ends the process"),
    "segfault": ("os.abort()", "ends the process: SIGABRT"),
    "two lines": ("raise UserError('')", "AssertionError"),
}
TARGET = """
import ctypes, os, pickle, socket, subprocess, time
from effcc.ground.errors import UserError
CODE = compile("1", "x", "eval")
def seeds():
    return [b"fine"]
def run(data, folder):
    if data == b"bad":
        {}
"""


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_that_ever_failed_is_answered(name):
    outcome = harness.run(TARGETS[name], "replay", harness.HERE / "corpus" / name)
    assert not outcome.found, outcome.trace
    assert outcome.inputs


@pytest.mark.parametrize("engine", harness.ENGINES)
@pytest.mark.parametrize("name", TARGETS)
def test_inputs_that_nobody_meant_are_answered(name, engine, tmp_path):
    if engine == "atheris" and (why := harness.without_atheris()):
        pytest.skip(why)
    bounds = {"runs": RUNS, "seed": 1, "seconds": SECONDS}
    outcome = harness.run(TARGETS[name], engine, tmp_path, **bounds)
    assert not outcome.found, outcome.trace
    assert outcome.inputs > 10


@pytest.fixture
def bad(tmp_path):
    """Reads one good and one bad input with a target that does something bad."""

    def run(does):
        target, corpus = tmp_path / "bad.py", tmp_path / "corpus"
        target.write_text(TARGET.format(does))
        corpus.mkdir()
        (corpus / "bad").write_bytes(b"bad")
        return harness.run(target, "replay", corpus, seconds=20)

    return run


@pytest.mark.parametrize("kind", BAD)
def test_what_no_reader_may_do_is_found(kind, bad):
    does, expected = BAD[kind]
    outcome = bad(does)
    assert outcome.inputs >= 2
    assert [did for did in outcome.found.values() if did.startswith(expected)], outcome
    assert [path.read_bytes() for path in outcome.found] == [b"bad"]


def test_what_waits_for_ever_is_found(bad, monkeypatch):
    monkeypatch.setattr(harness, "WAITED", 1.0)
    assert list(bad("time.sleep(60)").found.values()) == ["never ends"]


def test_a_target_that_answers_is_no_finding(bad):
    outcome = bad("raise UserError('file:1:1: key: mend it')")
    assert (outcome.inputs, outcome.found) == (2, {})


def test_a_target_that_is_broken_itself_says_so(bad):
    with pytest.raises(RuntimeError, match="NameError"):
        bad("pass\n1 / nothing")
