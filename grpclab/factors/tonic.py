"""The table "from tonic to grpcio": tonic's settings, and the factors and channel arguments that they become."""

from __future__ import annotations

from grpclab.factors.channel_args import RULES
from grpclab.factors.config import FACTORS

NOT_CHANNEL_ARGUMENTS: dict[str, tuple[str, str]] = {
    "server.max_concurrent_rpcs": (
        "grpc.server(maximum_concurrent_rpcs=)",
        "per server, and it rejects calls; grpcio has no limit per connection",
    ),
    "client.deadline_s": ("timeout= of each call", "grpcio has no server-side deadline"),
    "server.metrics": ("grpc.server(interceptors=)", "counts calls and times handlers, health checks too"),
    "server.access_log_share": ("grpc.server(interceptors=)", "health checks are not logged"),
    "server.rate_limit_rps": ("grpc.server(interceptors=)", "per server process; health checks are not limited"),
    "server.rate_limit_burst": ("grpc.server(interceptors=)", "the size of the token bucket of rate_limit_rps"),
}
"""Factors that grpcio takes elsewhere than in a channel argument: where, and what to know."""

NO_COUNTERPART: dict[str, str] = {
    "tcp_keepalive": "no argument sets SO_KEEPALIVE; use HTTP/2 pings (server.keepalive_s) instead",
    "tcp_nodelay": "C-core sets TCP_NODELAY on every socket: always on, not a factor",
}
"""Settings of tonic that cannot be expressed in grpcio."""


def mapping_rows() -> list[dict[str, str]]:
    """The table "from tonic to grpcio": columns tonic, factor, grpcio, note; all strings."""
    rows = [
        {
            "tonic": FACTORS[rule.factor].tonic or "",
            "factor": rule.factor,
            "grpcio": ", ".join(rule.arguments),
            "note": rule.note,
        }
        for rule in RULES
    ]
    rows += [
        {
            "tonic": FACTORS[factor].tonic or "",
            "factor": factor,
            "grpcio": where,
            "note": note,
        }
        for factor, (where, note) in NOT_CHANNEL_ARGUMENTS.items()
    ]
    rows += [{"tonic": name, "factor": "", "grpcio": "none", "note": why} for name, why in NO_COUNTERPART.items()]
    return sorted(rows, key=lambda row: (not row["tonic"], row["tonic"], row["factor"]))


def mapping_markdown() -> str:
    """The rows of :func:`mapping_rows` that have a tonic name, as a table in Markdown (docs/from-tonic.md)."""
    lines = ["| tonic | factor | grpcio | notes |", "| --- | --- | --- | --- |"]
    for row in mapping_rows():
        if row["tonic"]:
            names = ", ".join(f"`{name}`" for name in row["tonic"].split(", "))
            factor = f"`{row['factor']}`" if row["factor"] else ""
            arguments = [f"`{word}`" if word.startswith("grpc.") else word for word in row["grpcio"].split(", ")]
            lines.append(f"| {names} | {factor} | {', '.join(arguments)} | {row['note']} |")
    return "\n".join(lines) + "\n"
