"""The traffic on a client's connections beside calls: connections, pings, GOAWAYs. Pure.

Engine `wire` counts the frames themselves. Of C-core, channelz tells the keepalive pings that were sent on the
connections that are open, and the attempts at calls, including retries; its log tells the GOAWAYs with an error code.
The server's pings it does not tell.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_CORE_LINE = re.compile(r"^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+:\d+\] ")
_GOAWAY = re.compile(r"Got goaway \[(\d+)\].*?(?:Debug Text: (.*?))?(?: \{|$)")
_CHANGE = re.compile(r"^(?:Channel state change|Subchannel connectivity state changed) to (\w+)")

_Reader = Callable[[int], bytes]
"""A question to channelz by number, answered in JSON."""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Counts since the client connected, warm-up included."""

    connections_opened: int = 0
    client_pings: int = 0
    """Pings that the client sent: with C-core, keepalive pings on connections still open."""
    server_pings: float = 0
    """Pings that the server sent; NaN where the client does not tell."""
    goaways: Mapping[str, int] = field(default_factory=dict)
    """GOAWAYs from the server by error code and reason, as in ``"11 too_many_pings"``; with C-core those with an
    error code only."""
    attempts: int = 0
    """Attempts at calls that were sent on a connection, retries included; 0 where the client does not retry,
    or opens a channel for each call."""
    bytes_sent: float = 0.0
    """Bytes that TCP sent for the client, headers and TLS included; NaN where the system does not tell."""
    bytes_received: float = 0.0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            connections_opened=self.connections_opened + other.connections_opened,
            client_pings=self.client_pings + other.client_pings,
            server_pings=self.server_pings + other.server_pings,
            goaways=add_counts(self.goaways, other.goaways),
            attempts=self.attempts + other.attempts,
            bytes_sent=self.bytes_sent + other.bytes_sent,
            bytes_received=self.bytes_received + other.bytes_received,
        )

    def bytes_per_call(self, calls: int) -> dict[str, float]:
        """The bytes sent and received for one of all `calls` since the client connected, by the columns' names."""
        counts = {"sent_per_call_bytes": self.bytes_sent, "received_per_call_bytes": self.bytes_received}
        return {name: count / calls if calls else math.nan for name, count in counts.items()}

    def as_row(self) -> dict[str, float]:
        """Its columns of trials.parquet."""
        return {
            "connections_opened": self.connections_opened,
            "client_pings": self.client_pings,
            "server_pings": self.server_pings,
            "goaways": sum(self.goaways.values()),
            "attempts": self.attempts,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON has them: null where the client does not tell."""
        unknown = {name: None for name, value in vars(self).items() if isinstance(value, float) and math.isnan(value)}
        return {**vars(self), "goaways": dict(self.goaways), **unknown}


class TrafficCounter:
    """Counts the traffic of an engine that sees its frames."""

    def __init__(self) -> None:
        self.connections_opened = self.client_pings = self.server_pings = 0
        self.goaways: Counter[str] = Counter()

    def total(self) -> Traffic:
        """Return the counts so far."""
        return Traffic(
            connections_opened=self.connections_opened,
            client_pings=self.client_pings,
            server_pings=self.server_pings,
            goaways=dict(self.goaways),
        )


def add_counts(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    """Counts by name, added."""
    return dict(Counter(first) + Counter(second))


def goaway_text(code: int, reason: str) -> str:
    """The key under which a GOAWAY is counted."""
    return f"{code} {reason}".rstrip()


def read_core_log(lines: Iterable[str]) -> tuple[dict[str, int], list[str]]:
    """The GOAWAYs that C-core's log tells of, and the lines that are not C-core's."""
    goaways: Counter[str] = Counter()
    other_lines = []
    for line in lines:
        if not _CORE_LINE.match(line):
            other_lines.append(line)
        elif match := _GOAWAY.search(line):
            goaways[goaway_text(int(match[1]), match[2] or "")] += 1
    return dict(goaways), other_lines


def channelz_channels(top_channels: _Reader) -> Iterator[Mapping[str, Any]]:
    """The channels of this process, as channelz lists them."""
    start, ended = 0, False
    while not ended:
        page = json.loads(top_channels(start))
        channels = page.get("channel", [])
        yield from channels
        ended = page.get("end", True) or not channels
        start = int(channels[-1]["ref"]["channelId"]) + 1 if channels else start


def channelz_connections(channel: Mapping[str, Any]) -> tuple[int, int]:
    """Count the new connections of a channel or subchannel and its lost ones: how often it became READY, and how often
    it ceased to be so.

    A watcher of its state does not see what is over before it looks.
    """
    events = channel.get("data", {}).get("trace", {}).get("events", [])
    states = [match[1] for event in events if (match := _CHANGE.match(event.get("description", "")))]
    changes = [(was == "READY", becomes == "READY") for was, becomes in itertools.pairwise(["", *states])]
    return changes.count((False, True)), changes.count((True, False))


def channelz_subchannels(channels: Iterable[Mapping[str, Any]], reader: _Reader) -> dict[int, Mapping[str, Any]]:
    """The subchannels of some channels that are there still, one for each server of a channel, by number."""
    numbers = [number for channel in channels for number in _refs(channel, "subchannel")]
    read = {number: _read(reader, number, "subchannel") for number in numbers}
    return {number: one for number, one in read.items() if one}


def channelz_attempts(subchannel: Mapping[str, Any]) -> int:
    """The attempts at calls that were sent on the connections of a subchannel."""
    return int(subchannel.get("data", {}).get("callsStarted", 0))


def channelz_pings(top_channels: _Reader, subchannel: _Reader, socket: _Reader) -> int:
    """Count the keepalive pings sent on the open connections of this process, by channelz's three readers."""
    sockets = [
        _read(socket, number, "socket")
        for one in channelz_subchannels(channelz_channels(top_channels), subchannel).values()
        for number in _refs(one, "socket")
    ]
    return sum(int(one.get("data", {}).get("keepAlivesSent", 0)) for one in sockets)


def _refs(parent: Mapping[str, Any], kind: str) -> list[int]:
    """The numbers of the subchannels or sockets of a parent."""
    return [int(ref[f"{kind}Id"]) for ref in parent.get(f"{kind}Ref", [])]


def _read(reader: _Reader, number: int, kind: str) -> Mapping[str, Any]:
    """What channelz tells of a subchannel or socket; nothing where it has closed since it was named."""
    try:
        return dict(json.loads(reader(number))[kind])
    except ValueError:
        return {}
