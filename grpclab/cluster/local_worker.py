"""A Dask worker as a child process of this one: ``python -m grpclab.cluster.local_worker SCHEDULER NAME FOLDER``.

It has one thread and ends with its parent, in whatever way that ends. Dask's own ``LocalCluster`` would import the main
module of its parent again, which breaks scripts without a ``__main__`` guard.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from grpclab.system.subprocesses import die_with_parent


async def _main(scheduler: str, name: str, folder: str) -> None:
    from distributed import Worker

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    async with Worker(
        scheduler,
        nthreads=1,
        name=name,
        local_directory=folder,
        dashboard=False,
        host="127.0.0.1",
        memory_limit=0,  # Dask would pause a worker at a share of the machine's memory
    ) as worker:
        await worker.finished()


def main() -> None:
    """Run the worker until its scheduler or its parent ends."""
    die_with_parent()
    asyncio.run(_main(*sys.argv[1:]))


if __name__ == "__main__":
    main()
