"""`grpclab record` as a command: however it ends, the calls until then can be replayed."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import grpclab
from grpclab.load.core.recording import read_recording
from tests.support.busy_shop import PROTO, BusyShop, busy_shop
from tests.support.command import GRPCLAB, unused_port
from tests.support.processes import until

LINES = 40
LARGE = b"x" * 3000
"""A message of which a few fill what is written at a time: the file may end anywhere in a line."""


@contextlib.contextmanager
def recording(
    shop: BusyShop, path: Path, *, largest_file: str = "unlimited"
) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """The command while it records, and a channel to it; it can write files of `largest_file` bytes."""
    port = unused_port()
    command = [
        "prlimit",
        f"--fsize={largest_file}",
        *GRPCLAB,
        "record",
        "--listen",
        str(port),
        "--to",
        shop.address,
        "-o",
        str(path),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert f"recording calls through localhost:{port}" in process.stdout.readline()
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield process, channel
        finally:
            process.kill()


def order(number: int, note: bytes = b"") -> bytes:
    """An order of this number, with something in a field that its schema does not have."""
    return (
        b"\x08" + bytes([number]) + (b"\x12" + bytes([len(note) & 127 | 128, len(note) >> 7]) + note if note else b"")
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_recording_with_its_counts_and_keeps_every_call(number: signal.Signals, tmp_path: Path) -> None:
    path, over = tmp_path / "day.calls", threading.Event()

    def nothing_yet() -> Iterator[bytes]:
        over.wait()
        yield from ()

    with busy_shop() as shop, recording(shop, path) as (process, channel):
        under_way = channel.stream_unary("/a.Shop/Look").future(nothing_yet())
        for one in range(1, 4):
            channel.unary_unary("/a.Shop/Buy")(order(one), timeout=60)
        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/a.Shop/Fail")(order(4), timeout=60)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        over.set()
        under_way.cancel()
    assert (process.returncode, err) == (0, "")
    assert re.search(r"^recorded 5 calls in .* over 1 connection to ", out, re.MULTILINE)
    counts = {words[0]: words[1:] for line in out.splitlines() if (words := line.split())[0].startswith("a.Shop/")}
    assert {name: words[0] for name, words in counts.items()} == {
        "a.Shop/Buy": "3",
        "a.Shop/Fail": "1",
        "a.Shop/Look": "1",
    }
    assert counts["a.Shop/Fail"][-2:] == ["1", "failed"]
    assert "note: 1 call had not ended" in out
    calls = {(call.method, call.messages, call.status) for call in read_recording(path)}
    bought = {("a.Shop/Buy", (order(one),), 0) for one in range(1, 4)}
    assert calls == {*bought, ("a.Shop/Fail", (order(4),), 3), ("a.Shop/Look", (), None)}


def test_a_recording_that_is_killed_can_be_replayed_up_to_its_last_whole_call(tmp_path: Path) -> None:
    path, sent = tmp_path / "day.calls", list[bytes]()
    (tmp_path / "shop.proto").write_text(PROTO)

    with busy_shop() as shop, recording(shop, path) as (process, channel):
        buy = channel.unary_unary("/a.Shop/Buy")

        def enough() -> bool:
            sent.append(order(len(sent) % 100, LARGE))
            buy(sent[-1], timeout=60)
            return path.read_bytes().count(b"\n") > LINES

        assert until(enough, every_s=0.0)
        process.kill()
        process.communicate(timeout=60)
    calls = read_recording(path)
    assert len(calls) >= LINES
    assert [call.messages for call in calls] == [(message,) for message in sent[: len(calls)]]
    with busy_shop() as shop:
        load: dict[str, Any] = {"concurrency": 1, "requests": len(calls), "settings": {"load.warmup_s": 0.0}}
        result = asyncio.run(
            grpclab.bench(shop.address, data=f"@{path}", proto=tmp_path / "shop.proto", engine="wire", **load)
        )
    assert [call.request for call in shop.came] == sent[: len(calls)]
    assert result.run.summary.errors == 0


def test_a_full_disk_ends_a_recording_that_can_be_replayed_up_to_there(tmp_path: Path) -> None:
    path, sent = tmp_path / "day.calls", list[bytes]()
    with busy_shop() as shop, recording(shop, path, largest_file="50000") as (process, channel):
        buy = channel.unary_unary("/a.Shop/Buy")

        def over() -> bool:
            with contextlib.suppress(grpc.RpcError):  # the relay is gone
                buy(order(len(sent) % 100, LARGE), timeout=60)
                sent.append(order(len(sent) % 100, LARGE))
            return process.poll() is not None

        assert until(over, every_s=0.0)
        _, err = process.communicate(timeout=60)
    calls = read_recording(path)
    assert [call.messages for call in calls] == [(message,) for message in sent[: len(calls)]]
    assert process.returncode == 3
    assert re.fullmatch(rf"grpclab: the recording cannot be written to .*; the {len(calls)} calls before .*\n", err)
