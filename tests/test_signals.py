"""What asks a run to stop: noted once, acted on later, and nothing of it left behind."""

import signal
import threading

import pytest

from effcc.train import signals
from effcc.train.signals import Signals

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@pytest.mark.parametrize("number", HEARD)
def test_a_signal_is_noted_and_handlers_are_put_back(number):
    before = [signal.getsignal(each) for each in HEARD]
    asked = Signals()
    with asked.listening():
        signal.raise_signal(number)
        assert asked.received is number
    assert [signal.getsignal(each) for each in HEARD] == before


def test_the_first_signal_counts():
    asked = Signals()
    with asked.listening():
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGTERM)
    assert asked.received is signal.SIGUSR1


def test_ctrl_c_is_answered_and_a_second_one_obeyed(capfd):
    asked = Signals()
    with asked.listening():
        signal.raise_signal(signal.SIGINT)
        assert "Ctrl-C again stops at once" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert asked.received is signal.SIGINT


def test_outside_the_main_thread_nothing_is_listened_to():
    before = signal.getsignal(signal.SIGTERM)
    found = []

    def listen():
        with Signals().listening():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_loader_process_leaves_the_first_signal_to_the_run():
    before = {number: signal.getsignal(number) for number in HEARD}
    try:
        signals.in_worker(0)
        for number in HEARD:
            signal.raise_signal(number)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL  # a second one ends it
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
