"""The reference server as a child process, spoken to as :mod:`grpclab.servers.process.child` is."""

from __future__ import annotations

import logging
import os
import queue
from typing import NoReturn

from grpclab.errors import GrpclabError
from grpclab.servers.process.child import configure_logging, leave
from grpclab.servers.reference.serving import serve_reference
from grpclab.servers.reference.spec import ReferenceSpec
from grpclab.system import ulimits
from grpclab.system.json_lines import decode
from grpclab.system.subprocesses import die_with_parent, say

log = logging.getLogger("grpclab.serve")


def main() -> NoReturn:
    """See the module's docstring."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    die_with_parent(lines.put)
    ulimits.raise_open_files()
    configure_logging(os.environ.get("GRPCLAB_LOG", "info"))
    try:
        served = serve_reference(decode(ReferenceSpec, lines.get()), say)
    except GrpclabError as error:
        log.error("%s", error)
        leave(error.exit_code)
    log.info("served %d calls, at most %d at once", served.calls, served.high_water)
    say(served)
    leave(0)


if __name__ == "__main__":
    main()
