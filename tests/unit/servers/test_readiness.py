"""When a server is ready."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from grpclab.servers.process import health
from grpclab.servers.process.readiness import Listener, conditions


@pytest.mark.parametrize("kind", ["port", "socket"])
def test_a_listener_is_ready_when_it_accepts_a_connection(kind: str, tmp_path: Path) -> None:
    family, where = (socket.AF_UNIX, str(tmp_path / "s")) if kind == "socket" else (socket.AF_INET, ("127.0.0.1", 0))
    with socket.socket(family) as server:
        server.bind(where)
        name = server.getsockname()
        listener = Listener(path=name) if kind == "socket" else Listener(port=name[1])
        (step,) = conditions("tcp", listener, tmp_path / "log")
        assert not step.holds()
        server.listen()
        assert step.holds()


def test_the_log_has_to_say_so_before_the_port_is_tried(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    said, listens = conditions("log:ready", Listener(port=1), log)
    assert (said.holds(), listens.holds()) == (False, False)
    log.write_text("ready")
    assert (said.holds(), listens.holds()) == (True, False)
    assert said.missing() == "write a line that matches ready"


@pytest.mark.parametrize(
    ("status", "holds", "missing"),
    [
        ("SERVING", True, "says SERVING"),
        ("NOT_SERVING", False, "says NOT_SERVING"),
        ("UNIMPLEMENTED", False, "does not exist"),
    ],
)
def test_health_is_what_the_health_service_says(
    status: str, holds: bool, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "health_status", lambda *_: status)
    _, step = conditions("health", Listener(port=1), tmp_path / "log")
    assert step.holds() is holds
    assert missing in step.missing()
