"""The settings that a peer sends at the beginning of a connection, and a reader for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from grpclab.http2 import frames
from grpclab.http2.connection import Endpoint
from grpclab.http2.fast_path import FastPath
from grpclab.http2.frames import Setting
from grpclab.http2.header_blocks import HeaderBlocks
from grpclab.http2.headers import HeaderList


@dataclass(frozen=True, kw_only=True)
class PeerSettings:
    """The settings of one side, by their names in RFC 9113; None was not sent, so its default holds."""

    header_table_size: int | None = None
    enable_push: int | None = None
    max_concurrent_streams: int | None = None
    initial_window_size: int | None = None
    max_frame_size: int | None = None
    max_header_list_size: int | None = None
    others: Mapping[str, int] = field(default_factory=dict)
    """Settings that the RFC does not name, by their identifier as ``0xfe03``."""
    connection_window_bytes: int = frames.DEFAULT_WINDOW
    """65,535 and what WINDOW_UPDATE frames on stream 0 have added."""
    goaway: str | None = None
    """Name of the code and reason of a GOAWAY, if one came."""

    @property
    def window_bytes(self) -> int:
        """The window of a new stream: as sent, or the RFC's default."""
        return frames.DEFAULT_WINDOW if self.initial_window_size is None else self.initial_window_size

    @property
    def max_frame_bytes(self) -> int:
        """The longest frame it takes: as sent, or the RFC's default."""
        return frames.DEFAULT_MAX_FRAME if self.max_frame_size is None else self.max_frame_size


class PeerSettingsReader(Endpoint[None]):
    """One end of a connection that only listens: bytes in, :meth:`peer_settings` out. Pure, and for either side.

    It says SETTINGS, empty but for `max_streams` where that is given, and a PING; a client's preface is the caller's
    to send, or to take off.
    """

    def __init__(self, *, max_streams: int | None = None) -> None:
        blocks: HeaderBlocks[HeaderList] = HeaderBlocks(list)
        fast_path: FastPath[None] = FastPath()
        super().__init__(
            stream_window=frames.DEFAULT_WINDOW,
            connection_window=frames.DEFAULT_WINDOW,
            settings={},
            blocks=blocks,
            fast_path=fast_path,
        )
        self.outgoing[:] = [
            frames.settings({} if max_streams is None else {Setting.MAX_CONCURRENT_STREAMS: max_streams})
        ]
        self.control.ping()
        self._settings = PeerSettings()
        self._received = False

    @property
    def complete(self) -> bool:
        """Nothing more is to be waited for."""
        return self.closed is not None or (self.ready and self.control.pings_acked > 0)

    def peer_settings(self) -> PeerSettings:
        """The settings that the peer has sent so far."""
        away = None
        if self.control.peer_goaway is not None:
            _, code, reason = self.control.peer_goaway
            away = f"{frames.error_name(code)} {reason}".rstrip()
        return replace(self._settings, connection_window_bytes=self.windows.connection, goaway=away)

    def on_settings(self) -> None:
        if self._received:  # BDP probing sends others later
            return
        self._received = True
        peer = self.control.peer
        named: dict[str, Any] = {s.name.lower(): peer[s] for s in Setting if s in peer}
        others = {f"{key:#06x}": value for key, value in peer.items() if key not in set(Setting)}
        self._settings = PeerSettings(**named, others=others)

    # Streams are not its matter.

    def on_headers(self, flags: int, stream_id: int, body: bytes) -> None:
        self.control.idle_frame()

    def on_long_block(self, flags: int, stream_id: int) -> None:
        self.control.idle_frame()

    def on_data(self, flags: int, stream_id: int, body: bytes) -> None:
        self.control.idle_frame()

    def on_reset(self, stream_id: int, code: int) -> None:
        self.control.idle_frame()

    def on_stream_window(self, stream_id: int, increment: int) -> None:
        self.control.idle_frame()
