"""A server that counts its calls as ours do, and whose handler does what its request says; prints its port.

``python counting_server.py``, with PROMETHEUS_MULTIPROC_DIR set, serves until its standard input is closed.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from grpclab.servers import interceptors
from grpclab.servers.greeter import burn_cpu
from grpclab.servers.prometheus import counted_by

METHOD = "/test.Counted/Do"
WAIT_S = 0.06
"""Of a call that is to be slow."""
BURNT_S = 0.3
"""Of CPU, of a call that is to burn."""


def do(request: bytes, context: Any) -> bytes:
    """Wait, burn, or fail with the status that the request names."""
    word = request.decode()
    if word == "slow":
        time.sleep(WAIT_S)
    elif word == "burn":
        burn_cpu(1e6 * BURNT_S)
    elif word:
        context.abort(grpc.StatusCode[word], "as asked")
    return b""


def main() -> None:
    """See the module's docstring."""
    server = grpc.server(ThreadPoolExecutor(4), interceptors=[interceptors.SyncInterceptor(counted_by(interceptors))])
    service, _, name = METHOD[1:].partition("/")
    handlers: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(do)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(0).wait()


if __name__ == "__main__":
    main()
