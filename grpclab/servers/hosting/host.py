"""The program that hosts an application: ``python host.py``, run by its path, by any interpreter that has grpcio 1.60.

One file, which imports no other part of grpclab, so that the interpreter needs nothing but grpcio. It reads one line of
JSON on standard input, an ApplicationOrder of :mod:`grpclab.servers.hosting.application`. Standard input stays open as
the lifeline: when it closes, this process and all that it started end. What it says are lines of JSON on standard
output, each after a mark. What the application prints goes to standard error.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False):
    del sys.path[0]  # the folder of this file: a module there is not meant by an application's import

import asyncio
import base64
import contextlib
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import io
import json
import linecache
import os
import platform
import queue
import select
import signal
import socket
import subprocess
import threading
import traceback
import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType, SimpleNamespace
from typing import Any, NoReturn

MARK = b"\x1e"
DRAIN_S = 5.0
CLOSE_S = 5.0
"""So long the application's ``close()`` may take."""
LATE_SHARE = 0.6
"""Of the time within which a server has to answer: an application that has not registered then is told in the log."""
OLDEST_GRPCIO = (1, 60)
HEALTH = "grpc.health.v1.Health"
REFLECTION = ("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection")
CHANNELZ = "grpc.channelz.v1.Channelz"
THREADED = {"sync": "asyncio", "pygrpc": "pygrpc-asyncio"}
"""The implementations whose handlers run in threads, each with the one of the same library that has an event loop."""
PYGRPC = "pygrpc"
NO_INTERCEPTORS = {"access_log_share": 0, "rate_limit_rps": None, "quota_rps": None, "interceptors": 0}
"""The levels of the server's factors at which there is no interceptor."""
PR_SET_CHILD_SUBREAPER = 36
_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class _RefusedError(Exception):
    """What was asked for cannot be right: one line."""


class _FailedError(Exception):
    """The application raised an exception: one line, and the whole traceback."""

    def __init__(self, line: str, trace: str) -> None:
        super().__init__(line)
        self.trace = trace


# ---- the parent, and what this process started -----------------------------------------------------------------------


class _Parent:
    """The process that started this one. Standard input and output are the application's from then on."""

    def __init__(self) -> None:
        self._in, self._out = os.dup(0), os.dup(1)
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)
        self._lock = threading.Lock()
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._watch, name="lifeline", daemon=True).start()

    def _watch(self) -> None:
        begun = b""
        while True:
            data = os.read(self._in, 1 << 16)
            if not data:
                break
            *lines, begun = (begun + data).split(b"\n")
            for line in lines:
                self._lines.put(line)
        kill_descendants()
        os.kill(os.getpid(), signal.SIGKILL)

    def order(self) -> SimpleNamespace:
        """The order that this process is to carry out."""
        return SimpleNamespace(**json.loads(self._lines.get()))

    def say(self, message: str, **fields: Any) -> None:
        """One message to the parent."""
        line = MARK + json.dumps({"message": message, **fields}).encode() + b"\n"
        with self._lock:
            while line:
                line = line[os.write(self._out, line) :]


def tell(line: str) -> None:
    """Write a line to the log."""
    print(f"grpclab: {line}", file=sys.stderr, flush=True)


def leave(code: int) -> NoReturn:
    """End now, with all that this process started: a handler that never returns must not keep a server alive."""
    kill_descendants()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # an application may have closed or replaced them
            stream.flush()
    os._exit(code)


def adopt_orphans() -> None:
    """Keep what an application starts a descendant of this process, whatever session it moves to (Linux)."""
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> set[int]:
    """The processes that this one started, and they in turn, where the system has /proc; zombies left out."""
    parents = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{name}/stat", "rb") as stat:
                    state, parent = stat.read().rpartition(b")")[2].split()[:2]
                if state not in (b"Z", b"X"):
                    parents[int(name)] = int(parent)
    found = {os.getpid()}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found - {os.getpid()}
        found |= more


def kill_descendants() -> None:
    """Kill all that this process started, with what they start meanwhile."""
    for _ in range(1000):
        left = descendants()
        if not left:
            return
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def stop_signals() -> list[int]:
    """The signals that stop a server; SIGHUP is none of them where nohup has it ignored."""
    hung_up = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, signal.SIGINT, *hung_up]


class _StopSignals:
    """The signals that stop this process, caught from now on. Make one on the main thread.

    They come through a pipe that is written to as soon as one arrives. A handler in Python runs when the main thread
    next runs Python: one that arrives just before that thread begins to wait for a lock would be lost.
    """

    def __init__(self) -> None:
        self._numbers = stop_signals()
        self._pipe, wake = os.pipe()
        os.set_blocking(wake, False)
        for number in self._numbers:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)

    def wait(self, timeout_s: float | None = None) -> int:
        """The number of the next one; 0 where none comes in time."""
        while self._poll.poll(None if timeout_s is None else 1e3 * timeout_s):
            (number,) = os.read(self._pipe, 1)
            if number in self._numbers:  # the application may catch others
                return number
        return 0


def raise_open_files() -> None:
    """Let this process have as many open files as the system permits: each connection is one."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# ---- the application's files -----------------------------------------------------------------------------------------


class _Files:
    """The files of an application: those below its folder, and those of its own package, wherever that lies."""

    def __init__(self, folder: str, app: str) -> None:
        self._folder = os.path.realpath(folder)
        self._package = app.partition(":")[0].partition(".")[0]
        prefix = os.path.realpath(sys.prefix)
        self._environment = prefix if prefix.startswith(self._folder + os.sep) else ""

    def holds(self, path: str) -> bool:
        """Whether a file lies in the folder, and not in an interpreter's environment inside it."""
        real = os.path.realpath(path)
        if not real.startswith(self._folder + os.sep):
            return False
        if self._environment and real.startswith(self._environment + os.sep):
            return False
        parts = real[len(self._folder) :].split(os.sep)
        return not {"site-packages", "dist-packages"} & set(parts)

    def short(self, path: str) -> str:
        """A file's path below the folder; that of another file as it is."""
        real = os.path.realpath(path)
        return real[len(self._folder) + 1 :] if real.startswith(self._folder + os.sep) else path

    def imported(self) -> list[dict[str, Any]]:
        """Each file that this process has imported from among them: name, length, SHA-256."""
        paths: dict[str, str] = {}
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None)
            if name == "__main__" or not isinstance(path, str):
                continue
            own = name == self._package or name.startswith(self._package + ".")
            if self.holds(path):
                paths[self.short(path)] = path
            elif own:
                paths[os.path.join(*name.split("."), os.path.basename(path))] = path
        found = []
        for short, path in sorted(paths.items()):
            with contextlib.suppress(OSError):
                with open(path, "rb") as file:
                    content = file.read()
                digest = hashlib.sha256(content).hexdigest()
                found.append({"name": short, "bytes": len(content), "sha256": digest})
        return found

    def from_checkout(self, checkout: str) -> list[str]:
        """The modules that came from a checkout, where a revision of it is hosted; "" for none."""
        top = os.path.realpath(checkout) + os.sep
        prefix = os.path.realpath(sys.prefix) + os.sep
        found = []
        for name, module in sorted(sys.modules.items()) if checkout else ():
            path = getattr(module, "__file__", None)
            if name == "__main__" or not isinstance(path, str):
                continue
            real = os.path.realpath(path)
            installed = real.startswith(prefix) or {"site-packages", "dist-packages"} & set(real.split(os.sep))
            if real.startswith(top) and not installed and not self.holds(path):
                found.append(name)
        return found

    def last_line(self, error: BaseException) -> str:
        """The last line of the application's own files that an exception came through, as ``FILE, line N: CODE``."""
        if isinstance(error, SyntaxError) and error.filename:
            code = (error.text or "").strip()
            return f"{self.short(error.filename)}, line {error.lineno}{f': {code}' if code else ''}"
        return self.own_line(reversed(list(traceback.walk_tb(error.__traceback__))))

    def own_line(self, frames: Iterable[tuple[FrameType, int]]) -> str:
        """The first of these lines that is the application's own, as ``FILE, line N: CODE``; "" for none."""
        for frame, line in frames:
            path = frame.f_code.co_filename
            module = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if self.holds(path) or module == self._package:
                code = linecache.getline(path, line).strip()
                return f"{self.short(path)}, line {line}{f': {code}' if code else ''}"
        return ""

    def failure(self, what: str, error: BaseException) -> _FailedError:
        """The error about an exception of the application: its type and text, and the last line of its own."""
        text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
        line = self.last_line(error)
        said = f"{type(error).__name__}{f': {text}' if text else ''}"
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        return _FailedError(f"{what}: {said}{f' ({line})' if line else ''}", trace)


def near(word: str, names: Iterable[str]) -> str:
    """``; did you mean A or B?``, of the names that are like a word, or nothing."""
    names = sorted(set(names))
    last = word.rpartition(".")[2]
    same = [name for name in names if name.rpartition(".")[2] == last]
    found = list(dict.fromkeys([*same, *difflib.get_close_matches(word, names, n=3, cutoff=0.5)]))[:3]
    return f"; did you mean {' or '.join(found)}?" if found else ""


def modules_in(folder: str, prefix: str = "", depth: int = 3) -> Iterator[str]:
    """The names of the modules in a folder, and in the packages and folders of modules in it; nothing is imported."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            name, _, ending = entry.name.partition(".")
            if not name.isidentifier():
                continue
            if entry.is_dir() and not ending and depth > 1:
                inner = list(modules_in(entry.path, f"{prefix}{name}.", depth - 1))
                yield from ([prefix + name, *inner] if inner else ())
            elif ending == "py" and name != "__init__":
                yield prefix + name


def load(order: SimpleNamespace, files: _Files) -> Callable[..., Any]:
    """Import the application's module and return its function. Raises _RefusedError or _FailedError."""
    module_name, _, path = order.app.partition(":")
    sys.path.insert(0, order.app_dir)
    importlib.invalidate_caches()
    try:
        found: Any = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and (module_name == missing or module_name.startswith(f"{missing}.")):
            hint = near(module_name, modules_in(order.app_dir))
            raise _RefusedError(
                f"invalid app={order.app}: expected a module in {order.app_dir}; there is no {missing}{hint}"
            ) from None
        raise files.failure(f"the application {order.app} cannot be imported", error) from error
    holder = module_name
    for part in path.split("."):
        if not hasattr(found, part):
            names = [name for name in dir(found) if not name.startswith("_") and callable(getattr(found, name, None))]
            raise _RefusedError(
                f"invalid app={order.app}: expected a function in {holder}; there is no {part}{near(part, names)}"
            )
        found, holder = getattr(found, part), f"{holder}.{part}"
    if not callable(found):
        raise _RefusedError(
            f"invalid app={order.app}: expected a function that registers servicers, got {type(found).__name__}"
        )
    return typing.cast("Callable[..., Any]", found)


# ---- the parameters of register --------------------------------------------------------------------------------------


def bind(register: Callable[..., Any], order: SimpleNamespace, arguments: dict[str, str]) -> dict[str, Any]:
    """The arguments of `register` beside the server: server factors by their last part, else `arguments` by name.

    Raises _RefusedError for a required parameter that nothing fills, and for an argument that no parameter takes.
    """
    try:
        parameters = list(inspect.signature(register).parameters.values())
    except (TypeError, ValueError):  # one in C that does not tell
        parameters = [inspect.Parameter("server", inspect.Parameter.POSITIONAL_ONLY)]
    by_place = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    if not parameters or parameters[0].kind not in by_place:
        raise _RefusedError(f"invalid app={order.app}: expected a function that takes the server first")
    several = [p for p in parameters if p.kind == inspect.Parameter.VAR_POSITIONAL]
    named = [p for p in parameters[0 if parameters[0] in several else 1 :] if p not in several]
    hints = _hints(register)
    filled: dict[str, Any] = {}
    left = dict(arguments)
    for parameter in named:
        name = parameter.name
        if parameter.kind == inspect.Parameter.VAR_KEYWORD:
            continue
        if parameter.kind == inspect.Parameter.POSITIONAL_ONLY:
            if parameter.default is inspect.Parameter.empty:
                raise _RefusedError(
                    f"invalid app={order.app}: expected parameters that can be passed by name; {name} cannot"
                )
        elif name in order.settings:
            filled[name] = order.settings[name]
        elif name in left:
            filled[name] = convert(name, left.pop(name), hints.get(name, parameter.annotation), parameter.default)
        elif parameter.default is inspect.Parameter.empty:
            known = [*order.settings, *(f"arg.{key}" for key in arguments)]
            raise _RefusedError(
                f"invalid app={order.app}: expected a level for its parameter {name}, which is not a server factor; "
                f"set arg.{name}{near(name, known)}"
            )
    if any(p.kind == inspect.Parameter.VAR_KEYWORD for p in named):
        filled.update(left)
    elif left:
        name = sorted(left)[0]
        why = f"server.{name} sets it" if name in order.settings else f"{order.app} has no parameter of that name"
        takes = [p.name for p in named if p.name not in order.settings]
        raise _RefusedError(
            f"invalid arg.{name}={left[name]}: expected the name of a parameter; {why}{near(name, takes)}"
        )
    return filled


def _hints(register: Callable[..., Any]) -> dict[str, Any]:
    function = register if inspect.isroutine(register) or inspect.isclass(register) else type(register).__call__
    with contextlib.suppress(Exception):  # a name that is known to type checkers only
        return typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    return {}


def convert(name: str, text: str, annotation: Any, default: Any) -> Any:
    """The value of an argument's text: a number or truth value where the annotation, else the default, is one."""
    kind = annotation if annotation is not inspect.Parameter.empty else type(default)
    members = [member for member in typing.get_args(kind) if member in (int, float, bool, str)]
    if members:  # int | None
        if type(None) in typing.get_args(kind) and text == "none":
            return None
        kind = members[0]
    plain = {bool: bool, int: int, float: float, "bool": bool, "int": int, "float": float}
    kind = plain.get(kind, str) if isinstance(kind, (type, str)) else str
    try:
        return _WORDS[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        expected = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise _RefusedError(f"invalid arg.{name}={text}: expected {expected}") from None


# ---- what register adds ----------------------------------------------------------------------------------------------


class _Registration:
    """What an application adds to a server while the block runs; a port, or a start, is refused there."""

    def __init__(self, server: Any, app: str, files: _Files) -> None:
        self._server, self._app, self._files = server, app, files
        self.misused = ""
        self.generic: list[Any] = []
        self.methods: dict[str, Any] = {}
        """Their handlers, by ``/package.Service/Method``."""

    def __enter__(self) -> _Registration:
        generic = self._server.add_generic_rpc_handlers

        def add_generic(generic_rpc_handlers: Any) -> Any:
            handlers = tuple(generic_rpc_handlers)
            self._note(handlers)
            return generic(handlers)

        self._replaced: dict[str, Callable[..., Any]] = {"add_generic_rpc_handlers": add_generic}
        registered = getattr(self._server, "add_registered_method_handlers", None)
        if registered is not None:

            def add_registered(service_name: str, method_handlers: Any) -> Any:
                self.methods.update({f"/{service_name}/{name}": one for name, one in method_handlers.items()})
                return registered(service_name, method_handlers)

            self._replaced["add_registered_method_handlers"] = add_registered
        self._refuse("add_insecure_port", "adds a port")
        self._refuse("add_secure_port", "adds a port")
        self._refuse("start", "starts the server")
        self._refuse("wait_for_termination", "waits for the server to stop")
        for name, function in self._replaced.items():
            setattr(self._server, name, function)
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._replaced:
            delattr(self._server, name)

    def _refuse(self, name: str, what: str) -> None:
        def refuse(*_: Any, **__: Any) -> NoReturn:
            line = self._files.own_line(traceback.walk_stack(sys._getframe(1)))
            where = f" ({line})" if line else ""
            self.misused = (
                f"invalid app={self._app}: expected a function that only registers servicers, but it {what}{where}, "
                "which grpclab does itself"
            )
            raise _RefusedError(self.misused)

        self._replaced[name] = refuse

    def _note(self, handlers: Iterable[Any]) -> None:
        for handler in handlers:
            self.generic.append(handler)
            self.methods.update(getattr(handler, "_method_handlers", {}))

    @property
    def services(self) -> list[str]:
        """The names of the services, in the order in which they were added."""
        by_method = [method.strip("/").rpartition("/")[0] for method in self.methods]
        by_name = [handler.service_name() for handler in self.generic if hasattr(handler, "service_name")]
        return list(dict.fromkeys([*by_name, *by_method]))

    def serves(self, service: str, method: str) -> bool:
        """Whether one of the handlers answers for a service."""
        if service in self.services:
            return True
        details = SimpleNamespace(method=f"/{service}/{method}", invocation_metadata=())
        for handler in self.generic:
            with contextlib.suppress(Exception):  # one that knows only methods of its own
                if handler.service(details) is not None:
                    return True
        return False

    def asynchronous(self) -> list[str]:
        """The methods whose handlers are ``async def``."""
        return sorted(method for method, handler in self.methods.items() if _is_async(handler))

    def threaded(self) -> list[str]:
        """The methods whose handlers are not."""
        return sorted(method for method, handler in self.methods.items() if not _is_async(handler))


def _is_async(handler: Any) -> bool:
    function = next((one for one in (getattr(handler, kind, None) for kind in _KINDS) if one is not None), None)
    looked = [function] if inspect.isroutine(function) else [function, vars(type(function)).get("__call__")]
    return any(inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one) for one in looked)


def descriptors(services: Iterable[str]) -> list[bytes]:
    """The serialized descriptors of the files that define services, each after those that it imports."""
    try:
        from google.protobuf import descriptor_pool
    except ImportError:
        return []
    pool, found = descriptor_pool.Default(), {}

    def add(file: Any) -> None:
        if file.name not in found:
            for imported in file.dependencies:
                add(imported)
            found[file.name] = bytes(file.serialized_pb)

    for service in services:
        with contextlib.suppress(KeyError):  # of a handler without protobuf, or with a pool of its own
            add(pool.FindFileContainingSymbol(service))
    return list(found.values())


def versions() -> dict[str, str]:
    """The versions of this interpreter and of what it has of gRPC."""
    found = {"python": platform.python_version()}
    with contextlib.suppress(ImportError):
        import grpc

        found["grpcio"] = grpc.__version__
    with contextlib.suppress(ImportError):
        import google.protobuf

        found["protobuf"] = google.protobuf.__version__
    return found


# ---- serving ---------------------------------------------------------------------------------------------------------


class _Server:
    """A server with an application, from its making to its end."""

    def __init__(self, order: SimpleNamespace, parent: _Parent) -> None:
        self.order, self._parent = order, parent
        self.files = _Files(order.app_dir, order.app)
        self._late = threading.Timer(LATE_SHARE * order.timeout_s, self._tell_where)
        self._late.daemon = True
        self._late.start()
        self.register = load(order, self.files)
        for arguments in (order.arguments, *order.alternatives):
            self.arguments = bind(self.register, order, arguments)
        self.arguments = bind(self.register, order, order.arguments)
        self.health: Any = None
        """The health servicer, where it is ours."""
        self._own_health = False
        self._tracing: Any = None
        """The module that traces calls, where a factor asks for it."""
        self._admission: Any = None
        """The interceptor that refuses calls while too many wait for a thread, where a factor asks for it."""
        self._added: _Registration | None = None
        self._closing: Any = None
        """What `register` returned."""
        self._ended = threading.Lock()

    def _tell_where(self) -> None:
        """Write to the log where the application is that does not come to an end with its registration."""
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        line = self.files.own_line(traceback.walk_stack(frame)) if frame is not None else ""
        tell(
            f"{self.order.app} has not finished registering after {self._late.interval:g} "
            f"s{f': {line}' if line else ''}"
        )

    @property
    def sync(self) -> bool:
        """Whether it is a server of threads."""
        return self.order.settings["implementation"] in THREADED

    @property
    def kind(self) -> str:
        """The server's implementation."""
        return str(self.order.settings["implementation"])

    def _library(self) -> Any:
        """The module of grpclab that makes servers of another library than grpcio; None for grpcio's own."""
        return self._part(PYGRPC, "implementation", "sync or asyncio") if self.kind.startswith(PYGRPC) else None

    def options(self) -> list[tuple[str, int]]:
        """The channel arguments."""
        return [(name, value) for name, value in self.order.channel_arguments]

    def pool(self) -> Any:
        """The threads in which handlers run that are not ``async def``."""
        threads, spare = self.order.settings["threads"], self.order.settings["spare_threads"]
        pool: Any = (
            self._part("elastic", "spare_threads", 0).ElasticThreadPool(threads, spare)
            if spare
            else ThreadPoolExecutor(max_workers=threads, thread_name_prefix="handler")
        )
        if self.sync and (most := self.order.settings["admission"]) is not None:
            module = self._part("admission", "admission", None)
            pool = module.CountedPool(pool, threads + spare)
            self._admission = module.Admission(most, pool)
        return pool

    def interceptors(self) -> list[Any]:
        """The interceptors that factors ask for, once the pool is made; without any, their modules are not imported."""
        settings, asynchronous = self.order.settings, not self.sync
        found: list[Any] = []
        if settings["metrics"]:
            parts = self._part("interceptors", "metrics", False)
            kind = parts.AsyncInterceptor if asynchronous else parts.SyncInterceptor
            found.append(kind(self._part("prometheus", "metrics", False).counted_by(parts)))
        found += [] if self._admission is None else [self._admission]
        if settings["tracing_share"] is not None:
            self._tracing = self._part("tracing", "tracing_share", None)
            found.append(self._tracing.interceptor(settings["tracing_share"], asynchronous=asynchronous))
        for name, off in NO_INTERCEPTORS.items():
            if settings[name] != off:
                module = self._part("interceptors", name, off)
                levels = {factor: settings[factor] for factor in module.SETTINGS}
                return [*found, *module.chosen(asynchronous=asynchronous, **levels)]
        return found

    def flush(self) -> None:
        """Send the spans that have not been sent."""
        if self._tracing is not None:
            self._tracing.flush()

    def _part(self, name: str, factor: str, off: float | str | None) -> Any:
        """A module of grpclab, by its path, which a factor needs that is not `off`. Raises _RefusedError."""
        try:
            spec = importlib.util.spec_from_file_location(name, os.path.join(self.order.parts, f"{name}.py"))
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        except (ImportError, SyntaxError, OSError) as error:
            given, expected = (
                level if isinstance(level, str) else "none" if level is None else json.dumps(level)
                for level in (self.order.settings[factor], off)
            )
            raise _RefusedError(
                f"invalid server.{factor}={given}: expected {expected} under Python {platform.python_version()} "
                f"({error})"
            ) from None
        return module

    def call_register(self, server: Any) -> Any:
        """What `register` returns: an awaitable, where it is ``async def``."""
        if self.sync and inspect.iscoroutinefunction(self.register):
            raise _RefusedError(
                f"invalid app={self.order.app}: expected a plain function for server.implementation={self.kind}, but "
                f"it is async def; set server.implementation={THREADED[self.kind]}"
            )
        if inspect.isgeneratorfunction(self.register) or inspect.isasyncgenfunction(self.register):
            self._refuse_generator()
        return self.register(server, **self.arguments)

    def _refuse_generator(self) -> NoReturn:
        raise _RefusedError(
            f"invalid app={self.order.app}: expected a function that registers and returns, but it is a generator (it "
            "has yield), so its code would never run; return an object whose close() or aclose() does what follows "
            "yield"
        )

    @contextlib.contextmanager
    def registering(self, server: Any) -> Iterator[None]:
        """Watch what `register` adds. Raises _RefusedError or _FailedError."""
        self._added = _Registration(server, self.order.app, self.files)
        with self._added:
            try:
                yield
            except (KeyboardInterrupt, _RefusedError):
                raise
            except BaseException as error:
                if not self._added.misused:
                    raise self.files.failure(f"registering {self.order.app} failed", error) from error
        if self._added.misused:
            raise _RefusedError(self._added.misused)

    def keep(self, returned: Any) -> None:
        """Check and keep what `register` returned."""
        if inspect.isgenerator(returned) or inspect.isasyncgen(returned):
            self._refuse_generator()
        if returned is not None and not any(callable(getattr(returned, name, None)) for name in ("close", "aclose")):
            raise _RefusedError(
                f"invalid app={self.order.app}: expected a function that returns nothing, or an object with close() "
                f"or aclose(); got {type(returned).__name__}"
            )
        self._closing = returned
        assert self._added is not None
        if self.sync and (wrong := self._added.asynchronous()):
            more = len(wrong) - 1
            handlers = f"the handler for {wrong[0]} is async, and its calls"
            if more:
                methods = "1 more method" if more == 1 else f"{more} more methods"
                handlers = f"the handlers for {wrong[0]} and {methods} are async, and their calls"
            raise _RefusedError(
                f"invalid server.implementation={self.kind}: expected {THREADED[self.kind]}: {handlers} would hang on "
                "a sync server"
            )
        if not self._added.generic and not self._added.methods:
            tell(f"{self.order.app} registered no service")

    def add_ours(self, server: Any) -> Iterator[tuple[str, Any, Any]]:
        """Add health and reflection where the application added none; yields the health states to be set."""
        assert self._added is not None
        services = self._added.services
        self._own_health = self._added.serves(HEALTH, "Check")
        names = list(services)
        if not self._own_health:
            try:
                from grpc_health.v1 import health, health_pb2, health_pb2_grpc

                self.health = health.HealthServicer() if self.sync else health.aio.HealthServicer()
                health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
                names.append(HEALTH)
                for name in ("", *services):
                    yield name, self.health, health_pb2.HealthCheckResponse.SERVING
            except ImportError:
                pass
            except (TypeError, RuntimeError) as error:  # the application's own definitions, or stubs for a newer grpcio
                tell(f"no health service: {error}")
        if self.order.settings["channelz"] and not self._added.serves(CHANNELZ, "GetServers"):
            try:
                from grpc_channelz.v1.channelz import add_channelz_servicer
            except ImportError as error:
                raise _RefusedError(
                    f"invalid server.channelz=true: expected false without grpcio-channelz ({error})"
                ) from None
            add_channelz_servicer(server)
            names.append(CHANNELZ)
        own_reflection = any(self._added.serves(name, "ServerReflectionInfo") for name in REFLECTION)
        if self.order.settings["reflection"] and not own_reflection:
            try:
                from grpc_reflection.v1alpha import reflection

                reflection.enable_server_reflection([*names, REFLECTION[0]], server)
            except ImportError:
                pass
            except (TypeError, RuntimeError) as error:
                tell(f"no reflection: {error}")

    def listen(self, server: Any) -> int:
        """Bind; returns the port."""
        order = self.order
        address = f"[{order.host}]:{order.port}" if ":" in order.host else f"{order.host}:{order.port}"
        try:
            if not order.tls_folder:
                return int(server.add_insecure_port(address))
            credentials = self._part("certificates", "tls", False).credentials(
                order.tls_folder, mutual=order.settings["mutual_tls"], reload=order.settings["tls_reload"]
            )
            return int(server.add_secure_port(address, credentials))
        except RuntimeError as error:
            raise _FailedError(f"cannot listen on {address}: {error}", "") from None

    def announce(self, port: int) -> None:
        """Tell the parent that the server answers, and what it is."""
        assert self._added is not None
        self._late.cancel()
        self._parent.say(
            "ServerListening",
            port=port,
            pids=[os.getpid()],
            descriptors=[base64.b64encode(file).decode() for file in descriptors(self._added.services)],
            program={"files": self.files.imported(), "versions": versions()},
            own_health=self._own_health,
            threaded=self._added.threaded(),
            from_checkout=self.files.from_checkout(self.order.checkout),
        )

    def serve_sync(self) -> NoReturn:
        """Serve in threads until a signal stops the server."""
        import grpc

        pool, limit = self.pool(), self.order.settings["max_concurrent_rpcs"]
        options, around = self.options(), self.interceptors()
        if (library := self._library()) is not None:
            server = library.sync_server(pool, options=options, interceptors=around)
        else:
            server = grpc.server(pool, options=options, interceptors=around, maximum_concurrent_rpcs=limit)
        with self.registering(server):
            returned = self.call_register(server)
        self.keep(returned)
        for name, health, state in self.add_ours(server):
            health.set(name, state)
        port = self.listen(server)
        signals = _StopSignals()
        server.start()
        self.announce(port)
        signals.wait()
        if self.health is not None:
            self.health.enter_graceful_shutdown()
        if signals.wait(self.order.drain_delay_s):
            leave(1)
        drained = server.stop(DRAIN_S)
        while not drained.wait(0.05):  # a second signal does not wait for the calls that are still inside
            if signals.wait(0):
                leave(1)
        self.flush()
        with self.closing():
            self._close_sync()
        self.end("")

    async def serve_async(self) -> None:
        """Serve on the running event loop until a signal stops the server."""
        import grpc.aio

        pool, limit = self.pool(), self.order.settings["max_concurrent_rpcs"]
        options, around = self.options(), self.interceptors()
        if (library := self._library()) is not None:
            server = library.async_server(pool, options=options, interceptors=around)
        else:
            server = grpc.aio.server(pool, options=options, interceptors=around, maximum_concurrent_rpcs=limit)
        with self.registering(server):
            returned = self.call_register(server)
            if inspect.isawaitable(returned):
                returned = await returned
        self.keep(returned)
        for name, health, state in self.add_ours(server):
            await health.set(name, state)
        port = self.listen(server)
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in stop_signals():
            loop.add_signal_handler(number, stop.set)
        await server.start()
        self.announce(port)
        await stop.wait()
        for number in stop_signals():
            loop.add_signal_handler(number, leave, 1)
        if self.health is not None:
            await self.health.enter_graceful_shutdown()
        await asyncio.sleep(self.order.drain_delay_s)
        await server.stop(DRAIN_S)
        self.flush()
        with self.closing():
            for name in ("aclose", "close"):
                if callable(getattr(self._closing, name, None)):
                    ended = getattr(self._closing, name)()
                    if inspect.isawaitable(ended):
                        await ended
                    break
        self.end("")

    def _close_sync(self) -> None:
        for name in ("close", "aclose"):
            if callable(getattr(self._closing, name, None)):
                ended = getattr(self._closing, name)()
                if inspect.isawaitable(ended):
                    asyncio.run(_result(ended))
                return

    @contextlib.contextmanager
    def closing(self) -> Iterator[None]:
        """Bound the time of the application's ``close()``, and tell of an exception that it raises."""
        overdue = threading.Timer(
            CLOSE_S, self.end, (f"close() of {self.order.app} did not return within {CLOSE_S:g} s",)
        )
        overdue.daemon = True
        overdue.start()
        try:
            yield
        except BaseException as error:
            traceback.print_exc()
            self.end(str(self.files.failure(f"close() of {self.order.app} failed", error)))
        overdue.cancel()

    def end(self, trouble: str) -> NoReturn:
        """Tell the parent that the server has ended, and end."""
        self._ended.acquire()  # for good: this process ends here
        if trouble:
            tell(trouble)
        self._parent.say("ApplicationEnded", trouble=trouble, files=self.files.imported())
        leave(0)


async def _result(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def require_grpcio() -> None:
    """Raise _RefusedError where this interpreter has no grpcio, or one that is too old."""
    try:
        import grpc
    except ImportError as error:
        raise _RefusedError(
            f"invalid python={sys.executable}: expected an interpreter with grpcio ({error}); install grpcio there"
        ) from None
    number = tuple(int(part) for part in grpc.__version__.split(".")[:2])
    if number < OLDEST_GRPCIO:
        oldest = ".".join(map(str, OLDEST_GRPCIO))
        raise _RefusedError(
            f"invalid python={sys.executable}: expected grpcio {oldest} or newer; it has {grpc.__version__}"
        )


def event_loop(order: SimpleNamespace) -> asyncio.AbstractEventLoop:
    """The event loop that the factor names."""
    if order.settings["event_loop"] != "uvloop":
        return asyncio.new_event_loop()
    try:
        import uvloop
    except ImportError:
        raise _RefusedError(
            f"invalid server.event_loop=uvloop: expected asyncio, since {sys.executable} has no uvloop"
        ) from None
    return typing.cast("asyncio.AbstractEventLoop", uvloop.new_event_loop())


def serve(order: SimpleNamespace, parent: _Parent) -> NoReturn:
    """Serve in this process. Raises _RefusedError or _FailedError."""
    require_grpcio()
    if order.settings["implementation"] in THREADED:
        _Server(order, parent).serve_sync()
    loop = event_loop(order)
    asyncio.set_event_loop(loop)
    server = _Server(order, parent)
    loop.run_until_complete(server.serve_async())
    leave(1)


# ---- several processes on one port -----------------------------------------------------------------------------------


def serve_processes(order: SimpleNamespace, parent: _Parent, count: int) -> NoReturn:
    """Serve in `count` processes that share a port, until a signal stops them. Raises _FailedError."""
    held = _hold_port(order)
    order.port, order.shared_port = held.getsockname()[1], True
    events: queue.SimpleQueue[tuple[int, dict[str, Any]]] = queue.SimpleQueue()
    signals = _StopSignals()
    children = [
        subprocess.Popen([sys.executable, os.path.abspath(__file__)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(count)
    ]
    for index, child in enumerate(children):
        assert child.stdin is not None
        with contextlib.suppress(OSError):  # it has ended, which its reader says
            child.stdin.write(json.dumps(vars(order)).encode() + b"\n")
            child.stdin.flush()
        threading.Thread(target=_read, args=(index, child, events), daemon=True).start()
    threading.Thread(target=_read_signals, args=(signals, events), daemon=True).start()
    stopping = False
    listening: dict[int, dict[str, Any]] = {}
    ended: dict[int, dict[str, Any]] = {}
    while len(ended) < count:
        index, message = events.get()
        kind_of = message.pop("message", "")
        if index < 0:
            if len(listening) < count or stopping:
                leave(1)
            stopping = True
            for child in children:
                child.terminate()
        elif kind_of == "ServerListening":
            listening[index] = message
            if len(listening) == count:
                parent.say("ServerListening", **_together([listening[at] for at in range(count)]))
        elif kind_of == "ApplicationEnded":
            ended[index] = message
        elif kind_of == "ServerFailed":
            parent.say("ServerFailed", **message)
            leave(3)
        elif index not in ended:
            tell(f"server process {index + 1} of {count} died; the others were stopped")
            leave(3)
    trouble = next((end["trouble"] for end in ended.values() if end["trouble"]), "")
    parent.say("ApplicationEnded", trouble=trouble, files=_union(end["files"] for end in ended.values()))
    leave(0)


def _hold_port(order: SimpleNamespace) -> socket.socket:
    """The port that the processes are to share: bound with SO_REUSEPORT, never listening. Raises _FailedError."""
    family, kind, _, _, where = socket.getaddrinfo(order.host, order.port, type=socket.SOCK_STREAM)[0]
    try:
        if order.port:
            with socket.socket(family, kind) as probe:  # SO_REUSEPORT would share a taken port without a word
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
        held = socket.socket(family, kind)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(where)
    except OSError as error:
        raise _FailedError(f"cannot listen on {order.host}, port {order.port}: {error.strerror}", "") from None
    return held


def _read(index: int, child: subprocess.Popen[bytes], events: queue.SimpleQueue[tuple[int, dict[str, Any]]]) -> None:
    """Pass on what a server process says, and that it has ended."""
    assert child.stdout is not None
    for line in child.stdout:
        _, mark, message = line.partition(MARK)
        if mark:
            events.put((index, json.loads(message)))
    events.put((index, {}))


def _read_signals(signals: _StopSignals, events: queue.SimpleQueue[tuple[int, dict[str, Any]]]) -> None:
    """Pass on that a signal asks for the end, each time."""
    while signals.wait():
        events.put((-1, {}))


def _together(listening: list[dict[str, Any]]) -> dict[str, Any]:
    """One message for all server processes."""
    first = dict(listening[0])
    first["pids"] = [one["pids"][0] for one in listening]
    first["program"] = {
        "files": _union(one["program"]["files"] for one in listening),
        "versions": first["program"]["versions"],
    }
    return first


def _union(files: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The files of all processes, each once, or once for each of its contents."""
    found = {(file["name"], file["sha256"]): file for some in files for file in some}
    return [found[key] for key in sorted(found)]


def main() -> NoReturn:
    """See the module's docstring."""
    parent = _Parent()
    adopt_orphans()
    raise_open_files()
    order = parent.order()
    try:
        os.chdir(order.cwd)
        count = order.settings["processes"] or (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        )
        if count > 1 and not order.shared_port:
            serve_processes(order, parent, count)
        if not order.shared_port:
            order.channel_arguments.append(["grpc.so_reuseport", 0])  # a taken port is refused, not shared
        serve(order, parent)
    except _RefusedError as error:
        parent.say("ServerFailed", text=str(error), usage=True)
        leave(2)
    except _FailedError as error:
        print(error.trace, end="", file=sys.stderr, flush=True)
        parent.say("ServerFailed", text=str(error), trace=error.trace)
        leave(3)


if __name__ == "__main__":
    main()
