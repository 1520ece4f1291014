"""`grpclab serve --certs`: certificates renewed under load, and clients of another authority refused."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from grpclab.cli.commands import main
from grpclab.servers import tls
from grpclab.system.transport import Security, security_of
from tests.support.four_servers import APPLICATION, KINDS
from tests.support.greeting import greeter_at, hello
from tests.support.serving import serving

RENEWALS = 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the certificates."""
    assert main(["certs", str(tmp_path / "certs"), "-q"]) == 0
    return tmp_path / "certs"


@contextlib.contextmanager
def served(kind: str, folder: Path, *settings: str) -> Iterator[str]:
    """The target of a server of `KINDS`, with mutual TLS."""
    implementation, what = kind.split()
    words = ["basic"]
    if what == "application":
        (folder.parent / "greeting_app.py").write_text(APPLICATION)
        words = ["--app", "greeting_app:register", "--app-dir", str(folder.parent)]
    levels = (f"server.implementation={implementation}", "server.mutual_tls=true", *settings)
    words += [word for level in levels for word in ("--set", level)]
    with serving(*words, "--certs", str(folder), "--port", "0") as server:
        yield server.target


def client(folder: Path) -> Security:
    """The security of a client that has what is in the folder now."""
    return security_of(cacert=folder / "ca.pem", cert=folder / "client.pem", key=folder / "client.key")


def presented(target: str, security: Security) -> bytes:
    """The certificate that the server presents to a new connection."""
    host, _, port = target.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=60) as plain,
        security.context().wrap_socket(plain, server_hostname="localhost") as encrypted,
    ):
        found = encrypted.getpeercert(binary_form=True)
    assert found is not None
    return found


def on_disk(folder: Path) -> bytes:
    """The certificate in the folder."""
    return ssl.PEM_cert_to_DER_cert((folder / "server.pem").read_text())


def greet(target: str, security: Security) -> str:
    """The answer to a call on a new connection."""
    with greeter_at(target, security) as stub:
        return str(stub.SayHello(hello("Ada"), timeout=60).message)


def assert_refused(target: str, security: Security) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        greet(target, security)
    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("kind", KINDS)
def test_a_renewed_certificate_is_served_without_a_restart_and_without_a_failed_call(kind: str, folder: Path) -> None:
    security, stop = client(folder), threading.Event()
    with served(kind, folder) as target, ThreadPoolExecutor(4) as pool:

        def call_on_new_connections() -> set[str]:
            answers = {greet(target, security)}
            while not stop.is_set():
                answers.add(greet(target, security))
            return answers

        def call_on_one_connection() -> set[str]:
            with greeter_at(target, security) as stub:
                answers = {stub.SayHello(hello("Ada"), timeout=60).message}
                while not stop.is_set():
                    answers.add(stub.SayHello(hello("Ada"), timeout=60).message)
            return answers

        calls = [pool.submit(call_on_one_connection), *(pool.submit(call_on_new_connections) for _ in range(3))]
        try:
            certificates = [presented(target, security)]
            for _ in range(RENEWALS):
                assert main(["certs", str(folder), "--renew", "-q"]) == 0
                certificates.append(presented(target, security))
                assert certificates[-1] == on_disk(folder)
        finally:
            stop.set()
        assert [call.result() for call in calls] == [{"Hello Ada!"}] * len(calls)
    assert len(set(certificates)) == RENEWALS + 1


@pytest.mark.parametrize("kind", KINDS)
def test_clients_of_another_authority_are_refused_until_the_authority_is_replaced(
    kind: str, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    tls.create(other, tls.HOSTS, days=1)
    ours, theirs = client(folder), client(other)
    with served(kind, folder) as target:
        assert greet(target, ours) == "Hello Ada!"
        assert_refused(target, replace(ours, certificate=theirs.certificate, key=theirs.key))
        assert_refused(target, replace(ours, certificate=None, key=None))
        for name in ("server.key", "server.pem", "ca.pem"):
            shutil.copy(other / name, folder)
        assert greet(target, theirs) == "Hello Ada!"
        assert_refused(target, replace(theirs, certificate=ours.certificate, key=ours.key))


@pytest.mark.parametrize("kind", ["sync greeter", "asyncio application"])
def test_without_reloading_a_server_keeps_the_certificate_that_it_started_with(kind: str, folder: Path) -> None:
    security, before = client(folder), on_disk(folder)
    with served(kind, folder, "server.tls_reload=false") as target:
        tls.renew(folder, [], days=1)
        assert presented(target, security) == before != on_disk(folder)
