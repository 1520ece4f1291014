"""What `register` may do, what it is loaded from, and how what it returns is closed: decided without a server."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from grpclab.factors.config import ServerConfig
from grpclab.servers.hosting import application, host


class FakeServer:
    """A server that notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def add_generic_rpc_handlers(self, _: object) -> None:
        self.done.append("handlers")

    def add_insecure_port(self, _: str) -> int:
        self.done.append("port")
        return 1

    def add_secure_port(self, _: str, __: object) -> int:
        self.done.append("port")
        return 1

    def start(self) -> None:
        self.done.append("start")

    def wait_for_termination(self) -> None:
        self.done.append("wait")


@pytest.mark.parametrize(
    ("name", "given", "what"),
    [
        ("add_insecure_port", ["[::]:1"], "adds a port"),
        ("add_secure_port", ["[::]:1", None], "adds a port"),
        ("start", [], "starts the server"),
        ("wait_for_termination", [], "waits for the server to stop"),
    ],
)
def test_register_only_registers_servicers(tmp_path: Path, name: str, given: list[Any], what: str) -> None:
    server = FakeServer()
    with host._Registration(server, "shop:register", host._Files(str(tmp_path), "shop:register")) as watched:
        with pytest.raises(host._RefusedError, match=f"it {what}"):
            getattr(server, name)(*given)
        server.add_generic_rpc_handlers([])
    assert what in watched.misused, "also where the application catches the error"
    assert server.done == ["handlers"]
    getattr(server, name)(*given)
    assert len(server.done) == 2, "grpclab itself may"


def test_a_module_of_the_application_comes_before_a_library_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "colorsys.py").write_text("def register(server):\n    return 'the application'\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    order = SimpleNamespace(app="colorsys:register", app_dir=str(tmp_path))
    try:
        assert host.load(order, host._Files(str(tmp_path), order.app))(None) == "the application"
    finally:
        sys.modules.pop("colorsys", None)  # monkeypatch would put it back


class Closing:
    def __init__(self) -> None:
        self.closed: list[str] = []

    def close(self) -> None:
        self.closed.append("close")


class AsyncClosing:
    def __init__(self) -> None:
        self.closed: list[str] = []

    async def aclose(self) -> None:
        self.closed.append("aclose")


class BothClosing(Closing, AsyncClosing):
    """An object that can be closed in either way."""


@pytest.mark.parametrize(("kind", "how"), [(Closing, "close"), (AsyncClosing, "aclose"), (BothClosing, "close")])
def test_a_server_of_threads_closes_what_register_returned_once(kind: Any, how: str) -> None:
    server = object.__new__(host._Server)
    server._closing = kind()
    server._close_sync()
    assert server._closing.closed == [how]


def test_an_application_is_imported_from_the_folder_that_it_runs_in_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("code", "run"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)

    def folders(**given: Any) -> tuple[str, str]:
        order = application.application_order("shop:register", ServerConfig(), **given)
        return Path(order.app_dir).name, Path(order.cwd).name

    assert folders() == (tmp_path.name, tmp_path.name)
    assert folders(cwd="run") == ("run", "run")
    assert folders(app_dir="code", cwd="run") == ("code", "run")
    assert folders(app_dir="code") == ("code", tmp_path.name)
