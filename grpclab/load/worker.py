"""A generator process: one engine on one event loop, told what to do in JSON lines.

``python -m grpclab.load.worker`` reads, on standard input (also its lifeline):

1. its configuration: ``settings``, ``target``, ``roots`` (PEM text or null); answers ``{"ready": true}``
   or ``{"error": text, "kind": "target"}``;
2. any number of windows: ``starts_at``, ``opens_at`` (perf_counter, seconds), ``closes_at`` or null, ``requests``
   or null, ``record`` (a file for the records, or null); answers ``{"cpu_s", "busy_s", "admitted"}`` when all
   calls are over; ``{"close": true}`` in between ends the running window. No call is made before ``starts_at``,
   the moment that all workers have in common; between it and ``opens_at`` lies the warm-up.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from grpclab.children import die_with_parent, say
from grpclab.config import TrialConfig
from grpclab.errors import TargetError
from grpclab.load.engines import ENGINES, Engine
from grpclab.load.gate import Gate
from grpclab.load.recorder import Recorder

CONNECT_TIMEOUT_S = 5.0


async def _work(commands: asyncio.Queue[dict[str, Any]]) -> None:
    setup = await commands.get()
    config = TrialConfig().replace(setup["settings"])
    roots = setup["roots"]
    engine = ENGINES[config.load.engine](config, setup["target"], roots.encode() if roots else None)
    try:
        await engine.connect(CONNECT_TIMEOUT_S)
    except TargetError as error:
        say(error=str(error), kind="target")
        return
    say(ready=True)
    gc.collect()
    gc.freeze()
    while True:
        command = await commands.get()
        if "opens_at" in command:
            await _window(engine, commands, command, config.load.concurrency)


async def _window(
    engine: Engine, commands: asyncio.Queue[dict[str, Any]], command: dict[str, Any], concurrency: int
) -> None:
    while (early_s := command["starts_at"] - time.perf_counter()) > 0:  # a timer may fire a little early
        await asyncio.sleep(early_s)
    gate = Gate(opens_at=command["opens_at"], closes_at=command["closes_at"], requests=command["requests"])
    recorder = Recorder()
    running = asyncio.create_task(engine.run(gate, recorder, concurrency))
    until_open = asyncio.create_task(asyncio.sleep(max(0.0, gate.opens_at - time.perf_counter())))
    closing = asyncio.create_task(_close_on_command(commands, gate))
    # The window's own share of a core: from its opening (the warm-up left out) to the end of its last call.
    await asyncio.wait([running, until_open], return_when=asyncio.FIRST_COMPLETED)
    started, cpu = time.perf_counter(), time.process_time()
    await running
    cpu_s, busy_s = time.process_time() - cpu, time.perf_counter() - started
    for task in (closing, until_open):
        task.cancel()
    if command["record"]:
        recorder.records().save(Path(command["record"]))
    say(cpu_s=cpu_s, busy_s=busy_s, admitted=gate.admitted)


async def _close_on_command(commands: asyncio.Queue[dict[str, Any]], gate: Gate) -> None:
    while not gate.closed:
        if (await commands.get()).get("close"):
            gate.close()


async def _main() -> None:
    loop = asyncio.get_running_loop()
    commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def on_line(line: str) -> None:
        loop.call_soon_threadsafe(commands.put_nowait, json.loads(line))

    die_with_parent(on_line)
    await _work(commands)


def main() -> None:
    """See the module's docstring."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main())
    else:
        uvloop.run(_main())


if __name__ == "__main__":
    main()
