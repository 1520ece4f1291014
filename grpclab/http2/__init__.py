"""HTTP/2 and gRPC framing without I/O: bytes in, events out; no socket, no clock.

:mod:`frames` builds frames, :mod:`headers` codes header blocks, :mod:`messages` is gRPC's own framing,
:mod:`exchange` a call as its client sees it. :mod:`connection` takes frames in for both sides and :mod:`control` has
what is rare in that; :mod:`client` with :mod:`asking` (requests out) and :mod:`server` with :mod:`requests`,
:mod:`replies` and :mod:`answering` (answers out) are the two sides; :mod:`listening` only hears what a peer says
first. Complete for what a load generator and a calibration server meet (RFC 9113, RFC 7541, grpc/grpc
``doc/PROTOCOL-HTTP2.md``).
"""
