"""A target is one thing: what it may have beside it, and what it is refused for."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import grpclab
from grpclab.analysis.study_plan import StoredTarget
from grpclab.errors import UsageError
from grpclab.factors.effective import unknown_factors
from grpclab.servers import targets
from grpclab.servers.hosting.application import interpreter
from grpclab.servers.target import Target
from grpclab.study.target import STORED, Subject
from grpclab.system.transport import Security


def test_each_constructor_makes_its_kind() -> None:
    assert Target().kind == Target(variant="optimized").kind == "greeter"
    assert grpclab.App("shop.server:register").kind == "app"
    assert grpclab.App("shop.server:Shop.register", app_dir=Path("/x")).app_dir == "/x"
    assert grpclab.Command("./srv --port {port}", ready="log:up").kind == "command"
    assert grpclab.Address("localhost:50061").text == "localhost:50061"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"app": "a:b", "command": "x {port}"}, "app and command are both targets"),
        ({"variant": "basic", "address": "localhost:1"}, "variant and address are both targets"),
        ({"command": "x {port}", "python": "python3"}, "python requires an application"),
        ({"address": "localhost:1", "cwd": "/"}, "cwd requires an application (app) or a command"),
        ({"variant": "basic", "app_dir": "x"}, "app-dir requires an application"),
        ({"address": "localhost:1", "prepare": "make"}, "prepare requires an application (app) or a command"),
        ({"app": "a:b", "ready": "tcp"}, "ready requires a command"),
        ({"command": "x {port}", "ready": "soon"}, "invalid ready=soon: expected health, tcp or log:REGEX"),
        ({"command": "x {port}", "ready": "log:("}, "invalid ready=log:(: expected a valid regular expression"),
        ({"command": "x {port}", "ready_timeout_s": 0.0}, "invalid ready-timeout=0"),
        ({"app": "a:b", "security": Security(tls=True)}, "TLS options apply only to a command or an address"),
    ],
)
def test_what_no_target_can_be_is_refused_in_one_line(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        Target(**fields)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (grpclab.App("shop.server"), "invalid --a-cmd=shop.server: expected MODULE:NAME"),
        (grpclab.App("shop/server.py:register"), "invalid --a-cmd="),
        (grpclab.App("a:b", app_dir="/nowhere"), "invalid app-dir=/nowhere: expected a folder"),
        (
            grpclab.App("a:b", python="/nowhere/python"),
            "invalid python=/nowhere/python: expected a working interpreter",
        ),
        (grpclab.Command("true {port}", cwd="/nowhere"), "invalid cwd=/nowhere"),
        (grpclab.Command("/nowhere/srv {port}"), "invalid --a-cmd="),
        (grpclab.Address("localhost"), "invalid --a-cmd=localhost: expected a port after it"),
    ],
)
def test_what_is_not_there_is_refused_where_it_was_given(target: Target, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        targets.check(target, "--a-cmd")
    assert str(caught.value).startswith(told)


def test_a_plan_gives_back_the_target_that_it_holds() -> None:
    target = grpclab.Command("srv {port}", cwd="/", ready="health", prepare="make", cleanup="make clean")
    stored = StoredTarget(call="a.B/C", **{name: getattr(target, name) for name in STORED})
    assert Subject.of(stored) == Subject(target=target, call="a.B/C")


def test_factors_that_say_nothing_of_a_target() -> None:
    address, app = Subject(target=grpclab.Address("localhost:1")), Subject(target=grpclab.App("a:b"), call="a.B/C")
    assert {"server.threads", "server.window_kib"} <= unknown_factors(address, {})
    assert {"server.handler_work_us", "server.response_bytes", "load.method"} <= unknown_factors(app, {})
    assert "server.threads" not in unknown_factors(app, {})
    assert unknown_factors(None, {}) == frozenset()


@pytest.mark.parametrize("program", ["ls", "echo", "cat", "yes", "no exec format"])
def test_an_interpreter_that_is_no_python_is_told_before_anything_is_started(program: str, tmp_path: Path) -> None:
    path = shutil.which(program)
    if path is None:
        (tmp_path / "python").write_bytes(b"\x7fELF")
        (tmp_path / "python").chmod(0o755)
        path = str(tmp_path / "python")
    with pytest.raises(UsageError) as caught:
        targets.check(grpclab.App("a:b", python=path), "--app")
    assert str(caught.value).startswith(f"invalid python={path}: expected a Python interpreter")
    with pytest.raises(UsageError) as caught:
        interpreter(path, "target.python")
    assert str(caught.value).startswith(f"invalid target.python={path}: expected a Python interpreter")


def test_an_interpreter_that_is_one_is_taken() -> None:
    targets.check(grpclab.App("a:b", python=sys.executable))
