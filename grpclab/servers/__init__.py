"""The servers under test: the greeter, built sync or asyncio, in one process or several, and their launcher.

Each line imports only from those above it::

    agent       what only the server process itself can tell the desk
    elastic     A thread pool that stays small under load and grows only while all of its threads are blocked
    greeter     the greeter, the built-in service, and the servers that are built for it
    prometheus  calls counted inside the server, under the names that gRPC's Prometheus libraries share
    switched    whether this server counts its calls, and answers the desk
    build       one grpcio server out of a :class:`ServerConfig`
    tls         A throw-away certificate authority for the factor ``server.tls``; lives as long as the server
    process/    A server as a process: how it starts, what it says, how it ends
    reference/  the calibration server
"""
