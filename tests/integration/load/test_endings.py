"""Runs without an end: calls that never end are given up in time, counted, and told; signals keep what was measured."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from grpclab.cli.commands import load_command, main
from grpclab.errors import FactorError, UsageError
from grpclab.factors.config import ClientConfig, parse_settings
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder, Records
from grpclab.load.engines.loops import Caller
from grpclab.load.generator import Generator
from grpclab.load.output.config_file import read_bench_file
from grpclab.status import NOT_ENDED, OK
from grpclab.testing import fake_target
from grpclab.testing.virtual import VirtualLoop, run
from tests.support.generator_help import by_status, load
from tests.support.processes import until
from tests.support.queues import Queue, evenly, send

TAKEN: list[float] = []
"""When the silent server took each call."""


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """The address of a server that takes every call and answers none; a stream sends messages for ever."""
    over = threading.Event()
    TAKEN.clear()

    def unary(_request: bytes, context: grpc.ServicerContext) -> bytes:
        TAKEN.append(time.monotonic())
        while context.is_active() and not over.wait(0.02):
            pass
        return b""

    def stream(_request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        while context.is_active() and not over.wait(0.01):
            yield b""

    class Everything(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            if details.method.endswith("Stream"):
                return grpc.unary_stream_rpc_method_handler(stream)
            return grpc.unary_unary_rpc_method_handler(unary)

    with fake_target(Everything()) as target:
        yield target.address
        over.set()


ENDLESS = ClientConfig(deadline_s=None)
WINDOW_S = 0.6
"""Long enough for a first call on a machine that stands still now and then."""
LONG_WINDOW_S = 1.5
"""Long enough for engine `grpcio` to begin its calls where eight others use the cores."""


# ---- given up in virtual time --------------------------------------------------------------------------------


class _Never:
    """A call that never ends."""

    async def __call__(self, start_s: float, recorder: Recorder) -> tuple[int, float]:  # noqa: ARG002
        await asyncio.Event().wait()
        return OK, 0.0


def test_a_caller_whose_call_is_given_up_records_how_long_it_had_been_under_way(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> Records:
        recorder, gate = Recorder(tmp_path / "calls"), Gate(opens_at=0.0, closes_at=4.0)
        caller = Caller(_Never(), gate, recorder, loop.time)
        task = loop.create_task(caller.run())
        await asyncio.sleep(6.0)
        assert caller.began == 0.0
        gate.close()
        task.cancel()
        await task
        recorder.close()
        return Records.load(tmp_path / "calls")

    records = run(main)
    assert (records.status.tolist(), records.latency_s.tolist()) == ([NOT_ENDED], [6.0])


def test_what_was_due_and_never_sent_is_recorded_as_late_as_it_was(tmp_path: Path) -> None:
    """One call at a time, 3 s each, one due each second; the window is cut after 4 s."""

    async def main(loop: VirtualLoop) -> Records:
        gate = Gate(opens_at=0.0, closes_at=60.0)
        loop.call_at(4.0, gate.close, 4.0)
        return await send(loop, tmp_path / "calls", Queue(loop, [3.0]), evenly(1.0), gate, max_in_flight=1)

    records = run(main)
    assert records.start_s.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert records.status.tolist() == [OK, OK, NOT_ENDED, NOT_ENDED]
    assert records.latency_s.tolist() == [3.0, 5.0, 4.0, 3.0]
    assert records.late_s.tolist() == [0.0, 2.0, 4.0, 3.0]


@pytest.mark.parametrize("cut_at", [float("-inf"), 100.0])
def test_nothing_counts_as_never_sent_that_was_not_due_in_the_window(cut_at: float) -> None:
    gate = Gate(opens_at=100.0, closes_at=None, requests=None)
    gate.close(cut_at)
    assert not len(gate.never_sent(evenly(1.0)))


def test_the_calls_that_were_left_of_a_number_count_as_never_sent() -> None:
    gate = Gate(opens_at=2.0, closes_at=100.0, requests=3, admitted=1)
    gate.close(50.0)
    assert gate.never_sent(evenly(1.0)).tolist() == [2.0, 3.0]


# ---- with real calls -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("engine", "window_s"), [("wire", WINDOW_S), ("grpcio", LONG_WINDOW_S)])
def test_a_server_that_never_answers_does_not_hold_a_window_up(silent: str, engine: str, window_s: float) -> None:
    for method, windows in (("SayHello", 2), ("SayHelloStream", 1)):
        closed = load(ENDLESS, engine=engine, method=method, requests=None, duration_s=window_s, concurrency=5)
        with Generator(closed, silent) as generator:
            for measured in [generator.measure(drain_s=0.1) for _ in range(windows)]:
                assert by_status(measured) == {"OK": 0, "NOT_ENDED": 5}
                (window,) = measured.windows
                assert (window.records.end_s >= window.opened_at + window_s).all(), "given up before its end"
                assert measured.summary.window_s == pytest.approx(window_s), "how long calls may go on is none of it"
    opened = load(ENDLESS, engine=engine, method="SayHelloStream", requests=None, duration_s=window_s, rate_rps=100.0)
    with Generator(opened, silent) as generator:
        measured = generator.measure(drain_s=0.1)
    assert by_status(measured) == {"OK": 0, "NOT_ENDED": measured.planned}


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_calls_that_a_limit_held_back_are_given_up_and_none_is_lost(silent: str, engine: str) -> None:
    config = load(ENDLESS, engine=engine, requests=None, duration_s=WINDOW_S, rate_rps=50.0, max_in_flight=5)
    with Generator(config, silent) as generator:
        measured = generator.measure(drain_s=0.1)
    assert by_status(measured) == {"OK": 0, "NOT_ENDED": 30}
    assert (measured.sent, measured.unsent, measured.bound_hits) == (5, 25, 25)
    assert measured.held_back


def test_a_warm_up_that_never_ends_ends_with_the_window(silent: str) -> None:
    config = load(ENDLESS, requests=None, duration_s=0.2, warmup_s=WINDOW_S, concurrency=3)
    with Generator(config, silent) as generator:
        measured = generator.measure(drain_s=0.1)
    assert measured.summary.requests == 0
    assert sum(len(window.records) for window in measured.windows) == 3


# ---- signals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("numbers", "code"), [([signal.SIGTERM], 143), ([signal.SIGINT, signal.SIGINT], 130)])
def test_a_signal_ends_bench_with_what_was_measured(
    silent: str, tmp_path: Path, numbers: list[signal.Signals], code: int
) -> None:
    command = [sys.executable, "-m", "grpclab", "bench", silent, "--deadline", "none", "-z", "60", "-c", "5"]
    env, taken = os.environ | {"TMPDIR": str(tmp_path)}, len(TAKEN)
    process = subprocess.Popen([*command, "--warmup", "0"], env=env, stdout=subprocess.PIPE, text=True)
    assert until(lambda: len(TAKEN) == taken + 5, within_s=120)
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.1)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == code
    assert "NOT_ENDED" in output
    assert not list(tmp_path.iterdir())


def test_never_sent_calls_keep_their_rows_whole_where_the_server_tells_of_itself(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "calls", residence=True)
    recorder.residence(0.5)
    recorder.record(1.0, 2.0, OK)
    recorder.never_sent(np.array([1.5, 2.5]), 4.0)
    recorder.close()
    records = Records.load(tmp_path / "calls", residence=True)
    assert records.latency_s.tolist() == [1.0, 2.5, 1.5]
    assert records.residence_s is not None
    assert np.array_equal(records.residence_s, [0.5, np.nan, np.nan], equal_nan=True)


# ---- values that are nothing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["bench", "compare", "bisect", "study", "serve", "report", "profile", "doctor"])
def test_an_empty_value_of_any_option_of_any_command_is_refused(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unset variable of a shell would else mean something: no deadline, no end."""
    for flag in load_command(command).flags:
        if flag.is_flag:
            continue
        for empty in ("", " "):
            with pytest.raises(SystemExit) as refused:
                main([command, flag.opts[-1], empty])
            assert refused.value.code == 2
            assert f"invalid {flag.opts[-1]}=" in capsys.readouterr().err


def test_a_factor_that_is_set_to_nothing_is_refused() -> None:
    with pytest.raises(FactorError):
        parse_settings(["client.deadline_s="])
    with pytest.raises(UsageError):
        read_bench_file('deadline = ""', "b.toml", words=["deadline"], lists=[], switches=[])
