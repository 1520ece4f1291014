"""Four servers that answer alike: the greeter and an application with the same service, each sync and asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from grpclab.factors.config import ServerConfig
from grpclab.servers.hosting.application import launch_application
from grpclab.servers.process.launcher import RunningServer, launch

Start = Callable[..., contextlib.AbstractContextManager[RunningServer]]

APPLICATION = """
import grpc.aio

from grpclab.generated import greet_pb2, greet_pb2_grpc


class Greeter(greet_pb2_grpc.GreeterServiceServicer):
    def SayHello(self, request, context):
        return greet_pb2.HelloResponse(message=f"Hello {request.name}!")

    def SayHelloStream(self, request, context):
        yield self.SayHello(request, context)


class AsyncGreeter(greet_pb2_grpc.GreeterServiceServicer):
    async def SayHello(self, request, context):
        return greet_pb2.HelloResponse(message=f"Hello {request.name}!")

    async def SayHelloStream(self, request, context):
        yield await self.SayHello(request, context)


def register(server):
    greeter = AsyncGreeter() if isinstance(server, grpc.aio.Server) else Greeter()
    greet_pb2_grpc.add_GreeterServiceServicer_to_server(greeter, server)
"""

KINDS = ("sync greeter", "asyncio greeter", "sync application", "asyncio application")


def starter(kind: str, folder: Path) -> Start:
    """What starts a server of :data:`KINDS` with levels of its factors; its log and its program are in the folder."""
    implementation, what = kind.split()

    def start(env: Mapping[str, str] | None = None, **levels: Any) -> Any:
        config = replace(ServerConfig(implementation=implementation), **levels)  # type: ignore[arg-type]
        log_path = folder / "server.log"
        if what == "greeter":
            return launch(config, log_path=log_path, env=env)
        (folder / "greeting_app.py").write_text(APPLICATION)
        return launch_application("greeting_app:register", config, app_dir=str(folder), log_path=log_path, env=env)

    return start
