"""Servers of pygrpc-native, which take grpcio's servicers and interceptors; their HTTP/2 runs in Rust, without the GIL.

This module needs nothing but pygrpc-native and grpcio: the interpreter of an application, which may lack grpclab,
imports it by its path.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

import pygrpc_native
import pygrpc_native.aio

REUSE = "grpc.so_reuseport"


def sync_server(pool: Executor, *, options: Sequence[tuple[str, int]], interceptors: Sequence[Any]) -> Any:
    """A server of threads, used like a ``grpc.server``."""
    return pygrpc_native.server(pool, interceptors=interceptors, options=_options(options))


def async_server(pool: Executor | None, *, options: Sequence[tuple[str, int]], interceptors: Sequence[Any]) -> Any:
    """A server on an event loop, used like a ``grpc.aio.server``; handlers that are not coroutines run in the pool."""
    return pygrpc_native.aio.server(migration_thread_pool=pool, interceptors=interceptors, options=_options(options))


def _options(options: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The channel arguments; grpcio shares a port unless told not to, and this library only if told to."""
    return list({REUSE: 1, **dict(options)}.items())
