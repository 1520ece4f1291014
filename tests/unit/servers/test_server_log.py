"""A server's log keeps its head and its tail, and what it says is found while it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from grpclab.servers.process import server_log
from grpclab.servers.process.server_log import LogWatch, bounded, end_of, free, shorten
from tests.support.processes import until

LINE = b"%07d 1 2 3 4 5 6 7 8 9 ten\n"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_log, "HEAD_BYTES", 8192)
    monkeypatch.setattr(server_log, "TAIL_BYTES", 8192)


def write(path: Path, lines: int) -> bytes:
    content = b"".join(LINE % number for number in range(lines))
    path.write_bytes(content)
    return content


@pytest.mark.usefixtures("small")
def test_a_long_log_keeps_its_first_and_its_last_lines_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    content = write(log, 10_000)
    shorten(log)
    lines = log.read_text().splitlines()
    omitted = next(line for line in lines if "bytes omitted" in line)
    kept = [line for line in lines if line and "bytes omitted" not in line]
    assert kept[0].startswith("0000000 ")
    assert kept[-1].startswith("0009999 ")
    assert all(len(line) == len(LINE % 0) - 1 for line in kept)
    assert int(re.sub(r"\D", "", omitted)) + sum(len(line) + 1 for line in kept) == len(content)
    assert log.stat().st_size < 3 * 8192


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("lines", [0, 1, 300])
def test_a_log_of_ordinary_length_stays_as_it_is(lines: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    content = write(log, lines)
    assert free(log, 8192) == 8192
    shorten(log)
    assert log.read_bytes() == content


@pytest.mark.usefixtures("small")
def test_a_log_without_line_ends_is_cut_as_well(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 1_000_000)
    shorten(log)
    assert 2 * 8192 <= log.stat().st_size < 3 * 8192


def test_the_room_between_head_and_tail_is_given_back_while_a_server_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_log, "LOOK_EVERY_S", 0.01)
    path = tmp_path / "log"
    with path.open("wb", buffering=0) as log, bounded(path):
        for _ in range(24):
            log.write(b"x" * (1 << 20))
        log.write(b"\nlast words\n")
        assert until(lambda: path.stat().st_blocks * 512 < 4 << 20, within_s=20)
        assert path.stat().st_size > 24 << 20
        assert end_of(path)[-1] == "last words"
        log.write(b"later\n")
    assert path.stat().st_size < 3 << 20
    assert path.read_bytes().endswith(b"\nlast words\nlater\n")


def test_a_line_is_found_however_it_comes_in(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("ready in vain\n")
    watch = LogWatch(path, re.compile(r"^ready (on|at) \d+"))
    assert not watch.matched(), "what was there before counts for nothing"
    with path.open("ab", buffering=0) as log:
        for part in (b"not ready on 1\n", b"re", b"ady "):
            log.write(part)
            assert not watch.matched()
        log.write(b"on 5")
        assert watch.matched()
        log.write(b"\nother\n")
        assert watch.matched()
