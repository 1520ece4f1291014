"""The kinds of targets that a trial can start, and the registry of them.

Four are built in: the greeter, an application, a command with ``{port}``, the address of a server that runs already,
where nothing is started. Of a kind that another package has registered a target is ``KIND:ARGUMENT``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from grpclab.errors import ServerError, UsageError
from grpclab.factors.config import ServerConfig
from grpclab.factors.own import PYTHON, REQUIREMENTS, OwnLevels
from grpclab.servers.placement import Placement, placed
from grpclab.servers.process import program
from grpclab.servers.process.filling import check_arguments
from grpclab.servers.process.launcher import RunningServer, launch, launch_command
from grpclab.servers.process.preparation import Surroundings, prepared
from grpclab.servers.process.program import ServerProgram
from grpclab.servers.process.readiness import TCP
from grpclab.servers.target import DEFAULT_START_S, Target
from grpclab.system.addresses import host_port, parse
from grpclab.system.listeners import listening_at
from grpclab.system.registry import Registry


@dataclass(frozen=True, kw_only=True)
class ServerStart:
    """A trial's order for its server: the `target`, and the user's own factors of it by their names in `own`.

    Only the greeter and an application know what to make of the factors in `config`, and of `seed`. The server runs on
    `cpus`, writes its log to `log_path`, and has the variables `env`, by which its processes are found. It must listen
    within `timeout_s`. The own factors are ``arg.NAME``, ``env.NAME`` and those of the target.
    """

    config: ServerConfig
    target: Target = field(default_factory=Target)
    own: Mapping[str, str] = field(default_factory=OwnLevels)
    seed: int = 1
    cpus: Collection[int] | None = None
    log_path: Path | None = None
    env: Mapping[str, str] | None = None
    timeout_s: float = DEFAULT_START_S
    alternatives: tuple[Mapping[str, str], ...] = ()
    """The own factors of other trials of the same target: an application says which of them it does not take."""
    checkout: str = ""
    """The user's checkout, where a revision of it is started instead; "" for none."""


class TargetKind(Protocol):
    """A way to start a server; another package may register one under ``grpclab.targets``."""

    def check(self, argument: str, option: str) -> None:
        """Raise UsageError, one line, for an argument that no server can be started by; `option` is where it was
        given."""

    def start(self, argument: str, start: ServerStart) -> AbstractContextManager[RunningServer]:
        """The server, running on loopback until the block is left. Raises ServerError."""


GREETING = "greet.GreeterService/SayHello"
"""The method of grpclab's own greeter that is called where no other is named."""

TARGETS: Registry[TargetKind] = Registry(
    "grpclab.targets",
    "target",
    {
        "greeter": "grpclab.servers.targets:GREETER",
        "app": "grpclab.servers.targets:APPLICATION",
        "command": "grpclab.servers.targets:COMMAND",
        "address": "grpclab.servers.targets:ADDRESS",
    },
)


class _Greeter:
    """The built-in service, as its factors say."""

    def check(self, argument: str, option: str) -> None:
        """Its factors have been checked."""

    def start(self, argument: str, start: ServerStart) -> AbstractContextManager[RunningServer]:  # noqa: ARG002
        """A server of this configuration."""
        env = {**(start.env or {}), **OwnLevels(start.own).variables}
        return launch(start.config, seed=start.seed, cpus=start.cpus, log_path=start.log_path, env=env)


class _Command:
    """Any server, by the command that starts it; ``{port}`` in it becomes a free port."""

    def check(self, argument: str, option: str) -> None:
        """See :func:`grpclab.servers.process.program.words_of`."""
        program.words_of(argument, option)

    def start(self, argument: str, start: ServerStart) -> AbstractContextManager[RunningServer]:
        """A server that listens on 127.0.0.1, or on a Unix socket."""
        own = OwnLevels(start.own)
        return launch_command(
            argument,
            arguments=own.arguments,
            changes=own.variables,
            cwd=start.target.cwd,
            ready=start.target.ready or TCP,
            security=start.target.security.reread(),
            cpus=start.cpus,
            log_path=start.log_path,
            env=start.env,
            start_timeout_s=start.timeout_s,
        )


class _Application:
    """A user's servicers, hosted under the factors of a server."""

    def check(self, argument: str, option: str) -> None:
        """Only the server's process can import it."""
        from grpclab.servers.hosting.application import check_application

        check_application(argument, option)

    def start(self, argument: str, start: ServerStart) -> AbstractContextManager[RunningServer]:
        """A server of this configuration with the application's servicers."""
        from grpclab.servers.hosting.application import interpreter, launch_application

        own = OwnLevels(start.own)
        interpreter(own.get(PYTHON, ""), PYTHON)
        return launch_application(
            argument,
            start.config,
            arguments=own.arguments,
            alternatives=[OwnLevels(other).arguments for other in start.alternatives],
            app_dir=start.target.app_dir,
            cwd=start.target.cwd,
            python=own.get(PYTHON) or start.target.python,
            checkout=start.checkout,
            cpus=start.cpus,
            log_path=start.log_path,
            env={**(start.env or {}), **own.variables},
            seed=start.seed,
            timeout_s=start.timeout_s,
        )


class _Address:
    """A server that runs already: nothing is started, and nothing is stopped."""

    def check(self, argument: str, option: str) -> None:
        """See :meth:`.Target.check`."""

    def start(self, argument: str, start: ServerStart) -> AbstractContextManager[RunningServer]:
        """The server as it is. Its processes are known where they are of this machine and of this user."""
        return _running_at(argument, start)


@contextlib.contextmanager
def _running_at(address: str, start: ServerStart) -> Iterator[RunningServer]:
    security, log_path = start.target.security.reread(), start.log_path or Path()
    target = host_port(address, remote=bool(security.remote))
    yield RunningServer(
        process=None,
        target=target,
        port=parse(address, remote=bool(security.remote))[1],
        pids=[] if security.remote else listening_at(target),
        log_path=log_path,
        security=security,
    )


GREETER, APPLICATION, COMMAND, ADDRESS = _Greeter(), _Application(), _Command(), _Address()


def is_registered(text: str) -> bool:
    """True if a text names a kind of another package, with or without an argument."""
    name = text.partition(":")[0]
    return program.PORT not in text and name not in TARGETS.builtin and name in TARGETS


def kind_of(target: Target) -> tuple[TargetKind, str]:
    """The kind of a target, and its argument."""
    if target.command and is_registered(target.command):
        name, _, argument = target.command.partition(":")
        return TARGETS[name], argument
    return TARGETS[target.kind], target.text


Arguments = Mapping[str, Mapping[str, str]]
"""The levels of ``arg.NAME`` by NAME, in each configuration of a target, the baseline first."""


def check(target: Target, option: str = "", configurations: Arguments | None = None) -> None:
    """Raise UsageError for a target that cannot be started here; `option` is where it was given.

    `configurations` are the arguments of all that it is to be started with.
    """
    target.check(option)
    kind, argument = kind_of(target)
    option = option or target.kind
    if kind is not COMMAND:
        kind.check(argument, option)
    first = dict(next(iter((configurations or {}).values()), {}))
    for name, command in (("prepare", target.prepare), ("cleanup", target.cleanup)):
        if command:
            program.require_program(command, name, arguments=first, cwd=target.cwd)
    if target.python:
        from grpclab.servers.hosting.application import interpreter

        interpreter(target.python)
    if kind is COMMAND:
        program.words_of(argument, option, arguments=first, cwd=target.cwd, built=bool(target.prepare))
        check_arguments((argument, target.prepare, target.cleanup), configurations or {}, option)


def serves_greeter(target: Target) -> bool:
    """Return whether a target is known to serve grpclab's own greeter: built in, or by ``grpclab serve``."""
    if target.own or (target.command and is_registered(target.command)):
        return True
    words = target.command.split()
    return any(Path(program).name == "grpclab" and word == "serve" for program, word in itertools.pairwise(words))


def require_call(target: Target, call: str, where: str = "--call") -> None:
    """Raise UsageError, one line, where nobody said which method of a user's own server is called.

    `where` is the option, or the key of a file, that would say it.
    """
    if call or serves_greeter(target):
        return
    kinds = {
        "app": (target.app, f"`grpclab init --app {target.app}` lists"),
        "address": (f"the server at {target.address}", f"`grpclab init {target.address}` lists"),
        "command": ("the command's server", "while it runs, `grpclab init ADDRESS` lists"),
    }
    whose, names = kinds[target.kind]
    raise UsageError(
        f"{where} is missing: expected a method of {whose}, e.g. shop.v1.Till/Pay; {names} its methods"
        f" (grpclab's own greeter has {GREETING})"
    )


def start(how: ServerStart) -> AbstractContextManager[RunningServer]:
    """The server of a target, running until the block is left, at the revision and with the packages that its own
    factors name. Raises UsageError or ServerError.
    """
    where = placed(how.target, how.own)
    how = dataclasses.replace(how, target=where.target, own=where.own, checkout=where.checkout)
    kind, argument = kind_of(how.target)
    server = kind.start(argument, how)
    if how.target.prepare or how.target.cleanup:
        server = _surrounded(server, how)
    return _identified(server, where) if where.commit or where.versions else server


@contextlib.contextmanager
def _identified(starting: AbstractContextManager[RunningServer], where: Placement) -> Iterator[RunningServer]:
    """A server whose program has the commit and the packages of its placement. Raises ServerError where the server
    has others."""

    def identified(found: ServerProgram) -> ServerProgram:
        return dataclasses.replace(
            found,
            versions={**where.versions, **found.versions},
            commit=found.commit or where.commit,
            dirty=found.dirty if found.commit else where.dirty,
        )

    with starting as server:
        for name, version in server.program.versions.items():
            if where.versions.get(name, version) != version:
                raise ServerError(
                    f"{REQUIREMENTS} did not take effect: {name} {where.versions[name]} was installed, but {version} "
                    "was imported (does PYTHONPATH point to another one?)"
                )
        server.program = identified(server.program)
        yield server
    if server.program_at_end is not None:
        server.program_at_end = identified(server.program_at_end)


@contextlib.contextmanager
def _surrounded(starting: AbstractContextManager[RunningServer], how: ServerStart) -> Iterator[RunningServer]:
    """A server between the commands that prepare its start and clean up after its stop."""
    own = OwnLevels(how.own)
    around = Surroundings(
        prepare=how.target.prepare,
        cleanup=how.target.cleanup,
        arguments=own.arguments,
        changes=own.variables,
        cwd=how.target.cwd,
        env=how.env,
        cpus=how.cpus,
        log_path=how.log_path,
    )
    with prepared(around) as times, starting as server:
        server.prepare_s = times.prepare_s
        yield server
    server.cleanup_s = times.cleanup_s


def rehearse(starts: Iterable[ServerStart]) -> None:
    """Start each application once, under each interpreter and implementation, and stop it again.

    So what it refuses, a level that it does not take among it, is known before anything is measured. Raises UsageError
    or ServerError.
    """
    groups: dict[Hashable, list[ServerStart]] = {}
    for how in starts:
        if how.target.app:
            groups.setdefault(rehearsed_as(how), []).append(how)
    for alike in groups.values():
        with rehearsal(alike):
            pass


def rehearsed_as(how: ServerStart) -> Hashable:
    """What is equal in two orders for an application of which one start says whether both can be carried out."""
    own = OwnLevels(how.own)
    variables = tuple(sorted(own.section("env").items()))
    placement = tuple(own.section("target").items())
    return how.target, placement, how.config.implementation, how.config.event_loop, variables


def rehearsal(alike: Sequence[ServerStart]) -> AbstractContextManager[RunningServer]:
    """The application of the first of these orders, which looks at the arguments of the others, too, before it
    registers. Raises UsageError or ServerError."""
    first, *others = alike
    return start(dataclasses.replace(first, alternatives=tuple(other.own for other in others)))
