"""The requests of a study: encoded once, each side walks the same sequence, by the record of its own server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool

from grpclab.factors.levels import Level
from grpclab.load.calls.data_file import file_reference
from grpclab.load.calls.encoding import encoder
from grpclab.load.calls.payloads import PAYLOAD_FOLDER
from grpclab.servers.target import Address
from grpclab.study import comparing
from grpclab.study.sides import PairOptions, pair
from tests.support.scribe import scribe

PROTO = """
syntax = "proto3";
package a;
message Order { int32 id = 1; }
message Bill { int32 id = 1; }
service Shop { rpc Buy(Order) returns (Bill); }
"""
MANY = 10_000


def id_of(request: bytes) -> int:
    """The field `id` of an order; a varint behind its tag."""
    return sum((byte & 127) << 7 * place for place, byte in enumerate(request[1:]))


def measured(folder: Path, sides: tuple[str, str], data: str, settings: Mapping[str, Level]) -> Path:
    """One block of a comparison of two running servers; returns its folder."""
    (folder / "shop.proto").write_text(PROTO)
    options = PairOptions(
        call="a.Shop/Buy",
        data=data,
        proto=str(folder / "shop.proto"),
        settings={**settings, "load.warmup_s": 0.0, "load.duration_s": 120.0, "client.pooling": "shared"},
    )
    made = pair(Address(sides[0]), Address(sides[1]), options)
    running = comparing.prepare(made, blocks=1, delta=0.05, seed=1, study="orders", write=lambda _: None, root=folder)
    running.run(lambda _: None)
    assert [result.invalid_reason for result in running.store.results().values()] == ["", ""]
    return running.store.folder


@pytest.mark.long
@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_ten_thousand_payloads_arrive_each_once_on_both_sides(
    engine: str, concurrency: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "orders.jsonl"
    data.write_text("".join(f"{json.dumps({'id': number})}\n" for number in range(1, MANY + 1)))
    encodings: list[int] = []

    def counting(kind: Descriptor, pool: DescriptorPool) -> Callable[..., bytes]:
        encodings.append(1)
        return encoder(kind, pool)

    monkeypatch.setattr("grpclab.load.calls.request_data.encoder", counting)
    settings: dict[str, Level] = {"load.engine": engine, "load.concurrency": concurrency, "load.requests": MANY}
    with scribe() as (a, came_a), scribe() as (b, came_b):
        folder = measured(tmp_path, (a, b), file_reference(str(data)), settings)
    for came in (came_a, came_b):
        numbers = [id_of(request) for request in came]
        in_turn = [call % MANY + 1 for call in range(len(came))]  # warm-up, ramps and tails need more than once round
        assert len(came) >= MANY
        assert (numbers if concurrency == 1 else sorted(numbers)) == (in_turn if concurrency == 1 else sorted(in_turn))
    assert encodings == [1]
    assert PAYLOAD_FOLDER.files() == []
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [(file["name"], file["bytes"]) for file in manifest["data_files"]] == [(str(data), data.stat().st_size)]
