"""The reasons why a target cannot be loaded. A socket of our own finds them, so that both engines report the same.

A plaintext client learns little from a server that speaks TLS or HTTP/1.1: the connection closes, or nothing comes.
:func:`look` tells these apart from a port where nothing listens and from a server that is only slow.
:func:`await_listener` asks no more than whether somebody listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import ssl
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from grpclab.errors import TargetError
from grpclab.http2 import frames
from grpclab.system import ulimits
from grpclab.system.dialling import loopback_target, open_connection
from grpclab.system.transport import DEMANDS, NO_TLS, PLAINTEXT, SILENT, Security, handshake_fault
from grpclab.text.printable import printable

LOOK_AFTER_S = 0.25
"""A target that is not ready by then is looked at, so that what cannot end well is not waited for; no look is made
where the wait is no longer than this."""
PATIENCE_S = 1.0
"""Longest wait for one answer of a look; there are two questions at most."""
_START = "start a server there (`grpclab serve optimized`), or use another target"
_START_OR_WAIT = (
    "start a server there (`grpclab serve optimized`), use another target, or wait for it with --connect-timeout 30s"
)
FILES_RUN_OUT = (errno.EMFILE, errno.ENFILE)
"""The errors of a process, or a system, that may open no further file."""
LISTEN_AGAIN_S = 0.05
"""The time from one look for a listener to the next."""
ANSWER_S = 1.0
"""A kernel accepts or refuses a connection on loopback at once."""
_TLS_ALERT = b"\x15\x03"
_SHOWN = 24


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The state of a target, as a socket of our own finds it."""

    text: str
    """A clause about the target: ``the server at localhost:1 speaks TLS: ...``; empty where an HTTP/2 server is there,
    or nothing is known."""
    final: bool
    """Waiting longer does not help."""


def look(target: str, security: Security = PLAINTEXT, *, patience_s: float = PATIENCE_S) -> Diagnosis:
    """Find out who listens at ``host:port``, for a client with this security."""
    address = loopback_target(target, security.remote)
    who = f"the server at {target}"
    try:
        if security.tls:
            text = _tls_fault(address, security, security.server_name_at(target), patience_s)
            return Diagnosis(text=f"{who} {text}" if text else "", final=text not in ("", SILENT))
        greeting = _greeting(address, patience_s)
        if greeting is None or greeting.startswith(_TLS_ALERT):  # closed, silent, or an alert: as TLS servers do
            anybody = Security(tls=True, verify=False)
            if _tls_fault(address, anybody, "", patience_s) not in (NO_TLS, SILENT):
                remedy = "add --tls, and --cacert FILE if this machine does not trust its certificate"
                return Diagnosis(text=f"{who} speaks TLS: {remedy}", final=True)
            return Diagnosis(text="", final=False)
    except OSError as error:
        return _failed(target, error)
    if greeting[3:4] == bytes([frames.SETTINGS]):
        return Diagnosis(text="", final=False)
    if greeting.startswith(b"HTTP/1"):
        text = f"{who} speaks HTTP/1.1, but gRPC needs HTTP/2: use its gRPC port"
    else:
        shown = printable(repr(greeting[:_SHOWN]))
        text = f"{who} does not speak HTTP/2 (its answer begins with {shown}): use a gRPC port"
    return Diagnosis(text=text, final=True)


def _greeting(address: tuple[Sequence[str], int], patience_s: float) -> bytes | None:
    """The first bytes that come after HTTP/2's own; None where none come. Raises OSError if there is no connection."""
    with open_connection(*address, timeout_s=patience_s) as plain:
        try:
            plain.sendall(frames.PREFACE + frames.settings({}))
            return plain.recv(256) or None
        except OSError:
            return None


def _tls_fault(address: tuple[Sequence[str], int], security: Security, name: str, patience_s: float) -> str:
    """Return what is wrong with TLS at an address, as a clause about the server; nothing where nothing is.

    Raises OSError if there is no connection.
    """
    context = security.context()
    with open_connection(*address, timeout_s=patience_s) as plain:
        try:
            connection = context.wrap_socket(plain, server_hostname=name or None)
        except ssl.SSLCertVerificationError as error:
            return _untrusted(error, name, security)
        except OSError as error:
            return handshake_fault(error, security)
        with connection:
            return _fault_after_handshake(connection, security)


def _fault_after_handshake(connection: ssl.SSLSocket, security: Security) -> str:
    """Return what is wrong with a connection whose handshake is over, as :func:`_tls_fault` does."""
    agreed = connection.selected_alpn_protocol()
    if agreed != "h2":
        offer = f"negotiated {agreed}" if agreed else "negotiated no protocol"
        return f"{offer} in the TLS handshake (ALPN), but gRPC needs h2: use its gRPC port, or enable HTTP/2"
    fault = "closed the connection after the TLS handshake: "
    fault += DEMANDS if security.certificate is None else "it might have rejected the certificate in --cert"
    try:  # with TLS 1.3 the server judges the client's certificate when the client's handshake is over
        connection.sendall(frames.PREFACE + frames.settings({}))
        return "" if connection.recv(256) else fault
    except TimeoutError:
        return ""
    except ssl.SSLError as error:
        return handshake_fault(error, security) if "ALERT" in (error.reason or "") else ""
    except OSError:
        return fault


_EXPIRED, _NOT_YET, _NAME, _ADDRESS = 10, 9, 62, 64
"""OpenSSL's codes of what is wrong with a certificate (X509_V_ERR)."""


def _untrusted(error: ssl.SSLCertVerificationError, name: str, security: Security) -> str:
    """Return what is wrong with the server's certificate."""
    if error.verify_code == _EXPIRED:
        return "has a certificate that has expired: renew it, or add --insecure-skip-verify"
    if error.verify_code == _NOT_YET:
        return "has a certificate that is not valid yet: set the clock, or add --insecure-skip-verify"
    if error.verify_code in (_NAME, _ADDRESS):
        return f"has a certificate for a name other than {name}: add --server-name NAME with a name in the certificate"
    trusted = (
        (security.options.cacert or "the given roots") if security.roots else "an authority that this machine trusts"
    )
    why = error.verify_message or "it cannot be verified"
    return f"has a certificate that is not signed by {trusted} ({why}): provide its root certificate with --cacert FILE"


def _failed(target: str, error: OSError) -> Diagnosis:
    if error.errno in FILES_RUN_OUT:
        return Diagnosis(text=f"cannot open a connection to {target}, {too_many_files(error.errno)}", final=True)
    return Diagnosis(text="", final=False)


def too_many_files(number: int) -> str:
    """Return the meaning of an error of FILES_RUN_OUT, with the limit of a process and the way to raise it."""
    if number == errno.ENFILE:
        return "since too many files are open on this machine: stop a program that has many files open"
    soft, _ = ulimits.open_files()
    return f"since this process can have only {soft:,} files open: raise `ulimit -n`, or use fewer connections"


def unreachable(target: str, timeout_s: float, diagnosis: Diagnosis | None = None, why: str = "") -> TargetError:
    """The error to raise; `why` is how the last attempt to connect ended, where that is known."""
    if diagnosis is not None and diagnosis.text:
        return TargetError(diagnosis.text)
    return TargetError(f"no server responded at {target} within {timeout_s:g} s{f' ({why})' if why else ''}: {_START}")


# ---- before a load is prepared ------------------------------------------------------------------------------------


def await_listener(
    target: str,
    wait_s: float | None = 0.0,
    *,
    remote: Sequence[str] = (),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return as soon as somebody listens at the target. Raises TargetError where nobody does within `wait_s`.

    None is no wait, for who has no option ``--connect-timeout`` that could be advised.
    What else is wrong with a target (it accepts and says nothing, it speaks another protocol) shows when it is called.
    """
    hosts, port = loopback_target(target, remote)
    end = clock() + (wait_s or 0.0)
    while all(reasons := [_refusal(host, port) for host in hosts]):
        if clock() >= end:
            waited = f" within {wait_s:g} s" if wait_s else ""
            raise TargetError(
                f"no server responded at {target}{waited} ({reasons[0]}): "
                f"{_START if wait_s is None else _START_OR_WAIT}"
            )
        sleep(LISTEN_AGAIN_S)


def _refusal(host: str, port: int) -> str:
    """Return the reason why nobody listens at an address; nothing where somebody does."""
    try:
        open_connection((host,), port, timeout_s=ANSWER_S).close()
    except (TimeoutError, BlockingIOError):
        return ""  # a full queue of connections: somebody listens
    except OSError as error:
        if error.errno in FILES_RUN_OUT:
            raise TargetError(_failed(f"{host}:{port}" if port else host, error).text) from None
        return (os.strerror(error.errno) if error.errno else str(error)).lower()
    return ""


# ---- while an engine connects -------------------------------------------------------------------------------------


async def connected(
    opening: Coroutine[Any, Any, Any],
    target: str,
    timeout_s: float,
    *,
    security: Security,
    why: Callable[[], str] = str,
) -> None:
    """Wait until `opening` has connected. Raises TargetError when time is over, or as soon as that cannot help.

    `why` tells how the last attempt ended, or nothing.
    """
    task = asyncio.ensure_future(opening)
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + timeout_s
    diagnosis = None
    try:
        await asyncio.wait({task}, timeout=min(LOOK_AFTER_S, timeout_s))
        if not task.done() and timeout_s > LOOK_AFTER_S:
            diagnosis = await asyncio.to_thread(look, target, security, patience_s=min(PATIENCE_S, timeout_s))
            if not diagnosis.final:
                await asyncio.wait({task}, timeout=max(0.0, ends_at - loop.time()))
        if not task.done():
            raise unreachable(target, timeout_s, diagnosis, why())
        task.result()
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def system_text(number: int) -> str:
    """The system's word for an error number, with the remedy where there is one."""
    text = os.strerror(number)
    return f"{text}, {too_many_files(number)}" if number in FILES_RUN_OUT else text
