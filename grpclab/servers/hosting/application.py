"""Start an application, ``MODULE:NAME``, in a process of its own, under the factors of a server.

::

    with launch_application("shop.server:register", ServerConfig(threads=64), app_dir="examples") as server:
        server.target        # "127.0.0.1:41873"
        server.program       # the files that it imported, with their SHA-256, and the versions of its interpreter

Only that process imports the application (:mod:`grpclab.servers.hosting.host`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grpclab.errors import FactorError, UsageError, invalid
from grpclab.factors.channel_args import server_args
from grpclab.factors.config import FACTORS, ServerConfig
from grpclab.factors.implementations import check_hosting, check_lacking
from grpclab.factors.levels import Level, format_level
from grpclab.servers import elastic
from grpclab.servers.hosting import host
from grpclab.servers.process.collector import collected, scratch
from grpclab.servers.process.health import health_status
from grpclab.servers.process.launcher import COMMAND_TIMEOUT_S, RunningServer, launched
from grpclab.servers.process.program import ServerProgram
from grpclab.servers.process.sidecar import beside
from grpclab.system.notices import Notice
from grpclab.system.temporary import TemporaryFolder
from grpclab.system.transport import PLAINTEXT, Security

SEED_VARIABLE = "GRPCLAB_SEED"
"""The trial's seed, for an application that draws."""
OF_THE_GREETER = ("handler_work_us", "handler_wait_ms", "response_bytes", "stream_messages", "stream_interval_ms")
"""Factors of the server, by their last part, that only the greeter's handler knows."""
BESIDE = ("desk", "scrape_s")
"""Those of what runs beside the application, of which its process knows nothing."""
END_TIMEOUT_S = 14.0
"""So long an application may take to drain and to close, each of which is bounded itself."""

_APPLICATION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
MOST_MODULES = 3
"""So many are named that came from a checkout."""
log = logging.getLogger("grpclab.serve")
_told: set[Notice] = set()


@dataclass(frozen=True, kw_only=True)
class ApplicationOrder:
    """The order to host an application; `settings` are factors of the server by their last part."""

    app: str
    app_dir: str
    settings: Mapping[str, Level]
    arguments: Mapping[str, str]
    """The user's own ``arg.NAME``, without ``arg.``."""
    alternatives: tuple[Mapping[str, str], ...] = ()
    """Further arguments, which are looked at before anything is registered, as those of later trials."""
    channel_arguments: tuple[tuple[str, int], ...] = ()
    host: str = "127.0.0.1"
    port: int = 0
    shared_port: bool = False
    tls_folder: str = ""
    """Holds the certificate and its key; "" for no TLS."""
    parts: str = ""
    """The folder of the modules that factors need: the pool that lends spare threads, interceptors, tracing."""
    checkout: str = ""
    """The user's checkout, where a revision of it is hosted instead: it says which modules came from there."""
    cwd: str = ""
    timeout_s: float = COMMAND_TIMEOUT_S
    """The time within which it has to answer: what it waits for then is in its log."""
    drain_delay_s: float = 0.0
    """When it is stopped, its health service reports NOT_SERVING for so long before it refuses calls."""


def check_application(app: str, name: str = "app") -> None:
    """Raise UsageError for what is not ``MODULE:NAME``; `name` is where it was given. Nothing is imported."""
    if not _APPLICATION.fullmatch(app):
        raise UsageError(invalid(name, app, "MODULE:NAME, e.g. shop.server:register"))


def check_factors(config: ServerConfig) -> None:
    """Raise FactorError for a factor that is set and that an application's server does not have."""
    check_hosting(config.implementation)
    levels = {f"server.{name}": level for name, level in vars(config).items()}
    check_lacking(levels, {name: FACTORS[name].default for name in levels})
    for name in OF_THE_GREETER:
        factor, level = FACTORS[f"server.{name}"], getattr(config, name)
        if level != factor.default:
            expected = (
                f"{format_level(factor.default)} for an application, since only grpclab's own greeter supports it"
            )
            raise FactorError(invalid(f"server.{name}", format_level(level), expected))


def application_folder(app_dir: str, name: str = "app-dir") -> str:
    """The absolute path of an application's folder, by default the working folder. Raises UsageError."""
    folder = os.path.abspath(app_dir or os.curdir)
    if not os.path.isdir(folder):
        raise UsageError(invalid(name, app_dir, "the folder from which the application is imported"))
    return folder


def interpreter(python: str, name: str = "python") -> str:
    """The path of the interpreter that hosts an application, by default our own. Raises UsageError.

    A path is not followed where it is a link: an interpreter knows its environment by it.
    """
    if not python:
        return sys.executable
    path = os.path.abspath(os.path.expanduser(python)) if os.sep in python else shutil.which(python)
    if path is None or not os.path.isfile(path) or not os.access(path, os.X_OK):
        where = "on the PATH" if os.sep not in python else "that can be run"
        raise UsageError(invalid(name, python, f"a Python interpreter {where}"))
    if path not in _PYTHONS:
        if not _is_python(path):
            raise UsageError(
                invalid(name, python, "a Python interpreter, e.g. .venv/bin/python; this is a different program")
            )
        _PYTHONS.add(path)
    return path


_PYTHONS: set[str] = set()
"""The interpreters that this process knows to be some."""
_ANSWER = "grpclab-python-3"
_QUESTION = "import sys; print('-'.join(['grpclab', 'python', str(sys.version_info[0])]))"
_ANSWER_TIMEOUT_S = 20.0


def _is_python(path: str) -> bool:
    """Whether a program does what Python does with ``-c``. One that never ends, or writes without end, is none."""
    try:
        with subprocess.Popen(
            [path, "-c", _QUESTION], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as program:
            overdue = threading.Timer(_ANSWER_TIMEOUT_S, program.kill)
            overdue.start()
            try:
                assert program.stdout is not None
                return program.stdout.read(1 << 16).decode(errors="replace").strip().endswith(_ANSWER)
            finally:
                overdue.cancel()
                program.kill()
    except OSError:  # of another architecture, or a script without a first line that says by what it is run
        return False


def lacking(python: str, modules: Collection[str]) -> set[str]:
    """Those of these modules that an interpreter cannot import. Raises UsageError."""
    words = [interpreter(python), "-c", _IMPORTS, *sorted(modules)]
    found = subprocess.run(words, capture_output=True, text=True, timeout=_ANSWER_TIMEOUT_S, check=False)
    return set(modules) - set(found.stdout.split())


_IMPORTS = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError:
        continue
    print(name)
"""


def host_words(python: str = "") -> list[str]:
    """The words of the program that hosts an application. Raises UsageError."""
    return [interpreter(python), os.path.abspath(host.__file__)]


def issued(stack: contextlib.ExitStack, config: ServerConfig) -> tuple[str, Security]:
    """A folder with a new certificate and its key, and the security of connections to a server that has them; "" and
    plain text without TLS."""
    if not config.tls:
        return "", PLAINTEXT
    from grpclab.servers import tls

    folder = stack.enter_context(TemporaryFolder())
    return str(folder), tls.issue(folder, mutual=config.mutual_tls)


def counters(stack: contextlib.ExitStack, config: ServerConfig) -> dict[str, str]:
    """The variable with the folder in which an application's processes count their calls; empty without metrics."""
    if not config.metrics:
        return {}
    from grpclab.servers.instrumentation import FOLDER_VARIABLE

    return {FOLDER_VARIABLE: str(stack.enter_context(TemporaryFolder()))}


def application_order(
    app: str,
    config: ServerConfig,
    *,
    arguments: Mapping[str, str] | None = None,
    alternatives: Sequence[Mapping[str, str]] = (),
    app_dir: str = "",
    cwd: str = "",
    host: str = "127.0.0.1",
    port: int = 0,
    tls_folder: str = "",
    checkout: str = "",
    timeout_s: float = COMMAND_TIMEOUT_S,
    drain_delay_s: float = 0.0,
) -> ApplicationOrder:
    """The order to host an application. Raises UsageError; see :func:`launch_application`."""
    check_application(app)
    check_factors(config)
    known = [name.partition(".")[2] for name in FACTORS if name.startswith("server.")]
    return ApplicationOrder(
        app=app,
        app_dir=application_folder(app_dir or cwd),
        settings={name: getattr(config, name) for name in known if name not in (*OF_THE_GREETER, *BESIDE)},
        arguments=dict(arguments or {}),
        alternatives=tuple(alternatives),
        channel_arguments=tuple(pair for pair in server_args(config) if pair[0] != "grpc.so_reuseport"),
        host=host,
        port=port,
        tls_folder=tls_folder,
        parts=os.path.dirname(os.path.abspath(elastic.__file__)),
        checkout=checkout,
        cwd=application_folder(cwd, "cwd"),
        timeout_s=timeout_s,
        drain_delay_s=drain_delay_s,
    )


@contextlib.contextmanager
def launch_application(
    app: str,
    config: ServerConfig,
    *,
    arguments: Mapping[str, str] | None = None,
    alternatives: Sequence[Mapping[str, str]] = (),
    app_dir: str = "",
    cwd: str = "",
    python: str = "",
    checkout: str = "",
    cpus: Collection[int] | None = None,
    log_path: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    seed: int = 1,
    timeout_s: float = COMMAND_TIMEOUT_S,
    port: int = 0,
) -> Iterator[RunningServer]:
    """Host an application on loopback until the block is left.

    `arguments` are the user's own factors ``arg.NAME``, without ``arg.``; `alternatives` those of other trials, which
    are looked at before anything is registered. It runs in the folder `cwd`, and is imported from `app_dir`, by default
    the same. `python` is the interpreter, by default our own. Where these are folders of a worktree, `checkout` is the
    user's, from which nothing should be imported. `env` changes the environment; None unsets a variable. It must answer
    within `timeout_s`. Raises UsageError for what cannot be right, ServerError where the application raises an
    exception.
    """
    with contextlib.ExitStack() as stack:
        folder, security = issued(stack, config)
        own = scratch(config, stack.enter_context(TemporaryFolder()))
        counting = counters(stack, config)
        changes = {SEED_VARIABLE: str(seed), **own, **counting}
        order = application_order(
            app,
            config,
            arguments=arguments,
            alternatives=alternatives,
            app_dir=app_dir,
            cwd=cwd,
            port=port,
            tls_folder=folder,
            checkout=checkout,
            timeout_s=timeout_s,
        )
        server = stack.enter_context(
            launched(
                host_words(python),
                order,
                cpus=cpus,
                log_path=log_path,
                env={**changes, **stack.enter_context(collected(config, env, cpus))},
                security=security,
                healthy=False,
                timeout_s=timeout_s,
            )
        )
        server.end_timeout_s = END_TIMEOUT_S
        if config.desk:
            counted = "".join(counting.values())
            desk = stack.enter_context(beside(server.pids, folder=counted, heap=False, cpus=cpus))
            server.desk, server.helpers = desk.address, [desk.pid]
        if server.own_health:
            server.health = health_status(server.target, security)
            if server.health not in ("SERVING", "UNIMPLEMENTED"):
                _note(server, "health", f"the health service of {app} reports {server.health}")
        if server.from_checkout:
            names = ", ".join(server.from_checkout[:MOST_MODULES])
            more = len(server.from_checkout) - MOST_MODULES
            names += f" and {more} more" if more > 0 else ""
            text = f"{app} imported {names} from {checkout}, not from the revision"
            _note(server, "revision", text, "set app-dir to a folder from which they can also be imported")
        yield server
        server.stop()
        if server.trouble:
            _note(server, "closing", server.trouble)
        if server.program_at_end is not None:
            late, changed = program_changes(server.program, server.program_at_end)
            if late:
                log.info("%s imported modules after registering: %s", app, ", ".join(late))
            if changed:
                _note(
                    server,
                    "changed",
                    f"files of {app} changed while it was running: {', '.join(changed)}",
                    "measure again",
                )


def _note(server: RunningServer, kind: str, text: str, remedy: str = "") -> None:
    """Keep a warning beside the server's figures, and log it, once in this process."""
    notice = Notice(kind=kind, severity="warning", text=text, remedy=remedy)
    server.notices.append(notice)
    if notice not in _told:
        _told.add(notice)
        log.warning("%s", notice)


def program_changes(before: ServerProgram, after: ServerProgram) -> tuple[list[str], list[str]]:
    """The files of a program that are there only `after`, and those whose content is another one then."""
    known = {file.name: {other.sha256 for other in before.files if other.name == file.name} for file in before.files}
    late = {file.name for file in after.files if file.name not in known}
    changed = {file.name for file in after.files if file.name in known and file.sha256 not in known[file.name]}
    return sorted(late), sorted(changed)
