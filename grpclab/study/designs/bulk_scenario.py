"""The scenario ``bulk``: large messages on one connection, where the windows of HTTP/2 matter. Pure."""

from __future__ import annotations

from grpclab.study.designs.scenario import Scenario

BULK = "bulk"
BULK_WARMUP_S = 0.5
BULK_BYTES = 256 * 1024
BULK_CONCURRENCY = 8

SCENARIO = Scenario(
    meaning="messages of 256 KiB",
    levels={
        "load.warmup_s": BULK_WARMUP_S,
        "load.concurrency": BULK_CONCURRENCY,
        "client.pooling": "shared",
        "server.response_bytes": BULK_BYTES,
    },
)
