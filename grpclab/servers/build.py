"""One grpcio server out of a :class:`ServerConfig`: greeter, health, reflection, channel arguments, port."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from grpclab.errors import ServerError
from grpclab.factors.channel_args import server_args
from grpclab.factors.config import ServerConfig
from grpclab.factors.implementations import IMPLEMENTATIONS
from grpclab.generated import greet_pb2, greet_pb2_grpc
from grpclab.servers.elastic import ElasticThreadPool
from grpclab.servers.greeter import AsyncGreeter, CallCount, SyncGreeter
from grpclab.servers.instrumentation import interceptors
from grpclab.system.optional import needs

SERVICE = "greet.GreeterService"
CHANNELZ = "grpc.channelz.v1.Channelz"


def service_names(config: ServerConfig) -> tuple[str, ...]:
    """The names of the services that a server offers."""
    assert greet_pb2.DESCRIPTOR.services_by_name["GreeterService"].full_name == SERVICE
    inspection = {reflection.SERVICE_NAME: config.reflection, CHANNELZ: config.channelz}
    return (SERVICE, health.SERVICE_NAME, *(name for name, is_on in inspection.items() if is_on))


def _add_inspection(server: Any, config: ServerConfig) -> None:
    """Add the services by which others look at a server. Raises MissingDependencyError without grpcio-channelz."""
    if config.reflection:
        reflection.enable_server_reflection(service_names(config), server)
    if config.channelz:
        try:
            from grpc_channelz.v1.channelz import add_channelz_servicer
        except ImportError:
            raise needs("server.channelz", "grpcio-channelz", "desk") from None
        add_channelz_servicer(server)


def _listen(server: Any, address: str, credentials: grpc.ServerCredentials | None) -> int:
    """Bind; returns the port. Raises ServerError where that is refused."""
    try:
        if credentials is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, credentials))
    except RuntimeError as error:
        raise ServerError(f"cannot listen on {address}: {error}") from None


def _pool(config: ServerConfig) -> Any:
    """The threads of a sync server."""
    pool: Any = (
        ElasticThreadPool(config.threads, config.spare_threads)
        if config.spare_threads
        else ThreadPoolExecutor(max_workers=config.threads, thread_name_prefix="handler")
    )
    if config.admission is None:
        return pool
    from grpclab.servers.admission import CountedPool

    return CountedPool(pool, config.threads + config.spare_threads)


def _bare_sync_server(config: ServerConfig, pool: Any) -> Any:
    """A server of threads, without services. Raises MissingDependencyError without the library that it is of."""
    options, around = server_args(config), interceptors(config, pool)
    if config.implementation == "pygrpc":
        return _pygrpc(config).sync_server(pool, options=options, interceptors=around)
    limit = config.max_concurrent_rpcs
    return grpc.server(pool, options=options, interceptors=around, maximum_concurrent_rpcs=limit)


def _bare_async_server(config: ServerConfig) -> Any:
    """A server on the running event loop, as :func:`_bare_sync_server`."""
    options, around = server_args(config), interceptors(config)
    if config.implementation == "pygrpc-asyncio":
        return _pygrpc(config).async_server(None, options=options, interceptors=around)
    return grpc.aio.server(options=options, interceptors=around, maximum_concurrent_rpcs=config.max_concurrent_rpcs)


def _pygrpc(config: ServerConfig) -> Any:
    try:
        from grpclab.servers import pygrpc
    except ImportError:
        raise needs(f"server.implementation={config.implementation}", "pygrpc-native", "pygrpc") from None
    return pygrpc


async def _of_another_library(
    config: ServerConfig, address: str, *, count: CallCount, seed: int, hold: int, credentials: Any
) -> tuple[Any, Any, int]:
    """What :func:`async_server` returns, of a library on which the greeter has a form of its own.

    Raises MissingDependencyError without the library.
    """
    one = IMPLEMENTATIONS[config.implementation]
    reflected = service_names(config) if config.reflection else ()
    try:
        if config.implementation == "connectrpc":
            from grpclab.servers import connect_server

            return await connect_server.bound(
                config,
                address,
                count,
                seed=seed,
                hold=hold,
                folder=credentials,
                reflected=reflected,
            )
        from grpclab.servers import grpclib_server

        return await grpclib_server.bound(
            config, address, count, seed=seed, hold=hold, context=credentials, reflected=reflected
        )
    except ImportError:
        raise needs(f"server.implementation={config.implementation}", one.package, one.extra) from None


def sync_server(
    config: ServerConfig,
    address: str,
    *,
    count: CallCount,
    seed: int = 1,
    hold: int = 0,
    credentials: grpc.ServerCredentials | None = None,
) -> tuple[grpc.Server, health.HealthServicer, int]:
    """A bound, not yet started ``grpc.server``; its health servicer (SERVING); its port."""
    pool = _pool(config)
    server = _bare_sync_server(config, pool)
    status = health.HealthServicer()
    for name in ("", SERVICE):
        status.set(name, health_pb2.HealthCheckResponse.SERVING)
    greet_pb2_grpc.add_GreeterServiceServicer_to_server(SyncGreeter(config, count, seed=seed, hold=hold), server)
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    _add_inspection(server, config)
    return server, status, _listen(server, address, credentials)


async def async_server(
    config: ServerConfig,
    address: str,
    *,
    count: CallCount,
    seed: int = 1,
    hold: int = 0,
    credentials: Any = None,
) -> tuple[Any, Any, int]:
    """A bound, not yet started ``grpc.aio.server``, as :func:`sync_server`; call it on the loop that will run it.

    Of another library, server and health servicer have the same methods, as far as they are used here.
    """
    if not IMPLEMENTATIONS[config.implementation].hosts_applications:
        return await _of_another_library(config, address, count=count, seed=seed, hold=hold, credentials=credentials)
    server = _bare_async_server(config)
    status = health.aio.HealthServicer()
    for name in ("", SERVICE):
        await status.set(name, health_pb2.HealthCheckResponse.SERVING)
    greet_pb2_grpc.add_GreeterServiceServicer_to_server(AsyncGreeter(config, count, seed=seed, hold=hold), server)
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    _add_inspection(server, config)
    return server, status, _listen(server, address, credentials)
