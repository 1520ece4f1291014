"""Shapes of answers, right and wrong, each with the one outcome that the protocol asks for."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass

from grpclab.http2 import frames
from grpclab.http2.frames import MAX_LIST_BYTES
from tests.support.answer_server import EMPTY, PLAIN, Piece, close, data, goaway, headers, reset, trailers
from tests.support.http2_peer import BEGIN

HTTP_OK = [(":status", "200")]
CONTENT_TYPE = ("content-type", "application/grpc")
CARDINALITY = "UNIMPLEMENTED"
"""Of a unary call with any number of messages but one (grpc/grpc, ``doc/statuscodes.md``)."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """An answer, its outcome, and where grpcio has another one, that and the row of docs/engines.md that says so."""

    pieces: tuple[Piece, ...]
    outcome: str
    grpcio: frozenset[str] = frozenset()
    row: str = ""

    def of(self, engine: str) -> frozenset[str]:
        """The statuses that a call may end with."""
        return self.grpcio if engine == "grpcio" and self.grpcio else frozenset({self.outcome})


def shape(outcome: str, *pieces: Piece, grpcio: str = "", row: str = "") -> Shape:
    return Shape(pieces=pieces, outcome=outcome, grpcio=frozenset(grpcio.split()), row=row)


def begun(outcome: str, *more: tuple[str, str], grpcio: str = "", row: str = "") -> Shape:
    """An answer like any other but for these headers."""
    return shape(outcome, headers(BEGIN, *more), data(), trailers(), grpcio=grpcio, row=row)


def ended(outcome: str, *more: tuple[str, str], status: str = "0", grpcio: str = "", row: str = "") -> Shape:
    """An answer like any other but for its trailers."""
    return shape(outcome, headers(), data(), trailers(*more, status=status), grpcio=grpcio, row=row)


def http(outcome: str, status: str, *more: tuple[str, str]) -> Shape:
    """An answer that ends with its headers."""
    return shape(outcome, headers([(":status", status)], *more, end=True))


def refused(outcome: str, status: str, *more: tuple[str, str]) -> Shape:
    """Trailers-Only."""
    return http(outcome, "200", CONTENT_TYPE, ("grpc-status", status), *more)


def typed(outcome: str, content_type: str, grpcio: str = "") -> Shape:
    row = "a content type other than gRPC's" if grpcio else ""
    begin = headers(HTTP_OK, ("content-type", content_type))
    return shape(outcome, begin, data(), trailers(), grpcio=grpcio, row=row)


def flagged(message: bytes, flag: int = 1) -> bytes:
    """A message with this compression flag."""
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


def encoded(outcome: str, encoding: str, body: bytes) -> Shape:
    return shape(outcome, headers(BEGIN, ("grpc-encoding", encoding)), data(body), trailers())


NOT_A_NUMBER = "a grpc-status that is not a number"
SPACED = "a grpc-status with blanks or a sign"
INTERIM = "an interim answer (1xx) before the answer"
NO_STATUS = "an answer without :status"
OWN_HEADERS = "one of gRPC's own headers with a value that C-core cannot read"
TWICE = "HEADERS that neither begin nor end an answer"
TWO = "two messages in a unary answer"
HALF = "a stream that ends within a message"
GZIP = gzip.compress(b"hello" * 1000, mtime=0)
FAR = 3 * MAX_LIST_BYTES

UNARY: dict[str, Shape] = {
    "plain": shape("OK", *PLAIN),
    # ---- content types
    "no content type": shape("OK", headers(HTTP_OK), data(), trailers()),
    "content type with charset": typed("OK", "application/grpc;charset=utf-8"),
    "content type +proto": typed("OK", "application/grpc+proto"),
    "content type +json": typed("OK", "application/grpc+json"),
    "content type grpc-web": typed("OK", "application/grpc-web"),
    "content type in capitals": typed("OK", "Application/GRPC"),
    "html": shape("UNKNOWN", headers(HTTP_OK, ("content-type", "text/html")), data(b"<html>", end=True)),
    "html with trailers": typed("UNKNOWN", "text/html", grpcio="OK"),
    "octet-stream": typed("UNKNOWN", "application/octet-stream", grpcio="OK"),
    "empty content type": typed("UNKNOWN", "", grpcio="OK"),
    # ---- where the status stands
    "status 0 first and last": begun("OK", ("grpc-status", "0")),
    "status 0 first and no trailers": shape("UNKNOWN", headers(BEGIN, ("grpc-status", "0")), data(end=True)),
    "status 0 first, no message": shape(CARDINALITY, headers(BEGIN, ("grpc-status", "0")), trailers()),
    "status 5 first, 0 last": begun("OK", ("grpc-status", "5")),
    "status 5 last": ended("NOT_FOUND", status="5"),
    "status 13 after a message": ended("INTERNAL", status="13"),
    "status 5 without a message": shape("NOT_FOUND", headers(), trailers(status="5")),
    "status 5 after half a message": shape("NOT_FOUND", headers(), data(EMPTY[:3]), trailers(status="5")),
    "trailers only, 0": refused(CARDINALITY, "0"),
    "trailers only, 0, no content type": http(CARDINALITY, "200", ("grpc-status", "0")),
    "trailers only, 5": refused("NOT_FOUND", "5", ("grpc-message", "no%20such")),
    "trailers only, 5, no content type": http("NOT_FOUND", "200", ("grpc-status", "5")),
    "trailers only, 14 with pushback": refused("UNAVAILABLE", "14", ("grpc-retry-pushback-ms", "10")),
    "trailers only, text is not UTF-8": refused("INVALID_ARGUMENT", "3", ("grpc-message", "%ff%fe%zz")),
    "headers only": shape("UNKNOWN", headers(end=True)),
    "no trailers": shape("UNKNOWN", headers(), data(end=True)),
    "no trailers after half a message": shape("UNKNOWN", headers(), data(EMPTY[:3], end=True)),
    "trailers without a status": shape("UNKNOWN", headers(), data(), headers([("x", "y")], end=True)),
    # ---- statuses
    "status 17": ended("UNKNOWN", status="17"),
    "status 99": ended("UNKNOWN", status="99"),
    "status 00": ended("OK", status="00"),
    "status 05": ended("NOT_FOUND", status="05"),
    "status of a word": ended("UNKNOWN", status="OK", grpcio="INTERNAL", row=NOT_A_NUMBER),
    "status empty": ended("UNKNOWN", status="", grpcio="INTERNAL", row=NOT_A_NUMBER),
    "status -3": ended("UNKNOWN", status="-3", grpcio="INTERNAL", row=NOT_A_NUMBER),
    "status 2^32": ended("UNKNOWN", status=str(2**32), grpcio="INTERNAL", row=NOT_A_NUMBER),
    "status blank 0": ended("UNKNOWN", status=" 0", grpcio="OK", row=SPACED),
    "status 0 blank": ended("UNKNOWN", status="0 ", grpcio="OK", row=SPACED),
    "status +0": ended("UNKNOWN", status="+0", grpcio="OK", row=SPACED),
    "status 0, then 5": ended("NOT_FOUND", ("grpc-status", "5")),
    "status 5, then 0": ended("OK", ("grpc-status", "0"), status="5"),
    # ---- messages
    "no message": shape(CARDINALITY, headers(), trailers()),
    "half a message": shape(CARDINALITY, headers(), data(EMPTY[:3]), trailers()),
    "two messages": shape(CARDINALITY, headers(), data(EMPTY * 2), trailers(), grpcio="DEADLINE_EXCEEDED", row=TWO),
    "two messages in two frames": shape(
        CARDINALITY, headers(), data(), data(), trailers(), grpcio="DEADLINE_EXCEEDED", row=TWO
    ),
    "one and a half": shape(
        "INTERNAL", headers(), data(EMPTY + EMPTY[:3]), trailers(), grpcio="DEADLINE_EXCEEDED", row=TWO
    ),
    "two messages, then a failure": shape(
        "NOT_FOUND", headers(), data(EMPTY * 2), trailers(status="5"), grpcio="DEADLINE_EXCEEDED", row=TWO
    ),
    "not a protobuf message": shape("OK", headers(), data(flagged(b"\xff\xff", 0)), trailers()),
    # ---- compression
    "gzip": encoded("OK", "gzip", flagged(GZIP)),
    "deflate": encoded("OK", "deflate", flagged(zlib.compress(b"hello"))),
    "gzip of nothing": encoded("OK", "gzip", flagged(b"")),
    "gzip named, not used": encoded("OK", "gzip", EMPTY),
    "gzip, damaged": encoded("INTERNAL", "gzip", flagged(b"hello")),
    "gzip, cut off": encoded("INTERNAL", "gzip", flagged(GZIP[:-9])),
    "compressed without an encoding": shape("INTERNAL", headers(), data(flagged(b"")), trailers()),
    "compressed with identity": encoded("INTERNAL", "identity", flagged(GZIP)),
    "compression flag 2": shape(
        "INTERNAL", headers(), data(flagged(b"x", 2)), trailers(), grpcio=CARDINALITY, row="a compression flag above 1"
    ),
    "unknown encoding": encoded("INTERNAL", "zstd", EMPTY),
    "unknown encoding, used": encoded("INTERNAL", "zstd", flagged(b"x")),
    "encoding in capitals": encoded("INTERNAL", "GZIP", EMPTY),
    "unknown encoding of a failure": refused("INTERNAL", "5", ("grpc-encoding", "zstd")),
    # ---- HTTP statuses
    "201": shape("UNKNOWN", headers([(":status", "201"), CONTENT_TYPE]), data(), trailers()),
    "204": http("UNKNOWN", "204"),
    "302": http("UNKNOWN", "302", ("location", "/x")),
    "400": http("INTERNAL", "400"),
    "401": http("UNAUTHENTICATED", "401", ("www-authenticate", "x")),
    "403": http("PERMISSION_DENIED", "403"),
    "404": http("UNIMPLEMENTED", "404"),
    "404 with a grpc-status": http("PERMISSION_DENIED", "404", CONTENT_TYPE, ("grpc-status", "7")),
    "429": http("UNAVAILABLE", "429"),
    "500": http("UNKNOWN", "500"),
    "500 with status 0": shape("UNKNOWN", headers([(":status", "500"), CONTENT_TYPE]), data(), trailers()),
    "502": http("UNAVAILABLE", "502"),
    "503 with text": shape("UNAVAILABLE", headers([(":status", "503")]), data(b"busy", end=True)),
    "503 with gRPC's content type": shape(
        "UNAVAILABLE", headers([(":status", "503"), CONTENT_TYPE]), data(b"", end=True)
    ),
    "504": http("UNAVAILABLE", "504"),
    "no number as HTTP status": shape("INTERNAL", headers([(":status", "abc"), CONTENT_TYPE]), data(), trailers()),
    "100 first": shape("OK", headers([(":status", "100")]), *PLAIN, grpcio="UNKNOWN UNAVAILABLE", row=INTERIM),
    "103 first": shape("OK", headers([(":status", "103")]), *PLAIN, grpcio="UNKNOWN UNAVAILABLE", row=INTERIM),
    # ---- headers
    "no :status": shape("INTERNAL", headers([CONTENT_TYPE]), data(), trailers(), grpcio="OK", row=NO_STATUS),
    "no :status, trailers only": shape(
        "INTERNAL", headers([("grpc-status", "5")], end=True), grpcio="NOT_FOUND", row=NO_STATUS
    ),
    "header in capitals": begun("INTERNAL", ("X-Upper", "y")),
    "trailer in capitals": ended("INTERNAL", ("X-Upper", "y")),
    "header without a name": begun("INTERNAL", ("", "y")),
    "header with a blank in its name": begun("INTERNAL", ("x y", "z")),
    "unknown pseudo-header": begun("INTERNAL", (":unknown", "/")),
    "pseudo-header of a request": begun(
        "INTERNAL", (":path", "/"), grpcio="OK", row="a request's pseudo-header in an answer"
    ),
    "te that is not trailers": begun("INTERNAL", ("te", "gzip")),
    "binary header": begun("OK", ("x-bin", "aGVsbG8")),
    "binary header with padding": begun("OK", ("x-bin", "aGVsbG8=")),
    "binary header that is none": begun("INTERNAL", ("x-bin", "!")),
    "binary header of 5 digits": begun("INTERNAL", ("x-bin", "aGVsb")),
    "binary header in URL-safe digits": begun("INTERNAL", ("x-bin", "-_-_")),
    "two binary headers in one": begun(
        "OK", ("x-bin", "aGk,aGk"), grpcio="INTERNAL", row="values of a -bin header joined by a comma"
    ),
    "connection: close": begun("OK", ("connection", "close")),
    "a late :status": shape("OK", headers([CONTENT_TYPE, (":status", "200")]), data(), trailers()),
    ":status twice": begun("OK", (":status", "200")),
    ":status in trailers": ended("OK", (":status", "200")),
    "control characters": begun("OK", ("x", "a\x01b")),
    "grpc-timeout": begun("OK", ("grpc-timeout", "x"), grpcio="INTERNAL", row=OWN_HEADERS),
    "pushback that is no number": ended("OK", ("grpc-retry-pushback-ms", "x"), grpcio="INTERNAL", row=OWN_HEADERS),
    # ---- sizes
    "9 kB of headers": begun("OK", ("x", "v" * 9_000)),
    "20 kB of headers": begun("OK", ("x", "v" * 20_000)),
    "100 kB of headers": begun("OK", ("x", "v" * 100_000)),
    "9 kB of trailers": ended("OK", ("x", "v" * 9_000)),
    "9 kB of text": refused("NOT_FOUND", "5", ("grpc-message", "m" * 9_000)),
    "15 kB of text": refused("NOT_FOUND", "5", ("grpc-message", "m" * 15_000)),
    "64 kB of text": refused("NOT_FOUND", "5", ("grpc-message", "m" * 64_000)),
    "66 kB of text": refused("NOT_FOUND", "5", ("grpc-message", "m" * 66_000)),
    "too many headers": begun("RESOURCE_EXHAUSTED", ("x", "v" * MAX_LIST_BYTES)),
    "far too many headers": begun("RESOURCE_EXHAUSTED", ("x", "v" * FAR)),
    "too many trailers": ended("RESOURCE_EXHAUSTED", ("x", "v" * MAX_LIST_BYTES)),
    "too much text": refused("RESOURCE_EXHAUSTED", "5", ("grpc-message", "m" * FAR)),
    # ---- frames
    "refused": shape("UNAVAILABLE", reset(7)),
    "cancelled": shape("CANCELLED", reset(8)),
    "reset: internal error": shape("INTERNAL", reset(2)),
    "reset: protocol error": shape("INTERNAL", reset(1)),
    "reset: no error": shape("INTERNAL", reset(0)),
    "reset: calm": shape("RESOURCE_EXHAUSTED", reset(11)),
    "reset: inadequate security": shape("PERMISSION_DENIED", reset(12)),
    "reset: unknown": shape("INTERNAL", reset(99)),
    "reset after a message": shape("CANCELLED", headers(), data(), reset(8)),
    "reset after the end": shape("OK", *PLAIN, reset(0)),
    "data after the end": shape("OK", *PLAIN, data()),
    "headers twice": shape("INTERNAL", headers(), *PLAIN, grpcio="UNKNOWN UNAVAILABLE", row=TWICE),
    "headers in between": shape(
        "INTERNAL",
        headers(),
        data(),
        headers([("x", "y")]),
        trailers(),
        grpcio="UNKNOWN UNAVAILABLE",
        row=TWICE,
    ),
    "data first": shape("INTERNAL", data(), headers(), trailers(), grpcio="OK", row="DATA before HEADERS"),
    "a window of 0": shape(
        "INTERNAL",
        lambda stream_id: frames.window_update(stream_id, 0),
        grpcio="UNKNOWN UNAVAILABLE",
        row="WINDOW_UPDATE of 0 on a stream",
    ),
    "goaway": shape("UNAVAILABLE", goaway, close),
    "closed": shape("UNAVAILABLE", close),
    "closed after a message": shape("UNAVAILABLE", headers(), data(), close),
}

STREAM: dict[str, Shape] = {
    "plain": shape("OK", *PLAIN),
    "no message": shape("OK", headers(), trailers()),
    "trailers only, 0": refused("OK", "0"),
    "three messages": shape("OK", headers(), data(EMPTY * 2), data(), trailers()),
    "two messages, then a failure": shape("NOT_FOUND", headers(), data(EMPTY * 2), trailers(status="5")),
    "half a message": shape("INTERNAL", headers(), data(EMPTY[:3]), trailers(), grpcio="OK", row=HALF),
    "one and a half": shape("INTERNAL", headers(), data(EMPTY + EMPTY[:3]), trailers(), grpcio="OK", row=HALF),
    "gzip, then not": shape(
        "OK", headers(BEGIN, ("grpc-encoding", "gzip")), data(flagged(GZIP) + EMPTY), data(flagged(GZIP)), trailers()
    ),
    "503 with text": shape(
        "UNAVAILABLE",
        headers([(":status", "503")]),
        data(b"busy", end=True),
        grpcio="UNKNOWN UNAVAILABLE",
        row="an HTTP error with a body on a stream",
    ),
    "401": http("UNAUTHENTICATED", "401"),
    "no trailers": shape("UNKNOWN", headers(), data(end=True)),
    "no :status": shape("INTERNAL", headers([CONTENT_TYPE]), data(), trailers(), grpcio="OK", row=NO_STATUS),
}
