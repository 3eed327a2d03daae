"""Every engine, network and batch has its turn in every round."""

from types import SimpleNamespace

import pytest
import torch

from effcc.train import bench
from effcc.train.bench import Plan
from effcc.train.turns import COPY, PRODUCT


class Spy:
    """A worker that notes when it was asked."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def turn(self, task, seconds):
        self.log.append((self.name, task, seconds))
        return [seconds] * 3


def test_a_round_gives_everything_a_turn_before_the_next_begins():
    log = []
    machine, one, two = (Spy(name, log) for name in ("machine", "one", "two"))
    told = []
    plan = Plan(["torch"], [1, 16], 1, 4.0)
    found = bench._rounds(machine, [one, two], plan, lambda *count: told.append(count))
    places = [(name, task) for name, task, _ in log]
    once = [("machine", PRODUCT), ("machine", COPY)]
    once += [("one", 1), ("two", 1), ("one", 16), ("two", 16)]
    assert places == once * bench.ROUNDS
    assert {len(seconds) for seconds in found.values()} == {3 * bench.ROUNDS}
    assert sum(s for name, task, s in log if (name, task) == ("one", 16)) == pytest.approx(4)
    assert told[0] == (0, len(log))
    assert told[-1] == (len(log), len(log))
    assert sum(s for *_, s in log) <= plan.whole_seconds + 1e-9


def test_percentiles_are_those_of_the_calls():
    subject = SimpleNamespace(engine="torch", label="plain")
    made = bench._timing(subject, 4, [i / 1000 for i in range(1, 102)])
    assert (made.low, made.median, made.high) == pytest.approx((0.026, 0.051, 0.076))
    assert made.p99 == pytest.approx(0.1)
    assert made.calls == 101
    assert bench._timing(subject, 4, [0.1] * 99).p99 is None


def test_a_plan_times_a_batch_once_with_torchs_threads_unless_told():
    made = bench.plan(["torch"], [16, 1, 16], None, 1.0)
    assert made.batches == [1, 16]
    assert made.threads == torch.get_num_threads()
    assert bench.plan(["torch"], [1], 7, 1.0).threads == 7
