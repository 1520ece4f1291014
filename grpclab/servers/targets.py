"""The kinds of targets that a trial can start, and the registry of them.

A target is a text: nothing for the greeter, a command with ``{port}``, or ``KIND:ARGUMENT`` of a kind that another
package has registered. The address of a running server starts nothing, so it is no kind: ``grpclab bench`` loads it as
it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from grpclab.factors.config import ServerConfig
from grpclab.factors.own import OwnLevels
from grpclab.servers.process import program
from grpclab.servers.process.launcher import COMMAND_TIMEOUT_S, RunningServer, launch, launch_command
from grpclab.system.registry import Registry


@dataclass(frozen=True, kw_only=True)
class ServerStart:
    """A trial's order for its server. Only the greeter knows what to make of the factors in `config`, and of `seed`.

    The server runs on `cpus`, writes its log to `log_path`, and has the variables `env`, by which its processes are
    found. It must listen within `timeout_s`. `own` are the levels of the user's own factors: ``arg.NAME``, ``env.NAME``
    and ``target.python``.
    """

    config: ServerConfig
    own: Mapping[str, str] = field(default_factory=OwnLevels)
    seed: int = 1
    cpus: Collection[int] | None = None
    log_path: Path | None = None
    env: Mapping[str, str] | None = None
    timeout_s: float = COMMAND_TIMEOUT_S


class TargetKind(Protocol):
    """A way to start a server; another package may register one under ``grpclab.targets``."""

    def check(self, argument: str, option: str) -> None:
        """Raise UsageError, one line, for an argument that no server can be started by; `option` is where it was
        given."""

    def start(self, argument: str, start: ServerStart) -> AbstractContextManager[RunningServer]:
        """The server, running on loopback until the block is left. Raises ServerError."""


TARGETS: Registry[TargetKind] = Registry(
    "grpclab.targets",
    "target",
    {"greeter": "grpclab.servers.targets:GREETER", "command": "grpclab.servers.targets:COMMAND"},
)


class _Greeter:
    """The built-in service, as its factors say."""

    def check(self, argument: str, option: str) -> None:
        """Its factors have been checked."""

    def start(self, argument: str, start: ServerStart) -> AbstractContextManager[RunningServer]:  # noqa: ARG002
        """A server of this configuration."""
        return launch(start.config, seed=start.seed, cpus=start.cpus, log_path=start.log_path, env=start.env)


class _Command:
    """Any server, by the command that starts it; ``{port}`` in it becomes a free port."""

    def check(self, argument: str, option: str) -> None:
        """See :func:`grpclab.servers.process.program.words_of`."""
        program.words_of(argument, option)

    def start(self, argument: str, start: ServerStart) -> AbstractContextManager[RunningServer]:
        """A server that listens on 127.0.0.1 without TLS."""
        return launch_command(
            argument, cpus=start.cpus, log_path=start.log_path, env=start.env, start_timeout_s=start.timeout_s
        )


GREETER, COMMAND = _Greeter(), _Command()


def is_registered(text: str) -> bool:
    """True if a text names a kind of another package, with or without an argument."""
    name = text.partition(":")[0]
    return program.PORT not in text and name not in TARGETS.builtin and name in TARGETS


def kind_of(text: str) -> tuple[TargetKind, str]:
    """The kind of a target, and its argument."""
    if is_registered(text):
        name, _, argument = text.partition(":")
        return TARGETS[name], argument
    return TARGETS["command" if text else "greeter"], text


def check(text: str, option: str = "command") -> None:
    """Raise UsageError for a target that cannot be started here; `option` is where it was given."""
    kind, argument = kind_of(text)
    kind.check(argument, option)


def start(text: str, how: ServerStart) -> AbstractContextManager[RunningServer]:
    """The server of a target, running until the block is left. Raises UsageError or ServerError."""
    kind, argument = kind_of(text)
    return kind.start(argument, how)
