"""HTTP/2 and gRPC framing without I/O: bytes in, events out; no socket, no clock.

Each line imports only from those above it::

    frames           HTTP/2 frames as bytes (RFC 9113, section 6)
    protocol_errors  the errors of a peer: of a connection or of a stream; floods
    states           the states of connections and streams: tables of (state, input) -> (action, state)
    flow_control     windows in both directions, and the DATA that wait for them
    control          the frames that move no call, and what a connection knows from them
    headers          header blocks (RFC 7541), coded once and looked up afterwards
    header_blocks    the header blocks of a peer, put together from their frames
    fast_path        streams that are like one before, recognised in one comparison
    connection       a connection: bytes in, frames to the side that owns it
    messages         gRPC on top of HTTP/2
    exchange         one exchange from the client's side
    prepared         the requests of a client as bytes, and their way out
    client           the client's side: calls out, answers in
    mixture          the same where the method differs from call to call
    peer_settings    the settings that a peer sends at the beginning of a connection, and a reader for them
    replies          a server's bytes: header blocks, and replies cut into pieces
    requests         the head of a request, and what is wrong with it
    streams          the calls of a connection as its server sees them
    answers          answers out, prepared or piece by piece, within the client's windows
    server           the server's side: calls in, answers out
    call_reader      the calls of a connection, read from what passes in both directions, without taking part in it
    frame_counter    counts of the frames that pass in one direction of a connection, without taking part in it

A side of a connection (:mod:`client`, :mod:`server`, :mod:`peer_settings`) owns its parts: what was said so far
(:mod:`control`), windows (:mod:`flow_control`), header blocks (:mod:`header_blocks`), the streams that are recognised
(:mod:`fast_path`), and the :mod:`connection`, which cuts bytes into frames and carries out the transitions of
:mod:`states`. No part knows its side: that is passed in. Complete for what a load generator and a calibration server
meet (RFC 9113, RFC 7541, grpc/grpc ``doc/PROTOCOL-HTTP2.md``).
"""
