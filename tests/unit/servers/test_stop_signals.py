"""The signals that stop a server: none is lost, whichever thread takes it and whatever the main thread waits for."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from grpclab.servers.hosting import host
from grpclab.servers.process import serving
from tests.support.processes import until

both = pytest.mark.parametrize("kind", [serving.StopSignals, host._StopSignals], ids=["ours", "applications"])


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Handlers as they were."""
    numbers = (*serving.stop_signals(), signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


def main_thread_waits() -> bool:
    """Whether the main thread is inside of `wait`, and sleeps."""
    main = threading.main_thread()
    frame = sys._current_frames()[main.ident or 0]
    state = Path(f"/proc/self/task/{main.native_id}/stat").read_text().rpartition(")")[2].split()[0]
    return frame.f_code.co_name == "wait" and state == "S"


@both
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_signal_that_another_thread_takes_wakes_up_the_one_that_waits(
    kind: type[serving.StopSignals | host._StopSignals],
) -> None:
    signals = kind()

    def take() -> None:
        assert until(main_thread_waits)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    taking = threading.Thread(target=take)
    taking.start()
    assert signals.wait(30) == signal.SIGTERM
    taking.join()


@both
def test_signals_come_one_after_the_other_and_only_those_that_stop_a_server(
    kind: type[serving.StopSignals | host._StopSignals],
) -> None:
    signals = kind()
    assert signals.wait(0) == 0
    signal.signal(signal.SIGUSR1, lambda *_: None)
    for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):
        signal.raise_signal(number)
    assert [signals.wait(30), signals.wait(0), signals.wait(0)] == [signal.SIGINT, signal.SIGTERM, 0]
