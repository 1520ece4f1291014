"""gRPC's interoperability test service as an application, sync and asyncio, in a folder of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.interop_service import INITIAL, PROTO, TRAILING

SERVER = f"""
import asyncio
import time

import grpc
import interop_pb2
import interop_pb2_grpc

INITIAL, TRAILING = {INITIAL!r}, {TRAILING!r}
CODES = {{code.value[0]: code for code in grpc.StatusCode}}


def echoed(context, name):
    return tuple((pair[0], pair[1]) for pair in context.invocation_metadata() if pair[0] == name)


def answer(size):
    return interop_pb2.StreamingOutputCallResponse(payload=interop_pb2.Payload(body=bytes(size)))


def simple(request):
    body = interop_pb2.Payload(body=bytes(request.response_size))
    return interop_pb2.SimpleResponse(payload=body, server_id="here" if request.fill_server_id else "")


class Service(interop_pb2_grpc.TestServiceServicer):
    def EmptyCall(self, request, context):
        return interop_pb2.Empty()

    def UnaryCall(self, request, context):
        context.send_initial_metadata(echoed(context, INITIAL))
        context.set_trailing_metadata(echoed(context, TRAILING))
        if request.response_status.code:
            context.abort(CODES[request.response_status.code], request.response_status.message)
        return simple(request)

    def StreamingOutputCall(self, request, context):
        for wanted in request.response_parameters:
            time.sleep(wanted.interval_us / 1e6)
            yield answer(wanted.size)

    def StreamingInputCall(self, requests, context):
        size = sum(len(request.payload.body) for request in requests)
        return interop_pb2.StreamingInputCallResponse(aggregated_payload_size=size)

    def FullDuplexCall(self, requests, context):
        context.send_initial_metadata(echoed(context, INITIAL))
        context.set_trailing_metadata(echoed(context, TRAILING))
        for request in requests:
            if request.response_status.code:
                context.abort(CODES[request.response_status.code], request.response_status.message)
            for wanted in request.response_parameters:
                time.sleep(wanted.interval_us / 1e6)
                yield answer(wanted.size)


class AsyncService(interop_pb2_grpc.TestServiceServicer):
    async def EmptyCall(self, request, context):
        return interop_pb2.Empty()

    async def UnaryCall(self, request, context):
        await context.send_initial_metadata(echoed(context, INITIAL))
        context.set_trailing_metadata(echoed(context, TRAILING))
        if request.response_status.code:
            await context.abort(CODES[request.response_status.code], request.response_status.message)
        return simple(request)

    async def StreamingOutputCall(self, request, context):
        for wanted in request.response_parameters:
            await asyncio.sleep(wanted.interval_us / 1e6)
            yield answer(wanted.size)

    async def StreamingInputCall(self, requests, context):
        size = 0
        async for request in requests:
            size += len(request.payload.body)
        return interop_pb2.StreamingInputCallResponse(aggregated_payload_size=size)

    async def FullDuplexCall(self, requests, context):
        await context.send_initial_metadata(echoed(context, INITIAL))
        context.set_trailing_metadata(echoed(context, TRAILING))
        async for request in requests:
            if request.response_status.code:
                await context.abort(CODES[request.response_status.code], request.response_status.message)
            for wanted in request.response_parameters:
                await asyncio.sleep(wanted.interval_us / 1e6)
                yield answer(wanted.size)


def register(server):
    asynchronous = isinstance(server, grpc.aio.Server)
    interop_pb2_grpc.add_TestServiceServicer_to_server(AsyncService() if asynchronous else Service(), server)
"""


def write(folder: Path) -> Path:
    """Write the application ``interop_app:register``, compiled, into a folder; gives that."""
    words = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO.parent}", "--python_out=.", "--grpc_python_out=."]
    subprocess.run([*words, PROTO.name], check=True, capture_output=True, cwd=folder)
    (folder / "interop_app.py").write_text(SERVER)
    return folder
