"""Each subject has a process of its own, which works when asked and ends when it may."""

import os
import signal
import statistics
import time

import pytest
import torch
from sleeper import Sleep
from test_engines import network

from effcc.nn import sessions
from effcc.train import turns
from effcc.train.process import LostProcess
from effcc.train.turns import Inference, Worker


@pytest.fixture
def worker():
    made = []

    def start(subject):
        made.append(Worker(subject))
        made[-1].ready()
        return made[-1]

    yield start
    for each in made:
        each.kill()


def test_a_turn_takes_its_time_and_counts_calls_after_the_warm_up(worker):
    asleep = worker(Sleep())
    started = time.perf_counter()
    seconds = asleep.turn(5, 0.5)
    assert 0.5 <= time.perf_counter() - started < 5
    assert statistics.median(seconds) >= 0.005
    assert sum(seconds) <= 0.5 * (1 - turns.WARM_UP) + max(seconds)


def test_a_call_longer_than_its_turn_is_still_made_a_few_times(worker):
    assert len(worker(Sleep()).turn(30, 0.001)) == turns.CALLS


def test_memory_is_the_process_own_and_not_its_parents(worker):
    ballast = bytearray(os.urandom(1) * (300 * 2**20))  # which a forked child would seem to have
    small, large = (worker(Sleep(mebibytes)).end() for mebibytes in (0, 100))
    assert small < len(ballast)
    assert 80 * 2**20 < large - small < 120 * 2**20


def test_a_process_without_memory_for_its_task_is_one_line(worker, capfd):
    with pytest.raises(LostProcess) as caught:
        worker(Sleep()).turn(0, 0.1)
    assert str(caught.value) == (
        "a sleeper: its process ended sleeping 0 ms (exit code 1); is there memory for it? "
        "Nothing was recorded"
    )
    assert capfd.readouterr().err == ""


def test_a_process_that_is_killed_is_told(worker):
    asleep = worker(Sleep())
    os.kill(asleep._process.pid, signal.SIGKILL)
    with pytest.raises(LostProcess, match=r"exit code -9"):
        asleep.turn(1, 0.1)


def test_an_inference_opens_what_was_written_for_it(tmp_path, cache):
    model, spec = network()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    paths = {
        "torch": tmp_path / "weights.pt",
        "onnxruntime": sessions.graph(model, spec, "onnxruntime"),
    }
    threads = torch.get_num_threads()
    found = [
        Inference(engine, "variant", path, spec.network, 32, threads).open()(3)()
        for engine, path in paths.items()
    ]
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)
    assert found[0].shape == (3, 10)
