"""Recordings: what passes a relay is written down, and replayed as it was."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

import grpclab
from grpclab.errors import MeasurementError, UsageError
from grpclab.load.core.recording import read_recording
from grpclab.load.record import CallRecording
from tests.support.busy_shop import PROTO, BusyShop, busy_shop
from tests.support.command import unused_port

METADATA = (("x-tenant", "a"), ("authorization", "Bearer of-a-tenant"))


def record(shop: BusyShop, path: Path, messages: list[tuple[str, bytes]], *, calls: int | None = None) -> CallRecording:
    """Make calls through a relay: each method with its message, and metadata."""
    port = unused_port()
    recording = CallRecording(port, shop.address, path, calls=calls)
    channel: Any
    with recording.running(), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for method, message in messages:
            if method == "Watch":
                list(channel.unary_stream(f"/a.Shop/{method}")(message, metadata=METADATA, timeout=20))
                continue
            expected: Any = pytest.raises(grpc.RpcError) if method == "Fail" else contextlib.nullcontext()
            with expected:
                channel.unary_unary(f"/a.Shop/{method}")(message, metadata=METADATA, timeout=20)
    return recording


CALLED = [
    ("Buy", b"\x08\x01"),
    ("Watch", b"\x08\x02"),
    ("Buy", b""),
    ("Fail", b"\x08\x03"),
    ("Look", b"\x08\x04" * 9000),
]


def test_a_recording_holds_each_call_with_its_outcome_and_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "day.calls"
    with busy_shop() as shop:
        summary = record(shop, path, CALLED).summary
    calls = read_recording(path)
    assert [(call.method, *call.messages) for call in calls] == [(f"a.Shop/{method}", one) for method, one in CALLED]
    assert [call.status for call in calls] == [0, 0, 0, 3, 0]
    assert [call.answers for call in calls] == [1, 3, 1, 0, 1]
    assert all(dict(call.metadata) == {"x-tenant": "a", "authorization": "redacted"} for call in calls)
    assert [call.at_s for call in calls] == sorted(call.at_s for call in calls)
    assert all(call.took_s is not None and call.took_s > 0 for call in calls)
    assert "of-a-tenant" not in path.read_text()
    assert json.loads(path.read_text().splitlines()[0])["target"] == shop.address
    assert (summary.writer.calls, summary.writer.failed["a.Shop/Fail"], summary.connections) == (5, 1, 1)
    assert summary.writer.masked == {"authorization"}


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
@pytest.mark.parametrize("timed", [True, False])
def test_a_replay_is_what_was_recorded(engine: str, timed: bool, tmp_path: Path) -> None:
    path = tmp_path / "day.calls"
    (tmp_path / "shop.proto").write_text(PROTO)
    with busy_shop() as shop:
        record(shop, path, CALLED)
    with busy_shop() as shop:
        more: dict[str, Any] = {"arrival": f"replay:{path}"} if timed else {"concurrency": 1, "requests": len(CALLED)}
        result = asyncio.run(
            grpclab.bench(
                shop.address,
                data=f"@{path}",
                proto=tmp_path / "shop.proto",
                engine=engine,
                metadata={"authorization": "other"},
                settings={} if timed else {"load.warmup_s": 0.0},
                **more,
            )
        )
        came = list(shop.came)
    key = (lambda one: one) if not timed else sorted
    assert key([(call.method, call.request) for call in came]) == key(CALLED)
    assert all(dict(call.metadata).get("x-tenant") == "a" for call in came)
    assert {call.name: call.summary.requests for call in result.calls} == {"Buy": 2, "Watch": 1, "Fail": 1, "Look": 1}
    if timed:
        recorded = [call.at_s for call in read_recording(path)]
        starts = result.to_frame()["start_s"].tolist()
        assert starts == pytest.approx([at - recorded[0] for at in recorded], abs=1e-6)


@pytest.mark.parametrize("seconds", [0.8, pytest.param(6.0, marks=pytest.mark.long)])
def test_mixed_traffic_is_replayed_at_each_speed(seconds: float, tmp_path: Path) -> None:
    path, proto = tmp_path / "day.calls", tmp_path / "shop.proto"
    proto.write_text(PROTO)
    mix = [
        {"method": f"a.Shop/{method}", "weight": weight, "data": [{"id": number} for number in range(1, orders)]}
        for method, weight, orders in (("Buy", 74, 50), ("Look", 21, 20), ("Watch", 11, 3))
    ]
    with busy_shop() as shop:
        port = unused_port()
        with CallRecording(port, shop.address, path).running():
            load: dict[str, Any] = {"rate_rps": 200.0, "arrival": "poisson", "duration_s": seconds}
            settings = {"load.warmup_s": 0.0}
            asyncio.run(grpclab.bench(f"127.0.0.1:{port}", mix=mix, proto=proto, settings=settings, **load))
        sent = sorted((call.method, call.request) for call in shop.came)
    recorded = read_recording(path)
    assert sorted((call.method.removeprefix("a.Shop/"), *call.messages) for call in recorded) == sent
    times = np.array([call.at_s for call in recorded])
    for speed in (1, 4):
        with busy_shop() as shop:
            result = asyncio.run(
                grpclab.bench(shop.address, data=f"@{path}", proto=proto, arrival=f"replay:{path}@{speed}")
            )
            assert sorted((call.method, call.request) for call in shop.came) == sent
        starts = result.to_frame()["start_s"].to_numpy()
        assert np.sort(starts) * speed == pytest.approx(times - times[0], abs=1e-5)


def test_a_secret_that_was_not_recorded_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "day.calls"
    (tmp_path / "shop.proto").write_text(PROTO)
    with busy_shop() as shop:
        record(shop, path, CALLED)
        with pytest.raises(UsageError, match=r"requires --metadata authorization=\.\.\."):
            asyncio.run(grpclab.bench(shop.address, data=f"@{path}", proto=tmp_path / "shop.proto"))


def test_a_recording_ends_after_so_many_calls(tmp_path: Path) -> None:
    path = tmp_path / "day.calls"
    with busy_shop() as shop:
        summary = record(shop, path, CALLED[:3], calls=2).summary
    assert summary.ended_because == "2 calls were recorded, as requested"
    assert len(read_recording(path)) == 2


def test_where_nobody_calls_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "day.calls"
    with busy_shop() as shop:
        recording = record(shop, path, [])
    with pytest.raises(
        MeasurementError, match=r"no call arrived at port \d+, so there is no recording \(no client connected\)"
    ):
        recording.summary  # noqa: B018 (raises)
    assert not path.exists()


def test_a_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with busy_shop() as shop:
        running = CallRecording(int(shop.address.rpartition(":")[2]), shop.address, tmp_path / "day.calls").running()
        with pytest.raises(UsageError, match=r"invalid --listen=\d+: expected a free port"):
            running.__enter__()


def test_a_recording_of_no_call_leaves_an_earlier_one_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "day.calls"
    with busy_shop() as shop:
        record(shop, path, CALLED)
        before = path.read_bytes()
        recording = record(shop, path, [])
        with pytest.raises(MeasurementError, match=r"no client connected\); .*day\.calls is unchanged"):
            recording.summary  # noqa: B018 (raises)
        with pytest.raises(UsageError, match="a free port"):
            CallRecording(int(shop.address.rpartition(":")[2]), shop.address, path).running().__enter__()
        assert path.read_bytes() == before
        record(shop, path, CALLED[:2])
    assert [call.method for call in read_recording(path)] == [f"a.Shop/{method}" for method, _ in CALLED[:2]]


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("", "expected a recording made by"),
        ('{"grpclab": "calls", "version": 2}', "version 1"),
        ('{"grpclab": "calls", "version": 1}', "at least one call"),
        ('{"grpclab": "calls", "version": 1}\n{"at_s": -1, "method": "a.B/C", "messages": []}', "line 2 is not a call"),
        (
            '{"grpclab": "calls", "version": 1}\n\n{"at_s": 1, "method": "a.B/C", "messages": ["?"]}',
            "line 3 is not a call",
        ),
    ],
)
def test_what_is_no_recording_is_refused(content: str, where: str, tmp_path: Path) -> None:
    path = tmp_path / "day.calls"
    path.write_text(content)
    with pytest.raises(UsageError, match=where):
        read_recording(path)


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_a_replay_has_the_recorded_times_by_its_speed(speed: float, tmp_path: Path) -> None:
    from grpclab.load.plan import planned

    path = tmp_path / "times.txt"
    path.write_text("10\n10.5\n12\n14\n")
    plan = planned({"load.arrival": f"replay:{path}"}, speed=speed)
    assert plan.config.load.rate_rps == pytest.approx(4 / (4 + 4 / 3) * speed)
    assert plan.config.load.requests == 4
