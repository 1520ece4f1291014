"""The settings that each side of a connection sends at its beginning: SETTINGS, and the window of the connection.

The arguments given to grpcio are one thing, the settings that it sends to its peer another. :func:`server_settings`
dials a server and reads its first frames; :func:`channel_settings` lets a channel of grpcio dial us. Both send a PING
with their own preface: the frames before its answer are those that a side sends unasked, so there is no pause to choose
and no clock to race. A peer that answers no PING costs the whole `timeout_s`, and counts with its frames until then.

The behaviour of grpcio 1.x (C-core), the same in its client and its server:

* BDP probing (the default) advertises windows of 4 MiB and MAX_FRAME_SIZE 4,194,304, whatever the arguments:
  ``lookahead_bytes`` and ``max_frame_size`` are both overridden.
* Without it both follow the arguments. The window is 65,535 bytes where none is given; a MAX_FRAME_SIZE of 16,384 is
  not sent.
* The window of the connection is that of a stream; below 65,535 it stays there, since no frame can lower it.
* MAX_CONCURRENT_STREAMS is sent only where an argument sets it. A client sends 0: it takes no pushed streams.
* 0xfe03 is gRPC's own setting, "true binary metadata".
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
import time

import grpclab.system.grpc_log  # noqa: F401  # isort: skip  # before grpcio
import grpc

from grpclab.errors import TargetError
from grpclab.factors.channel_args import client_args
from grpclab.factors.config import ClientConfig
from grpclab.http2 import frames
from grpclab.http2.frames import ErrorCode
from grpclab.http2.peer_settings import PeerSettings, PeerSettingsReader
from grpclab.system.channels import open_channel
from grpclab.system.dialling import loopback_target, open_connection
from grpclab.system.transport import PLAINTEXT, Security

TIMEOUT_S = 10.0
"""The time that a peer on loopback has to send its settings: it needs milliseconds, but machines are busy at times."""


def server_settings(target: str, security: Security = PLAINTEXT, timeout_s: float = TIMEOUT_S) -> PeerSettings:
    """Return the settings that the server at `target` sends on a new connection. Raises TargetError.

    Of a server of several processes one answers.
    """
    deadline = time.monotonic() + timeout_s
    hosts, port = loopback_target(target, security.remote)
    reader = PeerSettingsReader()
    reader.outgoing.insert(0, frames.PREFACE)
    try:
        plain = open_connection(hosts, port, timeout_s=timeout_s)
    except OSError as error:
        raise TargetError(f"no server responded at {target}: {error.strerror or error}") from None
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(plain)
        if security.tls:
            try:
                plain.settimeout(max(0.001, deadline - time.monotonic()))
                name = security.server_name_at(target)
                connection = stack.enter_context(security.context().wrap_socket(plain, server_hostname=name))
            except OSError as error:
                raise TargetError(f"cannot open a TLS connection to the server at {target}: {error}") from None
        return _settings_of(connection, reader, deadline, who=f"the server at {target}", timeout_s=timeout_s)


def channel_settings(client: ClientConfig, timeout_s: float = TIMEOUT_S) -> PeerSettings:
    """Return the settings that a channel of this client sends first, to a socket of ours. Raises TargetError.

    Synchronous, so that it works inside a running event loop.
    """
    deadline = time.monotonic() + timeout_s
    who = "the client's channel"
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(timeout_s)
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        once = client_args(dataclasses.replace(client, retries=0))  # the call below is to fail without a connection
        channel = stack.enter_context(open_channel(target, options=once))
        # A call makes it connect. So would `subscribe`, whose thread may outlive the channel and fail. No stream may
        # be opened for it: that would add to the window of the connection.
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpclab/Connect")
        ended = threading.Event()
        call = method.future(b"", timeout=timeout_s)
        call.add_done_callback(lambda _: ended.set())
        # A channel that is closed while it cancels a call may wait for it for ever (grpc/grpc #20026, about once in
        # a thousand). So the call ends by itself, for want of a connection, before the channel is closed.
        stack.callback(ended.wait, timeout_s)
        stack.callback(listener.close)
        try:
            connection = stack.enter_context(listener.accept()[0])
            connection.settimeout(timeout_s)
            preface = _read(connection, len(frames.PREFACE))
        except OSError as error:
            raise TargetError(f"{who} did not connect within {timeout_s:g} s: {error}") from None
        if preface != frames.PREFACE:
            raise TargetError(f"{who} does not speak HTTP/2: its first bytes are {preface!r}")
        return _settings_of(connection, PeerSettingsReader(max_streams=0), deadline, who=who, timeout_s=timeout_s)


def _read(connection: socket.socket, count: int) -> bytes:
    """Read a number of bytes, or fewer where the peer leaves. A socket with a timeout knows no MSG_WAITALL."""
    data = b""
    while len(data) < count and (more := connection.recv(count - len(data))):
        data += more
    return data


def _settings_of(
    connection: socket.socket, reader: PeerSettingsReader, deadline: float, *, who: str, timeout_s: float
) -> PeerSettings:
    """Read until the peer has answered our PING, leaves, or the time is over; then say GOAWAY."""
    why = _read_settings(connection, reader, deadline) or f"it sent no SETTINGS within {timeout_s:g} s"
    with contextlib.suppress(OSError):
        goodbye = b"" if reader.closed is not None else frames.goaway(0, ErrorCode.NO_ERROR)
        connection.sendall(reader.take() + goodbye)
    if reader.closed is not None or not reader.ready:
        raise TargetError(f"{who} does not advertise its settings: {reader.closed or why}")
    return reader.peer_settings()


def _read_settings(connection: socket.socket, reader: PeerSettingsReader, deadline: float) -> str:
    """Read the settings. Returns the reason why the peer left; nothing where it has not."""
    try:
        while not reader.complete:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            connection.sendall(reader.take())
            data = connection.recv(65_536)
            if not data:
                return "it closed the connection before sending SETTINGS"
            reader.receive(data)
            if time.monotonic() > deadline:
                break
    except TimeoutError:
        return ""
    except OSError as error:
        return f"the connection broke before it sent SETTINGS: {error.strerror or error}"
    return ""
