"""A server that sends terminals what they obey: in its reflection, its status texts, its log and its threads' names.

``python hostile_server.py PORT``; where the variable DIE is set, it ends before it listens.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from concurrent import futures
from typing import Any

import grpc
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

FORGED = "grpclab: FORGED: all is well"
HOSTILE = f"a\x1b]0;title\x07\x1b[2J\x9b31m\r\u202eb\u2028{FORGED}\n{FORGED}\x00\x7f\x1b]52;c;aGk=\x1b\\"
"""Window title, clipboard, an erased screen, colours, a reversed line, a carriage return, forged lines."""


def _reflect(requests: Any, context: grpc.ServicerContext) -> Any:
    for request in requests:
        answer = ServerReflectionResponse()
        if request.HasField("list_services"):
            answer.list_services_response.service.add().name = f"shop.{HOSTILE}"
        else:
            answer.error_response.error_code = 5
            answer.error_response.error_message = HOSTILE
        yield answer


def _fail(_: bytes, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.INTERNAL, HOSTILE)
    raise AssertionError


def _name_thread(release: threading.Event) -> None:
    ctypes.CDLL(None).prctl(15, b"t\x1b[2J\rx\n", 0, 0, 0)
    release.wait()


class _Everything(grpc.GenericRpcHandler):
    def service(self, details: Any) -> Any:
        if "reflection" in details.method:
            return grpc.stream_stream_rpc_method_handler(
                _reflect,
                request_deserializer=ServerReflectionRequest.FromString,
                response_serializer=ServerReflectionResponse.SerializeToString,
            )
        return grpc.unary_unary_rpc_method_handler(_fail)


def main(port: int, *, die: bool) -> None:
    """Serve, or write a last line and go."""
    sys.stderr.buffer.write(HOSTILE.encode("utf-8", "surrogateescape") + b"\n")
    sys.stderr.flush()
    if die:
        sys.exit(1)
    threading.Thread(target=_name_thread, args=[threading.Event()], daemon=True).start()
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[_Everything()])
    print(server.add_insecure_port(f"127.0.0.1:{port}"), flush=True)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(int(sys.argv[1]), die="DIE" in os.environ)
