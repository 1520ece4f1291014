"""TLS, client certificates and names: what works in both engines, and the one line where it does not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from grpclab.errors import TargetError, UsageError
from grpclab.factors.config import TrialConfig
from grpclab.factors.registries import ENGINES
from grpclab.load.calls.method import CallSpec, find_call
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder, Records
from grpclab.load.peer_probe import server_settings
from grpclab.system.dialling import presented
from grpclab.system.transport import PLAINTEXT, Security, security_of
from tests.support.certificates import NAME, PAST, Authority, Pair, handshaking, health_server

CALL = CallSpec(path="/grpc.health.v1.Health/Check", payload=b"")
LINE_S = 30.0
"""A reason is told long before the minute for which a connection is waited."""
engines = pytest.mark.parametrize("engine", list(ENGINES))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("server", "localhost", "127.0.0.1", "::1")


@pytest.fixture(scope="module")
def named(authority: Authority) -> Pair:
    return authority.issue("named", NAME)


@pytest.fixture(scope="module")
def client(authority: Authority) -> Pair:
    return authority.issue("client", "client@example.org")


@pytest.fixture(scope="module")
def plain_server() -> Iterator[str]:
    with health_server("localhost:0") as target:
        yield target


@pytest.fixture(scope="module")
def tls_server(pair: Pair) -> Iterator[str]:
    with health_server("localhost:0", pair) as target:
        yield target


@pytest.fixture(scope="module")
def named_server(named: Pair) -> Iterator[str]:
    with health_server("localhost:0", named) as target:
        yield target


@pytest.fixture(scope="module")
def mutual_server(pair: Pair, authority: Authority) -> Iterator[str]:
    with health_server("localhost:0", pair, clients=authority.ca) as target:
        yield target


def calls(engine: str, target: str, security: Security, path: Path, *, pooling: str = "shared") -> list[int]:
    """The statuses of some calls."""
    config = TrialConfig().replace({"load.engine": engine, "client.pooling": pooling})

    async def run() -> None:
        made = ENGINES[engine](config, target, security, CALL, residence=False)
        await made.connect(20.0)
        recorder = Recorder(path / "records")
        await made.run(Gate(opens_at=0.0, requests=20), recorder, 4)
        recorder.close()
        await made.close()

    asyncio.run(run())
    return [int(status) for status in Records.load(path / "records").status]


def refusal(engine: str, target: str, security: Security) -> str:
    """What an engine says that cannot connect, in time; a minute is not waited for where it cannot help."""
    config = TrialConfig().replace({"load.engine": engine})

    async def connect() -> None:
        made = ENGINES[engine](config, target, security, CALL, residence=False)
        try:
            await made.connect(60.0)
        finally:
            await made.close()

    began = time.monotonic()
    with pytest.raises(TargetError) as raised:
        asyncio.run(connect())
    assert time.monotonic() - began < LINE_S
    assert str(raised.value).startswith(f"the server at {target} ")
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


# ---- what works --------------------------------------------------------------------------------------------------


@engines
@pytest.mark.parametrize("pooling", ["shared", "per_call"])
def test_a_server_is_called_whose_root_was_given(
    engine: str, pooling: str, tls_server: str, authority: Authority, tmp_path: Path
) -> None:
    security = security_of(cacert=authority.ca)
    assert calls(engine, tls_server, security, tmp_path, pooling=pooling) == [0] * 20


@engines
def test_a_server_that_demands_a_certificate_gets_one(
    engine: str, mutual_server: str, authority: Authority, client: Pair, tmp_path: Path
) -> None:
    security = security_of(cacert=authority.ca, cert=client.cert, key=client.key)
    assert calls(engine, mutual_server, security, tmp_path) == [0] * 20


@engines
@pytest.mark.parametrize("option", ["server_name", "authority"])
def test_a_server_may_go_by_another_name_than_its_address(
    engine: str, option: str, named_server: str, authority: Authority, tmp_path: Path
) -> None:
    security = security_of(cacert=authority.ca, **{option: NAME})  # type: ignore[arg-type]
    assert calls(engine, named_server, security, tmp_path) == [0] * 20


@engines
def test_a_server_of_another_name_and_authority_is_called_unverified(
    engine: str, named_server: str, tmp_path: Path
) -> None:
    assert calls(engine, named_server, security_of(insecure_skip_verify=True), tmp_path) == [0] * 20


@engines
@pytest.mark.parametrize("host", ["[::1]", "127.0.0.1"])
def test_addresses_in_numbers_are_names_too(
    engine: str, host: str, pair: Pair, authority: Authority, tmp_path: Path
) -> None:
    with health_server(f"{host}:0", pair) as target:
        assert calls(engine, target, security_of(cacert=authority.ca), tmp_path) == [0] * 20


def test_reflection_and_the_settings_probe_speak_tls(mutual_server: str, authority: Authority, client: Pair) -> None:
    security = security_of(cacert=authority.ca, cert=client.cert, key=client.key)
    assert find_call(mutual_server, "grpc.health.v1.Health/Check", security=security) == CALL
    assert server_settings(mutual_server, security).max_frame_size
    with pytest.raises(TargetError, match=r"may require a client certificate|refused the TLS handshake"):
        find_call(mutual_server, "grpc.health.v1.Health/Check", security=security_of(cacert=authority.ca))


# ---- what does not -----------------------------------------------------------------------------------------------


@engines
def test_a_certificate_that_is_demanded_is_asked_for(engine: str, mutual_server: str, authority: Authority) -> None:
    assert "add --cert FILE --key FILE" in refusal(engine, mutual_server, security_of(cacert=authority.ca))


@engines
def test_a_certificate_of_a_stranger_is_called_one(
    engine: str, mutual_server: str, authority: Authority, stranger: Authority
) -> None:
    theirs = stranger.issue("client", "client@example.org")
    security = security_of(cacert=authority.ca, cert=theirs.cert, key=theirs.key)
    assert "rejected the certificate in --cert" in refusal(engine, mutual_server, security)


@engines
def test_a_server_that_another_root_signed_is_not_trusted(engine: str, tls_server: str, stranger: Authority) -> None:
    line = refusal(engine, tls_server, security_of(cacert=stranger.ca))
    assert f"is not signed by {stranger.ca}" in line


@engines
def test_a_server_that_nobody_here_signed_is_not_trusted(engine: str, tls_server: str) -> None:
    assert "is not signed by an authority that this machine trusts" in refusal(
        engine, tls_server, security_of(tls=True)
    )


@engines
def test_a_certificate_for_another_name_is_called_one(engine: str, named_server: str, authority: Authority) -> None:
    assert "a name other than localhost" in refusal(engine, named_server, security_of(cacert=authority.ca))


@engines
def test_a_certificate_that_has_expired_is_called_so(engine: str, authority: Authority) -> None:
    expired = authority.issue("expired", "localhost", not_after=PAST.replace(year=2002))
    with health_server("localhost:0", expired) as target:
        assert "has expired" in refusal(engine, target, security_of(cacert=authority.ca))


@engines
def test_tls_is_not_spoken_to_a_server_in_plain_text(engine: str, plain_server: str, authority: Authority) -> None:
    for security in (security_of(cacert=authority.ca), security_of(insecure_skip_verify=True)):
        assert "does not speak TLS: remove --tls" in refusal(engine, plain_server, security)


@engines
def test_plain_text_is_not_spoken_to_a_server_with_tls(engine: str, tls_server: str, mutual_server: str) -> None:
    for target in (tls_server, mutual_server):
        assert "speaks TLS: add --tls" in refusal(engine, target, PLAINTEXT)


@engines
@pytest.mark.parametrize("protocols", [(), ("http/1.1",)])
def test_a_server_without_http_2_in_the_handshake_is_called_one(
    engine: str, protocols: tuple[str, ...], pair: Pair, authority: Authority
) -> None:
    with handshaking(pair, *protocols) as target:
        assert "(ALPN), but gRPC needs h2" in refusal(engine, target, security_of(cacert=authority.ca))


# ---- what a user gives -------------------------------------------------------------------------------------------


def test_a_key_of_another_certificate_is_refused(client: Pair, pair: Pair) -> None:
    with pytest.raises(UsageError, match=r"^invalid --key=.*server.key: expected the private key for the certificate"):
        security_of(cert=client.cert, key=pair.key)


def test_a_key_is_part_of_no_text(client: Pair) -> None:
    security = security_of(cert=client.cert, key=client.key)
    assert security.key == client.key.read_bytes()
    assert "PRIVATE KEY" not in repr(security)
    assert security.options.key == str(client.key)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "a PEM certificate"),
        (b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "certificates in PEM; this file has none"),
        (b"\xff\xfe", "a PEM certificate"),
    ],
)
def test_roots_that_are_none_are_refused_in_one_line(content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_bytes(content)
    with pytest.raises(UsageError) as raised:
        security_of(cacert=tmp_path / "roots.pem", dashes="")
    assert str(raised.value).startswith(f"invalid cacert={tmp_path / 'roots.pem'}: expected {expected}")
    assert len(str(raised.value).splitlines()) == 1


def test_a_key_with_a_passphrase_is_refused_without_asking(client: Pair, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    with pytest.raises(UsageError, match="expected a key without a passphrase"):
        security_of(cert=client.cert, key=tmp_path / "key")


# ---- Unix sockets ------------------------------------------------------------------------------------------------


@engines
@pytest.mark.parametrize("scheme", ["unix:", "unix://"])
def test_a_unix_socket_is_called(engine: str, scheme: str, tmp_path: Path) -> None:
    path = tmp_path / "a socket%"
    with health_server(f"unix:{tmp_path}/a socket%25"):
        assert path.is_socket()
        assert calls(engine, f"{scheme}{path}", PLAINTEXT, tmp_path) == [0] * 20
        assert find_call(f"{scheme}{path}", "grpc.health.v1.Health/Check") == CALL
        assert server_settings(f"{scheme}{path}").max_frame_size


@engines
def test_tls_on_a_unix_socket_is_that_of_localhost(
    engine: str, pair: Pair, authority: Authority, tmp_path: Path
) -> None:
    with contextlib.chdir(tmp_path), health_server("unix:s", pair):
        assert calls(engine, "unix:s", security_of(cacert=authority.ca), tmp_path) == [0] * 20


def test_a_certificate_that_nobody_can_trust_is_passed_over_by_engine_wire_alone(
    authority: Authority, tmp_path: Path
) -> None:
    expired = authority.issue("expired", "localhost", not_after=PAST.replace(year=2002))
    anybody = security_of(insecure_skip_verify=True)
    with health_server("localhost:0", expired) as target:
        assert calls("wire", target, anybody, tmp_path) == [0] * 20
        with pytest.raises(TargetError, match=r"certificate has expired; .* use --engine wire"):
            calls("grpcio", target, anybody, tmp_path)


# ---- what is not shown -------------------------------------------------------------------------------------------


@engines
@pytest.mark.parametrize(
    ("first_bytes", "told"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak TLS: remove --tls"),
        (b"", "does not speak TLS: remove --tls"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "refused the TLS handshake (protocol version)"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "it may require a client certificate"),
    ],
)
def test_no_text_of_openssl_is_shown_where_nobody_is_verified(engine: str, first_bytes: bytes, told: str) -> None:
    with answering(first_bytes) as target:
        text = refusal(engine, target, security_of(insecure_skip_verify=True))
        with pytest.raises(TargetError) as caught:
            presented(target, security_of(insecure_skip_verify=True))
    for one in (text, str(caught.value)):
        assert told in one
        assert "_ssl.c" not in one
        assert "[SSL" not in one


@contextlib.contextmanager
def answering(first_bytes: bytes) -> Iterator[str]:
    """A server that answers each connection's first bytes with these, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.recv(1 << 16)
                    connection.sendall(first_bytes)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_the_log_of_c_core_is_not_shown_before_the_reason(tls_server: str) -> None:
    words = ["bench", tls_server, "--tls", "--call", "grpc.health.v1.Health/Check", "--engine", "grpcio", "-n", "5"]
    run = subprocess.run(
        [sys.executable, "-m", "grpclab", *words], capture_output=True, text=True, check=False, timeout=60
    )
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"grpclab: the server at {tls_server} has a certificate that is not signed by")
