"""``python -m grpclab.diagnostics``: the process of the diagnostics server. It ends with its parent; see
:mod:`grpclab.servers.process.sidecar`.

A DiagnosticsOrder comes in, a DiagnosticsAnswer goes out.
"""

from __future__ import annotations

import asyncio
import queue

from aiohttp import web

from grpclab.diagnostics.app import build
from grpclab.servers.process.server_messages import DiagnosticsFailed, DiagnosticsListening, DiagnosticsOrder
from grpclab.servers.process.serving import address
from grpclab.system.json_lines import decode
from grpclab.system.subprocesses import die_with_parent, say


async def _serve(order: DiagnosticsOrder) -> None:
    # A handler whose client has gone is cancelled, and ends what it has begun.
    app = build(order.pids, folder=order.folder, token=order.token, heap=order.heap)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, order.host, order.port).start()
    except OSError as error:
        where = address(order.host, order.port)
        text = f"the diagnostics server cannot listen on {where}: {error.strerror}; choose another port with PPROF_PORT"
        say(DiagnosticsFailed(text=text))
        return
    say(DiagnosticsListening(port=runner.addresses[0][1]))
    await asyncio.Event().wait()


def main() -> None:
    """See the module's docstring."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    die_with_parent(lines.put)
    asyncio.run(_serve(decode(DiagnosticsOrder, lines.get())))


if __name__ == "__main__":
    main()
