"""The variants in words, and what commands do where nobody asks for anything else: what a help shows, at no cost."""

from __future__ import annotations

from grpclab.factors.levels import Level

MEANINGS: dict[str, str] = {
    "basic": "a typical first server and client: grpc.server with 10 threads, every setting at its default, and a "
    "client that opens a channel for each call",
    "optimized": "the same server with larger HTTP/2 windows, keepalive and spare threads, and a client that keeps a "
    "pool of 4 connections",
    "production": "optimized with features of a production service: limits, metrics, an access log of 1% of the "
    "calls, and deadlines of 60 s",
}
"""Each variant in words, for readers who never heard of it."""
DEFAULT_PORTS = {"optimized": 50051, "basic": 50052, "reference": 50053, "production": 50054}
"""The port of each server that ``grpclab serve`` knows by name."""
LOAD: dict[str, Level] = {
    "load.requests": 2500,
    "load.duration_s": 2.0,
    "load.warmup_s": 0.4,
    "load.concurrency": 64,
}
"""The load of a trial where nobody asks for another."""
COMPARISON_BUDGET_S = 75.0
"""Into which a comparison is fitted, so that its verdict is there after one minute and a half at most."""
