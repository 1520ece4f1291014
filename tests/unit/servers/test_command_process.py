"""The process of a command, without one: where its program is looked for, and how it ends."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest

from grpclab.servers.process import command
from grpclab.servers.process.command import _start, _stop
from grpclab.servers.process.server_messages import CommandOrder


class LeftError(Exception):
    """Stands for the end of the process."""


class Tree:
    """Notes what is done to the processes of a command."""

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
    with pytest.raises(LeftError, match="names no program"):
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
