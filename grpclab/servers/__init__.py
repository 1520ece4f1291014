"""The servers under test: the greeter, built sync or asyncio, in one process or several, and their launcher.

Each line imports only from those above it::

    agent            the facts that only the server process itself can give the diagnostics server
    elastic          a thread pool that stays small under load and grows only while all of its threads are blocked
    greeter          the greeter, the built-in service, and the servers that are built for it
    interceptors     what a server does around each call: an access log, a rate limit, empty interceptors
    admission        a bound on the calls that wait for a thread of a sync server
    tracing          calls traced with OpenTelemetry, and sent to a collector
    prometheus       calls counted inside the server, under the names that gRPC's Prometheus libraries share
    instrumentation  the interceptors of a server, and the agent for the diagnostics server
    pygrpc           servers of pygrpc-native, which take grpcio's servicers
    betterproto2_messages  the greeter's messages as dataclasses of betterproto2
    grpclib_server   the greeter on grpclib, a server of asyncio in pure Python
    certificates     a server's certificate, read from its files: once, or again whenever they have changed
    connect_application  the greeter on connectrpc, as Envoy runs it
    connect_server   an Envoy with that application inside, and its drain
    build            one grpcio server out of a :class:`ServerConfig`
    tls              certificates for trying TLS: temporary ones, and those that ``grpclab certs`` makes
    process/         a server as a process: how it starts, what it says, how it ends
    target           the target as a user names it: a variant, an application, a command, an address
    leave            the leave to load running servers on other machines, within ceilings
    hosting/         a user's application, hosted under the factors of a server
    placement        where a server runs: at a revision of its repository, with packages of its own
    targets          the kinds of targets that a trial can start, and the registry of them
    reference/       the calibration server
"""
