"""HTTP/2 and gRPC framing without I/O: bytes in, events out; no socket, no clock.

Each line imports only from those above it::

    frames         HTTP/2 frames as bytes (RFC 9113, section 6)
    control        the frames that keep a connection going and move no call
    headers        header blocks (RFC 7541), coded once and looked up afterwards
    connection     the shared half of both sides of a connection
    messages       gRPC on top of HTTP/2
    exchange       one exchange from the client's side
    client         the client's side: calls out, answers in
    sequence       the client's side where the request differs from call to call
    mixture        the client's side where the method differs from call to call
    peer_settings  the settings that a peer sends at the beginning of a connection, and a reader for them
    replies        a server's bytes: header blocks, and replies cut into pieces
    requests       the head of a request, and what is wrong with it
    streams        the calls of a connection as its server sees them
    answers        answers out, prepared or piece by piece, within the client's windows
    server         the server's side: calls in, answers out
    call_reader    the calls of a connection, read from what passes in both directions, without taking part in it
    frame_counter  counts of the frames that pass in one direction of a connection, without taking part in it

:mod:`frames` builds frames, :mod:`headers` codes header blocks, :mod:`messages` is gRPC's own framing,
:mod:`exchange` a call as its client sees it, :mod:`streams` as its server does. :mod:`connection` takes frames in for
both sides and :mod:`control` has what is rare in that; :mod:`client` and :mod:`server`, which owns its :mod:`answers`,
are the two sides; :mod:`peer_settings` reads only what a peer sends first. Complete for what a load generator and a
calibration server meet (RFC 9113, RFC 7541, grpc/grpc ``doc/PROTOCOL-HTTP2.md``).
"""
