"""``python -m grpclab.desk``: the desk's process. It ends with its parent; see :mod:`grpclab.servers.sidecar`.

One JSON line comes in (``pids``, ``port``, ``folder``), one goes out: ``port``, or ``error``.
"""

from __future__ import annotations

import asyncio
import json
import queue

from aiohttp import web

from grpclab.children import die_with_parent, say
from grpclab.desk.app import build


async def _serve(pids: list[int], port: int, folder: str) -> None:
    runner = web.AppRunner(build(pids, folder=folder), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except OSError as error:
        say(error=f"the desk cannot listen on 127.0.0.1:{port}: {error.strerror}; choose another with PPROF_PORT")
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
