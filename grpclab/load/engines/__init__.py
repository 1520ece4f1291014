"""The engines: implementations of the load generator (registered in :mod:`grpclab.factors.registries`).

Each line imports only from those above it::

    engine               what an engine is: its two loops, what it counts, and how a worker makes one
    backoff              how long a client without a connection waits between two attempts: the same in both engines
    circuit_breaker      which calls may be sent to a server that fails
    loops                a closed and an open loop over calls that are awaited
    grpcio_messages      the messages of engine `grpcio`: our greeter's as objects, any other's as bytes
    grpcio_streams       streams of engine `grpcio`
    grpcio_calls         the calls of engine `grpcio`: each from its sending to its end
    grpcio               engine `grpcio`
    connection_settings  how the connections of engine `wire` are dialled, and what each of them says first
    http2_protocol       one transport with its HTTP/2 connection: where the hot path of engine `wire` begins
    reconnecting         one of a client's connections: dialled, kept alive, and dialled again when it is gone
    pool                 the connections of engine `wire`: kept ones in turn, or a new one for each call
    wire_streams         streams of engine `wire`: what the client does in a call after its start
    wire                 engine `wire`
"""
