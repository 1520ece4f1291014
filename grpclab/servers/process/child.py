"""A server as a child process: how the launcher, and the parent of several processes, start one.

``python -m grpclab.servers.process.child`` reads a :class:`ServeSpec` on standard input, which stays open as the
lifeline. A ServerListening goes out when it serves, a ServerFailed where what was asked for cannot be had here, and
ServedCalls when it has drained. Its log goes to standard error.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
from typing import NoReturn

from grpclab.errors import GrpclabError, UsageError
from grpclab.servers.process.parent import serve_processes
from grpclab.servers.process.server_messages import ServerFailed
from grpclab.servers.process.serving import ServeSpec
from grpclab.servers.process.sidecar import observed
from grpclab.system import ulimits
from grpclab.system.json_lines import decode
from grpclab.system.subprocesses import die_with_parent, say

log = logging.getLogger("grpclab.serve")


def configure_logging(level: str) -> None:
    """Log to standard error, one line each."""
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def leave(code: int) -> NoReturn:
    """End now: a handler that never returns must not keep a drained server alive."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> NoReturn:
    """See the module's docstring."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    die_with_parent(lines.put)
    ulimits.raise_open_files()
    configure_logging(os.environ.get("GRPCLAB_LOG", "info"))
    spec = decode(ServeSpec, lines.get())
    try:
        with observed(spec, say) as announce:
            served = serve_processes(spec, announce)
    except GrpclabError as error:
        log.error("%s", error)
        if error.exit_code == UsageError.exit_code:  # a missing package, too: it is known before the server listens
            say(ServerFailed(text=str(error), usage=True))
        leave(error.exit_code)
    log.log(
        logging.DEBUG if spec.shared_port else logging.INFO,  # a parent adds them up and says so itself
        "served %d calls, at most %d at once",
        served.calls,
        served.high_water,
    )
    say(served)
    leave(0)


if __name__ == "__main__":
    main()
