"""``python -m grpclab.diagnostics``: the process of the diagnostics server. It ends with its parent; see
:mod:`grpclab.servers.process.sidecar`.

One JSON line comes in (``pids``, ``host``, ``port``, ``folder``, ``token``), one goes out: ``port``, or ``error``.
"""

from __future__ import annotations

import asyncio
import json
import queue

from aiohttp import web

from grpclab.diagnostics.app import build
from grpclab.servers.process.serving import address
from grpclab.system.subprocesses import die_with_parent, say


async def _serve(pids: list[int], host: str, port: int, folder: str, token: str) -> None:
    # A handler whose client has gone is cancelled, and ends what it has begun.
    runner = web.AppRunner(build(pids, folder=folder, token=token), access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        say(error=f"the desk cannot listen on {address(host, port)}: {error.strerror}; choose another with PPROF_PORT")
        return
    say(port=runner.addresses[0][1])
    await asyncio.Event().wait()


def main() -> None:
    """See the module's docstring."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    die_with_parent(lines.put)
    asyncio.run(_serve(**json.loads(lines.get())))


if __name__ == "__main__":
    main()
