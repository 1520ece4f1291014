"""The process of a command, without one: where its program is looked for, and how it ends."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest

from grpclab.servers.process import command, preparation
from grpclab.servers.process.command import _start, _stop
from grpclab.servers.process.server_messages import CommandOrder, ErrandOrder


class LeftError(Exception):
    """Stands for the end of the process."""


class Tree:
    """Notes what is done to the processes of a command."""

    returncode = 0  # no process that the kernel could tell of

    def __init__(self) -> None:
        self.done: list[Any] = []

    def start(self, words: list[str], **how: Any) -> None:
        self.done.append((words, how))

    def ask(self) -> None:
        self.done.append("ask")

    def kill(self) -> None:
        self.done.append("kill")

    def wait(self, _: float) -> NoReturn:
        self.done.append("wait")
        raise subprocess.TimeoutExpired("srv", 5)


@pytest.fixture(autouse=True)
def _leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(why: str) -> NoReturn:
        raise LeftError(why)

    monkeypatch.setattr(command, "_leave", leave)


def started(words: list[str], *, cwd: str = "", changes: dict[str, str | None] | None = None) -> Any:
    tree: Any = Tree()
    _start(tree, words, CommandOrder(command="", timeout_s=1, log="", cwd=cwd, changes=changes or {}))
    return tree.done


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "till" / "srv"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)
    return path


def test_a_program_with_a_relative_path_lies_below_the_folder(program: Path) -> None:
    (how,) = started(["./srv", "--port"], cwd=str(program.parent))
    assert how == (["./srv", "--port"], {"changes": {}, "cwd": str(program.parent)})
    with pytest.raises(LeftError, match=r"^\./srv: No such file"):
        started(["./srv"], cwd=str(program.parent.parent))


def test_a_program_without_a_path_is_looked_for_on_the_path_of_the_plan(program: Path) -> None:
    changes: dict[str, str | None] = {"PATH": str(program.parent)}
    assert started(["srv"], changes=changes) == [(["srv"], {"changes": changes, "cwd": ""})]
    with pytest.raises(LeftError, match=r"^srv: No such file"):
        started(["srv"])


def test_a_file_that_cannot_be_run_is_told_so(program: Path) -> None:
    program.chmod(0o600)
    with pytest.raises(LeftError, match="Permission denied"):
        started([str(program)])


def test_a_command_whose_first_word_is_left_out_names_no_program() -> None:
    with pytest.raises(LeftError, match="has no program"):
        started([])


def test_a_command_is_asked_to_end_before_it_is_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    tree: Any = Tree()

    def left(code: int) -> NoReturn:
        raise LeftError(str(code))

    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("os._exit", left)
    monkeypatch.setattr(command, "say", lambda _: tree.done.append("told"))
    with pytest.raises(LeftError, match="0"):
        _stop(tree, tree)
    assert tree.done == ["ask", "wait", "kill", "told"]


class Ended:
    """A process that has ended with exit code 7."""

    def poll(self) -> int:
        return 7

    def wait(self, _: float | None = None) -> int:
        return 7


def test_a_command_that_ends_as_soon_as_it_listens_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    tree: Any = Tree()
    tree.settled = tree.look = list
    order = CommandOrder(command="./srv", timeout_s=1, log="")
    for name, stand_in in {
        "decode": lambda *_: order,
        "_start": lambda *_: Ended(),
        "_wait_until_ready": lambda *_: None,
        "ProcessTree": lambda: tree,
        "say": tree.done.append,
    }.items():
        monkeypatch.setattr(command, name, stand_in)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("threading.Thread", lambda **_: SimpleNamespace(start=lambda: None))
    monkeypatch.setattr("queue.SimpleQueue", lambda: SimpleNamespace(get=lambda: ""))
    monkeypatch.setattr("grpclab.system.programs.adopt_orphans", lambda: None)
    with pytest.raises(LeftError, match=r"exit code 7 when it listened on 127\.0\.0\.1:"):
        command.main()
    assert tree.done == ["kill"], "it was not said to listen"


def test_a_server_that_listens_on_another_address_is_told_where(monkeypatch: pytest.MonkeyPatch) -> None:
    tree: Any = Tree()
    running = SimpleNamespace(poll=lambda: None)
    never: Any = SimpleNamespace(holds=lambda: False, missing=lambda: "listen")
    listener: Any = SimpleNamespace(port=9, name="127.0.0.1:9", accepts=lambda: False)
    monkeypatch.setattr(command, "_elsewhere", lambda *_: "; it listens on 10.0.0.1:9")
    order = CommandOrder(command="./srv", timeout_s=-1, log="")
    with pytest.raises(LeftError, match=r"did not listen within .*; it listens on 10\.0\.0\.1:9"):
        command._wait_until_ready(tree, cast("Any", running), [never], listener, order)
    assert tree.done == ["kill"]


def test_a_command_beside_a_server_that_is_overdue_is_killed_with_all_that_it_started() -> None:
    tree: Any = Tree()
    started = tree.start
    tree.start = lambda words, **how: started(words, **how) or tree
    done = preparation._run(tree, ErrandOrder(command="./load", timeout_s=5, arguments={}, changes={}, cwd=""))
    assert tree.done[1:] == ["wait", "kill"]
    assert done.trouble == "did not finish within 5 s"
