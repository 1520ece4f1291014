"""The target: the system under test, as a user names it.

::

    Target()                                        the built-in greeter, as its factors say
    App("shop.server:register")                     an application, hosted under every factor of a server
    Command("./srv --port {port}")                  a command that starts a server in any language
    Address("localhost:50061")                      a server that runs already: nothing is started
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

from grpclab.errors import UsageError, invalid
from grpclab.system.addresses import host_port
from grpclab.system.allowance import SharedAllowance
from grpclab.system.transport import PLAINTEXT, Security
from grpclab.text import credentials

MOST_START_S = 3600.0
"""The longest wait for a server that is started."""
DEFAULT_START_S = 25.0
"""The wait for a server that is started, unless told otherwise."""

_KINDS = ("variant", "app", "command", "address")
BELONGS = {
    "app_dir": ("app",),
    "python": ("app",),
    "cwd": ("app", "command"),
    "ready": ("command",),
    "prepare": ("app", "command"),
    "cleanup": ("app", "command"),
    "security": ("command", "address"),
}
"""The kinds of targets that each further field is for."""
_NEEDS = {"app": "an application (app)", "command": "a command", "address": "an address"}


@dataclass(frozen=True, kw_only=True)
class Target:
    """The system under test: one of `variant`, `app`, `command` or `address`; without any of them, the built-in
    greeter.

    - `app` is ``MODULE:NAME``. The interpreter `python` (by default this one) imports the module from the folder
      `app_dir` (by default the working folder).
    - `command` starts a server; ``{port}`` in it is replaced by the server's port. It may also be ``KIND:ARGUMENT``,
      with a kind that another package has registered.
    - `cwd` is the folder in which an application or a command runs.
    - `prepare` is a command that runs before each start of the server, `cleanup` one that runs after each stop.
    - `ready` determines when a command's server counts as ready: when it listens (``tcp``), when its health service
      says so (``health``), or when a line of its log matches (``log:REGEX``). Every server that grpclab starts must be
      ready within `ready_timeout_s`.
    - `security` applies to connections to a command's server or to a running server, which may use TLS.

    Raises UsageError, one line, if the combination is invalid.
    """

    variant: str = ""
    app: str = ""
    command: str = ""
    address: str = ""
    app_dir: str = ""
    python: str = ""
    cwd: str = ""
    ready: str = ""
    ready_timeout_s: float | None = None
    prepare: str = ""
    cleanup: str = ""
    security: Security = PLAINTEXT
    ledger: SharedAllowance | None = field(default=None, compare=False, repr=False)
    """The load that may still be sent to a target on another machine. Never stored: a repeat needs a new permission."""

    def __post_init__(self) -> None:
        for command in (self.command, self.prepare, self.cleanup):
            credentials.learn_command(command)
        given = [name for name in _KINDS if getattr(self, name)]
        if len(given) > 1:
            raise UsageError(f"{given[0]} and {given[1]} are both targets: use one of {', '.join(_KINDS)}")
        for name, kinds in BELONGS.items():
            value = getattr(self, name)
            if value not in ("", PLAINTEXT) and self.kind not in kinds:
                wanted = " or ".join(_NEEDS[kind] for kind in kinds)
                if name == "security":
                    raise UsageError(
                        f"TLS options apply only to {wanted}; for a server that grpclab hosts, set server.tls"
                    )
                raise UsageError(f"{_written(name)} requires {wanted}")
        if self.ready:
            _check_ready(self.ready)
        if self.ready_timeout_s is not None and not 0 < self.ready_timeout_s <= MOST_START_S:
            wanted = f"seconds above 0, up to {MOST_START_S:,.0f}"
            raise UsageError(invalid("ready-timeout", f"{self.ready_timeout_s:g}", wanted))

    @property
    def kind(self) -> str:
        """``app``, ``command`` or ``address``; ``greeter`` for the built-in service, whatever its factors are."""
        return next((name for name in _KINDS[1:] if getattr(self, name)), "greeter")

    @property
    def own(self) -> bool:
        """Whether the target is the built-in greeter."""
        return self.kind == "greeter"

    @property
    def text(self) -> str:
        """The application, the command or the address, as the user wrote it; "" for the greeter."""
        return "" if self.own else str(getattr(self, self.kind))

    @property
    def start_timeout_s(self) -> float:
        """The longest time to wait for the server to start."""
        return DEFAULT_START_S if self.ready_timeout_s is None else self.ready_timeout_s

    def check(self, option: str = "") -> None:
        """Raise UsageError if what the target names does not exist; `option` is the option that named it."""
        for name in ("app_dir", "cwd"):
            folder = getattr(self, name)
            if folder and not Path(folder).is_dir():
                raise UsageError(invalid(_written(name), folder, f"a folder, below {Path.cwd()}"))
        if self.python and shutil.which(self.python) is None:
            raise UsageError(invalid("python", self.python, "a working interpreter"))
        if self.address:
            try:
                host_port(self.address, remote=bool(self.security.remote))
            except UsageError as error:
                raise UsageError(str(error).replace("invalid target=", f"invalid {option or 'address'}=", 1)) from None

    def given(self) -> Iterator[tuple[str, str | float]]:
        """The fields that were set, with their values."""
        for one in fields(self):
            if one.compare and (value := getattr(self, one.name)) != one.default:
                yield one.name, value


def _written(name: str) -> str:
    return name.replace("_", "-")


def _check_ready(ready: str) -> None:
    kind, _, pattern = ready.partition(":")
    wanted = 'health, tcp or log:REGEX, e.g. "log:listening on"'
    if ready not in ("health", "tcp") and not (kind == "log" and pattern):
        raise UsageError(invalid("ready", ready, wanted))
    if kind == "log":
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(invalid("ready", ready, f"a valid regular expression: {error}")) from None


def App(  # noqa: N802  # one word for the user, beside Command and Address
    name: str,
    *,
    app_dir: str | os.PathLike[str] = "",
    python: str | os.PathLike[str] = "",
    cwd: str | os.PathLike[str] = "",
    ready_timeout_s: float | None = None,
    prepare: str = "",
    cleanup: str = "",
) -> Target:
    """An application ``MODULE:NAME``: a function that registers servicers on a server. Raises UsageError."""
    return Target(
        app=name,
        app_dir=os.fspath(app_dir),
        python=os.fspath(python),
        cwd=os.fspath(cwd),
        ready_timeout_s=ready_timeout_s,
        prepare=prepare,
        cleanup=cleanup,
    )


def Command(  # noqa: N802
    command: str,
    *,
    security: Security = PLAINTEXT,
    cwd: str | os.PathLike[str] = "",
    ready: str = "",
    ready_timeout_s: float | None = None,
    prepare: str = "",
    cleanup: str = "",
) -> Target:
    """A server that a command starts; ``{port}`` in it is replaced by a free port. Raises UsageError."""
    return Target(
        command=command,
        cwd=os.fspath(cwd),
        ready=ready,
        ready_timeout_s=ready_timeout_s,
        prepare=prepare,
        cleanup=cleanup,
        security=security,
    )


def Address(address: str, *, security: Security = PLAINTEXT) -> Target:  # noqa: N802
    """A server that is already running at ``HOST:PORT``. Raises UsageError."""
    return Target(address=address, security=security)
