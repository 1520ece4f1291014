"""What was compared and how it was loaded, in words: the call, its request, the load, each server by its program. Pure.

A server that a command started is described by that command's files only. What is the lab's own is called so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from grpclab import quantities as qty
from grpclab.factors.config import FACTORS
from grpclab.factors.levels import Level, format_level

GREETER = "greet.GreeterService"
LONGEST_REQUEST = 80
_LAB = ("python", "grpcio", "protobuf", "uvloop")

Plan = Mapping[str, Any]
Pairs = list[tuple[str, str]]


def sides_of(plan: Plan) -> list[str]:
    """The two configurations of a comparison by ``grpclab compare``; none in any other plan."""
    headline = plan.get("headline") or {}
    names = [str(headline.get(role) or "") for role in ("baseline", "candidate")]
    return names if plan.get("subjects") and all(names) else []


def foreign(plan: Plan) -> list[str]:
    """The configurations whose server somebody's command starts."""
    return [str(name) for name, subject in (plan.get("subjects") or {}).items() if _read(subject).get("command")]


def described(manifest: Mapping[str, Any]) -> Pairs:
    """Terms and what they are, plain text: servers, call, load, and what the lab itself ran on.

    `manifest` holds ``plan`` and, where commands start servers, ``servers`` and ``versions``. Empty for other studies.
    """
    plan: Plan = manifest.get("plan") or {}
    names = sides_of(plan)
    if not names:
        return []
    letters = [name.upper() if name in ("a", "b") else name for name in names]
    pairs: Pairs = []
    if foreign(plan):
        servers = manifest.get("servers") or {}
        pairs += [(letter, _server(plan, name, servers)) for letter, name in zip(letters, names, strict=True)]
    pairs += _one_or_each("call", [call_words(plan, name) for name in names], letters)
    pairs += _one_or_each("load", [load_words(plan, name) for name in names], letters)
    if foreign(plan):
        pairs.append(("measured with", lab_words(manifest)))
    return pairs


def _one_or_each(term: str, texts: Sequence[str], letters: Sequence[str]) -> Pairs:
    if len(set(texts)) == 1:
        return [(term, texts[0])]
    return [(f"{term} of {letter}", text) for letter, text in zip(letters, texts, strict=True)]


def call_words(plan: Plan, configuration: str) -> str:
    """The method and, in short, its request: ``shop.Cart/Get {"id": 7}``."""
    subject = _read((plan.get("subjects") or {}).get(configuration))
    level = _levels(plan, configuration)
    if subject.get("call"):
        request = subject.get("data") or "{}"
        method = str(subject["call"]).removeprefix("/")
    else:
        method = f"{GREETER}/{level('load.method')}"
        size = level("load.request_bytes")
        request = f"with a name of {size:,} bytes" if isinstance(size, int) and size else '{"name": "world"}'
    keys = [str(word).partition("=")[0] for word in subject.get("metadata") or []]
    metadata = f", metadata {', '.join(keys)}" if keys else ""
    return f"{method} {_short(request)}{metadata}"


def load_words(plan: Plan, configuration: str) -> str:
    """Calls in flight or a rate, how long, by which engine over how many connections, and the emulated link."""
    level = _levels(plan, configuration)
    rate = level("load.rate_rps")
    told = [f"{level('load.concurrency'):,} calls in flight" if rate is None else f"{rate:,g} calls/s (open loop)"]
    if (calls := level("load.requests")) is not None:
        told.append(f"{calls:,} calls a trial")
    if (seconds := level("load.duration_s")) is not None:
        told.append(f"{'at most ' if calls is not None else ''}{qty.duration(float(seconds), 'sentence')}")
    pooling = level("client.pooling")
    connections = level("client.connections") if pooling == "pool" else 1
    told.append(
        "a connection for each call" if pooling == "per_call" else qty.count(connections, "connection", "connections")
    )
    told.append(f"engine {level('load.engine')}")
    links = [name for name in FACTORS if name.startswith("link.") and level(name) != FACTORS[name].default]
    told += [f"{name}={format_level(level(name))}" for name in links]
    return ", ".join(told)


def lab_words(manifest: Mapping[str, Any]) -> str:
    """The lab and its load generator by their versions: these are not the server's."""
    versions = manifest.get("versions") or {}
    told = [f"{name.replace('python', 'Python')} {versions[name]}" for name in _LAB if versions.get(name)]
    return f"grpclab {versions.get('grpclab') or ''} and its load generator: {', '.join(told)}".replace("  ", " ")


def _server(plan: Plan, name: str, servers: Mapping[str, Any]) -> str:
    title = next((str(row.get("title")) for row in plan.get("configurations") or [] if row.get("name") == name), name)
    label = title.partition(": ")[2] or title
    subject = _read((plan.get("subjects") or {}).get(name))
    if not subject.get("command"):
        return f"{label}, grpclab's own server"
    files = [_file(found) for found in _read(servers.get(name)).get("files") or [] if isinstance(found, Mapping)]
    return "; ".join([label, *files, f"started by: {' '.join(str(subject['command']).split())}"])


def _file(found: Mapping[str, Any]) -> str:
    version = f", {found['version']}" if found.get("version") else ""
    return f"{found.get('name')}{version}, {found.get('bytes', 0):,} bytes, SHA-256 {str(found.get('sha256'))[:12]}"


def _levels(plan: Plan, configuration: str) -> Any:
    row: Mapping[str, Any] = next(
        (row for row in plan.get("configurations") or [] if row.get("name") == configuration), {}
    )
    settings: Mapping[str, Level] = row.get("settings") or {}

    def level(name: str) -> Level:
        return settings.get(name, FACTORS[name].default)

    return level


def _read(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _short(request: str) -> str:
    try:
        text = json.dumps(json.loads(request), ensure_ascii=False)
    except ValueError:
        text = " ".join(request.split())
    return text if len(text) <= LONGEST_REQUEST else f"{text[: LONGEST_REQUEST - 1]}…"
