"""Servers by their commands: how they are filled, when they are ready, how they end, and that nothing outlives them."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import grpclab
from grpclab.errors import ServerError
from grpclab.factors.config import ServerConfig
from grpclab.factors.own import OwnLevels
from grpclab.servers import targets
from grpclab.servers.process.launcher import RunningServer, launch_command
from grpclab.servers.process.preparation import Surroundings, prepared
from grpclab.servers.targets import ServerStart
from grpclab.system import subprocesses
from tests.support.processes import until
from tests.support.stand_ins import stand_in

Ours = Callable[[], list[int]]


def told(path: Path) -> Any:
    return json.loads(path.read_text())


def refused(starting: AbstractContextManager[RunningServer]) -> str:
    with pytest.raises(ServerError) as caught, starting:
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- what it is started with -------------------------------------------------------------------------------------


def test_words_variables_and_folder_are_those_of_the_plan(
    tmp_path: Path, ours: Ours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILL_OLD", "1")
    folder = tmp_path / "till"
    folder.mkdir()
    command = stand_in(tmp_path, f"mark={tmp_path}/mark", "port={port}", "name={name}", "other={other}", "{left_out}")
    own = {"arg.name": "a b {port}", "arg.left_out": "", "env.TILL_NEW": "x y", "env.TILL_OLD": "none"}
    target = grpclab.Command(command, cwd=folder)
    with targets.start(ServerStart(config=ServerConfig(), target=target, own=OwnLevels(own))) as server:
        assert server.target == f"127.0.0.1:{server.port}"
        seen = told(tmp_path / "mark")
    assert seen["words"][1:] == [f"port={server.port}", "name=a b {port}", "other={other}"]
    assert seen["env"]["TILL_NEW"] == "x y"
    assert "TILL_OLD" not in seen["env"]
    assert os.environ["TILL_OLD"] == "1"
    assert Path(seen["cwd"]) == folder
    assert [file.name for file in server.program.files][1:] == ["stand_in.py"]
    assert ours() == []


def test_a_server_may_listen_on_a_unix_socket(tmp_path: Path, ours: Ours) -> None:
    with launch_command(stand_in(tmp_path, "socket={socket}")) as server:
        assert (server.port, server.target.partition(":")[0]) == (0, "unix")
        before = sum(server.connections())
        with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
            for connection in (one, other):
                connection.connect(server.target.removeprefix("unix:"))
            assert until(lambda: sum(server.connections()) == before + 2)
    assert ours() == []


# ---- when it is ready --------------------------------------------------------------------------------------------


def test_a_log_that_says_so_makes_a_server_ready(tmp_path: Path) -> None:
    with launch_command(stand_in(tmp_path, "port={port}", "says=ready:5"), ready=r"log:^ready:\d$") as server:
        assert server.alive


def test_a_log_that_never_says_so_is_told_with_what_it_said(tmp_path: Path, ours: Ours) -> None:
    command = stand_in(tmp_path, "port={port}", "says=warming")
    error = refused(launch_command(command, ready="log:ready", start_timeout_s=2))
    assert "did not write a line that matches ready within 2 s" in error
    assert error.endswith("its last line was: warming")
    assert ours() == []


@pytest.mark.long  # loads grpcio in the process that asks
def test_a_server_without_a_health_service_is_not_healthy(tmp_path: Path, ours: Ours) -> None:
    error = refused(launch_command(stand_in(tmp_path, "port={port}"), ready="health", start_timeout_s=3))
    assert "did not become healthy: its health service says DEADLINE_EXCEEDED within 3 s" in error
    assert ours() == []


def test_a_server_that_starts_slowly_is_waited_for(tmp_path: Path) -> None:
    with launch_command(stand_in(tmp_path, "port={port}", "starts_in=1.2"), start_timeout_s=60) as server:
        assert server.alive


# ---- how it ends -------------------------------------------------------------------------------------------------


def test_a_server_that_exits_at_once_is_told_with_its_last_lines(tmp_path: Path, ours: Ours) -> None:
    error = refused(launch_command(stand_in(tmp_path, "port={port}", "says='one\ntwo'", "exits=7")))
    assert "ended with exit code 7 before it listened on port" in error
    assert error.endswith("its last lines were: one | two")
    assert ours() == []


def test_a_server_that_never_listens_is_given_up(tmp_path: Path, ours: Ours) -> None:
    error = refused(launch_command(stand_in(tmp_path, "{port}=1", "says=idle", "never=1"), start_timeout_s=2))
    assert "did not listen on 127.0.0.1:" in error
    assert error.endswith("(--start-timeout, ready-timeout); its last line was: idle")
    assert ours() == []


@pytest.mark.parametrize("way", ["away", "stays"])
def test_a_server_in_a_session_of_its_own_leaves_no_process(way: str, tmp_path: Path, ours: Ours) -> None:
    command = stand_in(tmp_path, "port={port}", f"session={way}", "starts_in=0.2")
    if way == "away":
        error = refused(launch_command(command, start_timeout_s=30))
        assert "it continued in the background" in error
    else:
        with launch_command(command) as server:
            assert len(server.pids) == 2
    assert until(lambda: ours() == [])


@pytest.mark.long  # 5 s until it is killed
def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path, ours: Ours) -> None:
    with launch_command(stand_in(tmp_path, "port={port}", "stubborn=1")) as server:
        assert server.alive
    assert ours() == []


def test_a_server_that_prints_a_lot_leaves_a_short_log(tmp_path: Path, ours: Ours) -> None:
    log = tmp_path / "server.log"
    with launch_command(stand_in(tmp_path, "says=first", "prints=32", "port={port}"), log_path=log):
        pass
    assert log.stat().st_size < 3 << 20
    text = log.read_text()
    assert text.startswith("first\n")
    assert text.endswith("last words\n")
    assert ours() == []


def test_a_line_without_an_end_is_told_apart_from_why_it_ended(tmp_path: Path) -> None:
    with launch_command(stand_in(tmp_path, "port={port}", "then=no_end")) as server:
        for pid in server.pids:
            os.kill(pid, 9)
        assert until(lambda: not server.alive)
        with pytest.raises(ServerError, match=r"^the command was killed by SIGKILL; its last line was: no_end$"):
            server.require_alive()


# ---- the commands beside it --------------------------------------------------------------------------------------


@pytest.fixture
def around(tmp_path: Path) -> Callable[..., Surroundings]:
    def make(prepare: str = "", cleanup: str = "", timeout_s: float = 60.0) -> Surroundings:
        return Surroundings(
            prepare=prepare,
            cleanup=cleanup,
            arguments={"rows": "1 2"},
            changes={"TILL_NEW": "3"},
            cwd=str(tmp_path),
            log_path=tmp_path / "server.log",
            timeout_s=timeout_s,
        )

    return make


def sh(script: str) -> str:
    return f"sh -c '{script}' {{rows}}"


def test_a_server_is_prepared_and_cleaned_up_after_in_its_folder_and_environment(tmp_path: Path, ours: Ours) -> None:
    target = grpclab.Command(
        stand_in(tmp_path, "port={port}", f"mark={tmp_path}/mark"),
        cwd=tmp_path,
        prepare=sh("echo $0 $TILL_NEW >> done; test ! -e mark"),
        cleanup=sh("echo after >> done; test -e mark"),
    )
    own = OwnLevels({"arg.rows": "1 2", "env.TILL_NEW": "3"})
    for _ in range(2):
        (tmp_path / "mark").unlink(missing_ok=True)
        with targets.start(ServerStart(config=ServerConfig(), target=target, own=own)) as server:
            assert server.prepare_s is not None
            assert server.prepare_s > 0
            assert server.cleanup_s is None
        assert server.cleanup_s is not None
        assert server.cleanup_s > 0
    assert (tmp_path / "done").read_text() == "1 2 3\nafter\n" * 2
    assert ours() == []


def test_a_preparation_that_fails_starts_no_server_and_is_cleaned_up_after(tmp_path: Path, ours: Ours) -> None:
    target = grpclab.Command(
        stand_in(tmp_path, "port={port}", f"mark={tmp_path}/mark"),
        prepare="sh -c 'echo no database; exit 4'",
        cleanup=f"touch {tmp_path}/cleaned",
    )
    log = tmp_path / "server.log"
    error = refused(targets.start(ServerStart(config=ServerConfig(), target=target, log_path=log)))
    assert error == "prepare ended with exit code 4: no database"
    assert not (tmp_path / "mark").exists()
    assert (tmp_path / "cleaned").exists()
    assert log.read_text() == "no database\n"
    assert ours() == []


def test_a_clean_up_that_fails_is_an_error_unless_there_was_one_before(around: Callable[..., Surroundings]) -> None:
    with (
        pytest.raises(ServerError, match=r"^cleanup ended with exit code 5: left$"),
        prepared(around(cleanup=sh("echo left; exit 5"))),
    ):
        pass
    with pytest.raises(ZeroDivisionError) as caught, prepared(around(cleanup=sh("exit 5"))):
        raise ZeroDivisionError
    assert caught.value.__notes__ == ["cleanup ended with exit code 5"]


def test_what_a_preparation_leaves_in_the_background_goes_on_until_the_clean_up_has_ended(
    around: Callable[..., Surroundings], tmp_path: Path, ours: Ours
) -> None:
    alive = "kill -0 $(cat pid) && touch was_alive"
    with prepared(around(sh("sleep 600 & echo $! > pid"), sh(alive))):
        assert int((tmp_path / "pid").read_text()) in ours()
    assert (tmp_path / "was_alive").exists()
    assert ours() == []


def test_a_preparation_that_does_not_end_is_given_up_with_all_it_started(
    around: Callable[..., Surroundings], ours: Ours
) -> None:
    with (
        pytest.raises(ServerError, match=r"^prepare did not finish within 0\.3 s"),
        prepared(around(sh("sleep 600 & sleep 600"), timeout_s=0.3)),
    ):
        pass
    assert ours() == []


@pytest.mark.parametrize("command", ["gone-for-good", "'open"])
def test_a_preparation_that_cannot_be_started_is_told(command: str, around: Callable[..., Surroundings]) -> None:
    with pytest.raises(ServerError, match=r"^prepare "), prepared(around(command)):
        pass


def test_ctrl_c_ends_a_preparation_and_cleans_up(
    around: Callable[..., Surroundings], tmp_path: Path, ours: Ours, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        assert until((tmp_path / "begun").exists)
        raise KeyboardInterrupt

    how = around(sh("touch begun; sleep 600"), f"{sys.executable} -c \"open('cleaned', 'w')\"")
    received = subprocesses.Child.receive
    calls: list[int] = []

    def receive(self: Any, *words: Any) -> Any:
        calls.append(1)
        return interrupt() if len(calls) == 1 else received(self, *words)

    monkeypatch.setattr(subprocesses.Child, "receive", receive)
    with pytest.raises(KeyboardInterrupt), prepared(how):
        pass
    assert (tmp_path / "cleaned").exists()
    assert ours() == []
