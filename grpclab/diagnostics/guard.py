"""The rule for the requests that the diagnostics server answers. Pure.

It runs on the user's own machine, where every web page that the user's browser shows can reach it. A page must
neither start a profile, which slows the server, nor read one. A browser says with each request where it comes from
(``Sec-Fetch-Site``, W3C Fetch Metadata; ``Origin``, RFC 6454), and what the address is that it believes to be talking
to (``Host``): a page may point a name of its own at 127.0.0.1 (DNS rebinding). Programs such as curl, Prometheus and
``go tool pprof`` send none of the first two, and are answered.

Browsers send ``Sec-Fetch-Site`` to loopback and over TLS only. On another address it therefore wants a token,
which no other page knows.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from multidict import CIMultiDict, CIMultiDictProxy

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
OWN = ("same-origin", "none")
"""Where a browser's own request may come from: a page of this server, or the address bar. Another port of this machine
is ``same-site``, and not ours."""
TOKEN = "token"
"""The parameter of a request that carries the token; ``Authorization: Bearer`` does as well."""

_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@/]+)(?::\d{1,5})?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The status of HTTP and the reason, in one line."""

    status: int
    text: str


def refusal(
    method: str,
    path: str,
    headers: CIMultiDict[str] | CIMultiDictProxy[str],
    query: Mapping[str, str],
    *,
    token: str = "",
) -> Refusal | None:
    """The refusal of a request; None if it is answered."""
    if method != "GET":
        return Refusal(status=405, text="this server only answers GET requests")
    hosts = headers.getall("Host", [])
    if len(hosts) != 1 or not (authority := _AUTHORITY.fullmatch(hosts[0])):
        return Refusal(status=400, text="the request must have exactly one Host header")
    if not token and authority["host"].lower() not in LOOPBACK_NAMES:
        return Refusal(status=403, text="this server only answers at 127.0.0.1 and localhost")
    if not _from_here(path, headers, hosts[0]):
        return Refusal(
            status=403,
            text="this server does not answer requests from other web pages: enter its address in the address bar",
        )
    if token and not _carries(token, headers, query):
        return Refusal(status=401, text="this server requires its token: `grpclab serve` printed the full address")
    return None


def _from_here(path: str, headers: CIMultiDict[str] | CIMultiDictProxy[str], host: str) -> bool:
    """True unless a page of another origin has asked."""
    if any(origin.lower() != f"http://{host.lower()}" for origin in headers.getall("Origin", [])):
        return False
    if all(site in OWN for site in headers.getall("Sec-Fetch-Site", [])):
        return True
    # A link to the first page may stand anywhere, as in a notebook: the page costs nothing, and its links are its own.
    return path == "/" and headers.getall("Sec-Fetch-Dest", []) == ["document"]


def _carries(token: str, headers: CIMultiDict[str] | CIMultiDictProxy[str], query: Mapping[str, str]) -> bool:
    presented = query.get(TOKEN, "") or headers.get("Authorization", "").removeprefix("Bearer ")
    return hmac.compare_digest(presented.encode(errors="replace"), token.encode())
