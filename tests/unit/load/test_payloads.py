"""The file of requests, the shares of its workers, and the gate that closes when it is used up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import StorageError, UsageError
from grpclab.http2.messages import prefixed
from grpclab.load.calls.payloads import PAYLOAD_FOLDER, PayloadFolder, Payloads
from grpclab.load.core.gate import SuppliedGate


def taken(payloads: Payloads, count: int, *, prefix: bool = False) -> list[bytes]:
    return list(itertools.islice(payloads.messages(prefix=prefix), count))


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=30), st.integers(1, 5))
def test_the_workers_together_send_each_request_once_in_order(messages: list[bytes], workers: int) -> None:
    payloads = PAYLOAD_FOLDER.write(messages, repeat=False)
    shares = [payloads.of_worker(worker, workers) for worker in range(workers)]
    walks = [iter(taken(share, share.supply or 0)) for share in shares]
    rounds = itertools.chain.from_iterable(itertools.zip_longest(*walks))
    assert [message for message in rounds if message is not None] == messages
    assert sum(share.supply or 0 for share in shares) == len(messages)


@given(st.integers(1, 9), st.integers(1, 12))
def test_requests_repeat_in_turn_and_know_their_numbers(count: int, workers: int) -> None:
    payloads = PAYLOAD_FOLDER.write([b"%d" % number for number in range(count)])
    for worker in range(workers):
        share = payloads.of_worker(worker, workers)
        assert share.supply is None
        wanted = [(worker + turn * workers) % count for turn in range(3 * count)]
        assert taken(share, 3 * count) == [b"%d" % number for number in wanted]
        assert list(itertools.islice(share.numbers(), 3 * count)) == wanted


@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 65, 200])
@pytest.mark.parametrize("workers", [1, 2, 3, 64, 65])
def test_many_requests_are_copied_a_chunk_at_a_time(monkeypatch: pytest.MonkeyPatch, count: int, workers: int) -> None:
    monkeypatch.setattr("grpclab.load.calls.payloads.MOST_COPIED", 0)
    payloads = PAYLOAD_FOLDER.write([b"%d" % number for number in range(count)])
    for worker in {0, workers // 2, workers - 1}:
        share = payloads.of_worker(worker, workers)
        wanted = [b"%d" % number for number in itertools.islice(share.numbers(), 300)]
        assert taken(share, 300) == wanted


def test_the_prefix_of_grpc_is_there_where_it_is_wanted() -> None:
    payloads = PAYLOAD_FOLDER.write([b"", b"tea"])
    assert taken(payloads, 2, prefix=True) == [prefixed(b""), prefixed(b"tea")]
    assert payloads.message(1) == b"tea"


def test_a_random_order_is_that_of_its_seed() -> None:
    messages = [b"%d" % number for number in range(100)]
    orders = [taken(PAYLOAD_FOLDER.write(messages, shuffled_by=seed), 100) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(messages) != orders[0]


def test_no_request_at_all_and_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="at least one"):
        PAYLOAD_FOLDER.write([])
    monkeypatch.setattr("grpclab.load.calls.payloads.MAX_BYTES", 2**20)
    with pytest.raises(UsageError, match="at most 1 MiB"):
        PAYLOAD_FOLDER.write(iter(lambda: bytes(1000), b""))


def test_a_file_that_is_gone_is_told() -> None:
    payloads = PAYLOAD_FOLDER.write([b"x"])
    payloads.file.unlink()
    with pytest.raises(StorageError):
        taken(payloads, 1)


def test_a_gate_closes_when_the_requests_are_used_up_those_of_the_warm_up_included() -> None:
    gate = SuppliedGate(opens_at=10, supply=3)
    assert [gate.admit(now) for now in (9.0, 10.0, 11.0, 12.0, 13.0)] == [True, True, True, False, False]
    assert (gate.admitted, gate.started, gate.ran_out_at, gate.cut_at) == (2, 3, 12.0, 12.0)


def test_a_window_that_needs_no_more_than_there_is_does_not_run_out() -> None:
    gate = SuppliedGate(opens_at=0, requests=3, supply=3)
    assert [gate.admit(now) for now in range(5)] == [True] * 3 + [False] * 2
    assert gate.ran_out_at is None


class _Told:
    """What is told of requests that are being encoded."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, int | None]] = []
        self.ended = 0

    def show(self, encoded: int, planned: int | None) -> None:
        self.shown.append((encoded, planned))

    def end(self) -> None:
        self.ended += 1


def test_many_requests_are_told_while_they_are_encoded_and_their_end_however_it_comes() -> None:
    folder = PayloadFolder()
    folder.watch = told = _Told()
    folder.write((b"tea" for _ in range(2500)), planned=2500)
    assert (told.shown, told.ended) == ([(1000, 2500), (2000, 2500)], 1)

    def interrupted() -> Iterator[bytes]:
        yield b"tea"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.write(interrupted())
    assert told.ended == 2


def test_a_watch_of_a_block_is_told_where_there_is_no_other() -> None:
    folder, outer, inner = PayloadFolder(), _Told(), _Told()
    for before, told in ((None, inner), (outer, outer)):
        folder.watch = before
        with folder.in_use(inner):
            folder.write(b"tea" for _ in range(1000))
        assert told.shown == [(1000, None)]
        assert folder.watch is before


def test_requests_that_will_be_too_many_are_refused_after_the_first_of_them() -> None:
    made = []

    def messages() -> Iterator[bytes]:
        for number in itertools.count():
            made.append(number)
            yield b"x" * 87

    with pytest.raises(UsageError, match=r"10,000,000 of about 100 bytes would take 954 MiB; plan fewer calls"):
        PAYLOAD_FOLDER.write(messages(), planned=10_000_000)
    assert len(made) == 1000
