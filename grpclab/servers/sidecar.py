"""The profiling desk beside a server: a process of its own, started by name, so that no server imports it.

While a server counts its calls (``server.metrics``) or has a desk (``server.desk``), its processes share a private
folder: prometheus_client's counters, and a socket of each process for what only it can tell (see
:mod:`grpclab.servers.agent`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from grpclab.children import Child
from grpclab.errors import MissingDependencyError, ServerError, UsageError, WorkerError, invalid
from grpclab.extras import needs
from grpclab.servers.serving import Announce, ServeSpec, require_free_port
from grpclab.servers.switched import FOLDER_VARIABLE
from grpclab.temporary import TemporaryFolder

DEFAULT_PORT = 3000
START_TIMEOUT_S = 20.0
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
log = logging.getLogger("grpclab.serve")
NEEDS = ("aiohttp", "prometheus_client")


def require_desk() -> None:
    """Raise MissingDependencyError, with the remedy, where the desk's libraries are missing."""
    for name in NEEDS:
        if importlib.util.find_spec(name) is None:
            raise needs("the profiling desk", name, "desk")


def desk_from_environment(environ: Mapping[str, str], *, default: bool) -> int | None:
    """The desk's port by PPROF_ENABLED and PPROF_PORT; None for no desk.

    Where nobody asked for it, a desk that cannot be had is a warning, and None. Raises UsageError for what is no
    switch or no port, and MissingDependencyError or ServerError for a desk that was asked for and cannot be had.
    """
    asked = environ.get("PPROF_ENABLED", "").strip().lower()
    if asked not in ("", *_YES, *_NO):
        raise UsageError(invalid("PPROF_ENABLED", asked, "true or false"))
    text = environ.get("PPROF_PORT", "").strip() or str(DEFAULT_PORT)
    if not text.isdecimal() or int(text) > 65535:
        raise UsageError(f"PPROF_PORT={text} is not a port: give a whole number from 0 to 65535")
    if asked in _NO or not (asked or default):
        return None
    try:
        require_desk()
        require_free_port("127.0.0.1", int(text), remedy="PPROF_PORT")
    except (MissingDependencyError, ServerError) as error:
        if asked:
            raise
        log.warning("no profiling desk: %s", error)
        return None
    return int(text)


@contextlib.contextmanager
def beside(pids: Sequence[int], *, port: int = 0, folder: str = "") -> Iterator[str]:
    """Run the desk for these processes until the block is left; gives its address. `port` 0 is any free one.

    Raises MissingDependencyError without its libraries, ServerError if it cannot start.
    """
    require_desk()
    with Child("grpclab.desk", name="the profiling desk") as child:
        try:
            child.send(pids=list(pids), port=port, folder=folder)
            answer = child.receive(START_TIMEOUT_S)
        except WorkerError as error:
            raise ServerError(str(error)) from None
        if "error" in answer:
            raise ServerError(answer["error"])
        yield f"http://127.0.0.1:{answer['port']}"


@contextlib.contextmanager
def observed(spec: ServeSpec, announce: Announce, *, port: int = 0) -> Iterator[Announce]:
    """What a server asks for beside itself: the folder of its counters, and its desk.

    Yields the `announce` to give to the server: it starts the desk, adds its address as ``desk``, and passes on. One of
    several processes on a port leaves both to its parent.
    """
    config = spec.config
    if spec.shared_port or not (config.metrics or config.desk):
        yield announce
        return
    with contextlib.ExitStack() as stack:
        folder = str(stack.enter_context(TemporaryFolder()))
        os.environ[FOLDER_VARIABLE] = folder
        stack.callback(os.environ.pop, FOLDER_VARIABLE, None)

        def with_desk(where: dict[str, Any]) -> None:
            if config.desk:
                where = {**where, "desk": stack.enter_context(beside(where["pids"], port=port, folder=folder))}
            announce(where)

        yield with_desk
