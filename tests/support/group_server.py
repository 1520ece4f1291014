"""A server as users write them, with what makes it hard to be measured beside others: ``python group_server.py PORT``.

``--metrics-port`` is one port for all that are started with it, ``--burn`` the share of a core that a thread in the
background uses, ``--late-work`` the milliseconds of work that follow a silence of 20 ms after calls.
"""

from __future__ import annotations

import argparse
import http.server
import signal
import threading
import time
from concurrent import futures

import grpc

from grpclab.generated import greet_pb2, greet_pb2_grpc

LAST_CALL = [0.0]


class Greeter(greet_pb2_grpc.GreeterServiceServicer):
    """Answers at once."""

    def SayHello(self, request: greet_pb2.HelloRequest, _context: grpc.ServicerContext) -> greet_pb2.HelloResponse:
        """Greet; the context is not needed."""
        LAST_CALL[0] = time.perf_counter()
        return greet_pb2.HelloResponse(message=f"Hello {request.name}")


def spend(seconds: float) -> None:
    """Use a core for so long."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def burn(share: float) -> None:
    """Use this share of a core for ever."""
    while True:
        spend(0.01 * share)
        time.sleep(0.01 * (1 - share))


def work_late(seconds: float) -> None:
    """Work after the calls have ended."""
    done = 0.0
    while True:
        time.sleep(0.005)
        last = LAST_CALL[0]
        if last > done and time.perf_counter() - last > 0.02:
            done = last
            spend(seconds)


def register(server: grpc.Server) -> None:
    """The same as an application."""
    greet_pb2_grpc.add_GreeterServiceServicer_to_server(Greeter(), server)


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("--metrics-port", type=int)
    parser.add_argument("--burn", type=float, default=0.0)
    parser.add_argument("--late-work", type=float, default=0.0)
    options = parser.parse_args()
    if options.metrics_port:
        metrics = http.server.HTTPServer(("127.0.0.1", options.metrics_port), http.server.SimpleHTTPRequestHandler)
        threading.Thread(target=metrics.serve_forever, daemon=True).start()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    register(server)
    server.add_insecure_port(f"127.0.0.1:{options.port}")
    server.start()
    for target, value in ((burn, options.burn), (work_late, options.late_work / 1000)):
        if value:
            threading.Thread(target=target, args=(value,), daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop(0)


if __name__ == "__main__":
    main()
