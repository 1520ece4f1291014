"""A server that writes down all that it is told, and says it to its callers: ``python telling_server.py PORT ...``."""

from __future__ import annotations

import os
import sys
from concurrent import futures
from typing import Any

import grpc


class _Everything(grpc.GenericRpcHandler):
    """Every method fails every second time, with the metadata of the call as its text."""

    def __init__(self) -> None:
        self._calls = 0

    def service(self, details: Any) -> Any:
        told = ", ".join(f"{key}={value}" for key, value in details.invocation_metadata)

        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            self._calls += 1
            if self._calls % 2:
                print(told, file=sys.stderr, flush=True)
                context.abort(grpc.StatusCode.UNAUTHENTICATED, f"not with {told}")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


def main() -> None:
    """Serve until it is ended."""
    print(sys.argv, dict(os.environ), file=sys.stderr, flush=True)
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[_Everything()])
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
