"""The messages between the relay of an emulated link and the process that started it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from grpclab.factors.config import LinkConfig


@dataclass(frozen=True, kw_only=True)
class RelayOrder:
    """The relay's first line: where its connections lead, and over which path."""

    target: str
    link: LinkConfig


@dataclass(frozen=True, kw_only=True)
class RelayListening:
    """The relay's answer to its order."""

    port: int


@dataclass(frozen=True, kw_only=True)
class TrafficRequest:
    """Ask the relay for the traffic so far; a LinkTraffic is the answer."""


@dataclass(frozen=True, kw_only=True)
class LinkTraffic:
    """The traffic that has passed over a link: TCP connections opened, and HTTP/2 frames beside calls.

    Pings that ask, by sender, and GOAWAYs by code and reason (``ENHANCE_YOUR_CALM too_many_pings``) are counted where
    the link has an idle timeout, and where no TLS hides them; 0 otherwise.
    """

    connections: int
    client_pings: int
    server_pings: int
    goaways: Mapping[str, int]
