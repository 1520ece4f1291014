"""The keys of a ghz configuration in the words of ``bench``. Pure: tables go in, tables come out.

What acts here is renamed; what has no counterpart is refused with the reason, unless it has the value that ghz takes
for "not set". ghz: https://ghz.sh/docs/options
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from grpclab import quantities as qty
from grpclab.errors import UsageError, invalid
from grpclab.quantities import seconds

RENAMED = {
    "host": "target",
    "total": "requests",
    "rps": "rate",
    "max-duration": "duration",
    "timeout": "deadline",
    "protoset": "proto",
    "import-paths": "proto-path",
    "binary-file": "data-file",
    "cname": "server-name",
    "skipTLS": "insecure-skip-verify",
}
"""Keys of ghz that mean the same as another one of bench."""
FORMATS = {"pretty": "json"}
"""Formats of ghz that are another one here."""
TIMES = (
    "duration",
    "max-duration",
    "timeout",
    "connect-timeout",
    "keepalive",
    "load-step-duration",
    "load-max-duration",
    "concurrency-step-duration",
    "concurrency-max-duration",
    "stream-interval",
    "stream-call-duration",
)
_ANY = "grpclab has no such setting"
REFUSED = {
    "skipFirst": "warm-up is a time here, e.g. warmup = '1s'",
    "reflect-metadata": "the reflection service receives the metadata of the call as well",
    "cpus": "use workers, the number of generator processes",
    "duration-stop": "calls in progress at the end of the window get 3 s more",
    "max-recv-message-size": "use --set client.max_message_mib=N, or [set] in a configuration",
    "lb-strategy": "use --set client.load_balancing=round_robin, or [set] in a configuration",
    **dict.fromkeys(("debug", "max-send-message-size"), _ANY),
    **dict.fromkeys(("disable-template-functions", "disable-template-data"), "templates in data are always filled in"),
}
"""Keys of ghz that cannot act, and why."""
DYNAMIC = "stream-dynamic-messages"
OF_TLS = ("skipTLS", "cacert", "cert", "key", "cname")
_SCHEDULE = ("load-start", "load-end", "load-step", "load-step-duration", "load-max-duration")
_CONCURRENCY = tuple(key.replace("load-", "concurrency-") for key in _SCHEDULE)
OF_SCHEDULE = ("load-schedule", *_SCHEDULE)
"""Keys of a schedule of rates; together they are one rate of bench."""
OF_CONCURRENCY = ("concurrency-schedule", *_CONCURRENCY)
"""Keys of a schedule of concurrency; together they are one concurrency of bench."""
_MEANT = ("insecure", "async", "count-errors", "keepalive", "enable-compression", DYNAMIC)
KEYS = frozenset((*RENAMED, *REFUSED, *OF_SCHEDULE, *OF_CONCURRENCY, *_MEANT))
"""The keys of a ghz configuration for which bench has no flag."""
_MAYBE_UNSET = KEYS | {"duration", "proto", "data", "data-file", "metadata", "output", "connect-timeout"}
_MAYBE_UNSET |= {"cacert", "cert", "key", "authority", "name", "tags"}
_MAYBE_UNSET |= {"stream-interval", "stream-call-duration", "stream-call-count"}


def translated(tables: Mapping[str, Any], name: str, *, bare_times: bool) -> dict[str, Any]:
    """The tables of a configuration called `name` with bench's keys for those of ghz.

    `bare_times`: whether a time may be a number without a unit. Raises UsageError.
    """
    out: dict[str, Any] = {}
    if not KEYS.isdisjoint(tables):  # ghz writes out what is not set, too
        tables = {key: value for key, value in tables.items() if not (key in _MAYBE_UNSET and _unset(key, value))}
    for key, value in tables.items():
        if key in TIMES and not bare_times and isinstance(value, int | float) and value:
            raise _refused(
                name, key, value, "a time with its unit, e.g. '10s' (ghz counts nanoseconds, grpclab seconds)"
            )
        if key == "concurrency" and "concurrency-schedule" in tables:
            continue  # a schedule takes its place, as in ghz
        if key not in KEYS:
            out[key] = value
        else:
            _translate(out, tables, key, value, name)
    if "binary-file" in tables:
        out["data-format"] = "binary"
    if "format" in out:
        out["format"] = FORMATS.get(out["format"], out["format"])
    factors = {"client.keepalive_s": tables["keepalive"]} if "keepalive" in tables else {}
    if tables.get("enable-compression"):
        factors["client.compression"] = "gzip"
    if DYNAMIC in tables:
        factors["load.stream_dynamic"] = tables[DYNAMIC]
    if factors:
        out["set"] = factors | out.get("set", {})
    return out


def _translate(out: dict[str, Any], tables: Mapping[str, Any], key: str, value: Any, name: str) -> None:
    """Add one key of ghz that is set."""
    if key in REFUSED:
        raise _refused(name, key, value, f"no such key; {REFUSED[key]}")
    if key in RENAMED:
        new = RENAMED[key]
        if key == "total" and "duration" in tables:
            return  # a duration alone ends the load then, in ghz
        if new in tables or new in out:
            raise _refused(name, key, value, f"only one of {key} and {new}, which mean the same")
        out[new] = value
    elif key in (*OF_SCHEDULE, *OF_CONCURRENCY):
        _translate_schedule(out, tables, key, value, name)
    elif key == "async" and not {"rps", "rate", "load-schedule"} & tables.keys():
        raise UsageError(f"{name}: async requires a rate, so that calls are sent when they are due: add rps")
    elif key == "insecure":
        if not isinstance(value, bool):
            raise _refused(name, key, value, "true or false")
        if value and (of_tls := next((one for one in OF_TLS if one in tables), None)):
            raise _refused(name, key, value, f"false together with {of_tls}, which is a TLS option")
        if not value:
            out["tls"] = True
    # insecure = true and count-errors = true are what bench does anyway; the rest is set at the end.


def _translate_schedule(out: dict[str, Any], tables: Mapping[str, Any], key: str, value: Any, name: str) -> None:
    """Add a schedule, whose other keys belong to it."""
    rated = {"rps", "rate"} & tables.keys()
    of, _, rest = key.partition("-")
    if f"{of}-schedule" not in tables:
        raise UsageError(f"{name}: {key} requires {of}-schedule=step or {of}-schedule=line")
    if rest != "schedule":
        return
    if of == "load" and rated:
        raise _refused(name, key, value, "either a schedule or a single rate")
    if of == "concurrency" and (rated or "load-schedule" in tables):
        raise UsageError(
            f"{name}: {key} cannot be combined with a rate: use max-in-flight to limit the calls in flight"
        )
    if of == "load":
        out["rate"] = schedule(tables, f"{name}: ")
    else:
        out["concurrency"] = concurrency_schedule(tables, f"{name}: ")


def _unset(key: str, value: Any) -> bool:
    """Return whether ghz takes a value for "not set"."""
    return value in (None, "", 0, [], {}, "0", "0s", "const", "close") and key != "insecure"


def schedule(tables: Mapping[str, Any], where: str, dashes: str = "") -> str:
    """The rate of bench, ``FROM:TO:STEP@HOLD`` or ``FROM:TO@TIME``, out of ghz's keys; nothing for a constant one.

    Raises UsageError, which says `where`, and calls a key with its `dashes`.
    """
    kind = tables.get("load-schedule", "const")
    if kind == "step":
        for key in ("load-start", "load-end", "load-step", "load-step-duration"):
            if not tables.get(key):
                raise UsageError(f"{where}{dashes}load-schedule=step requires {dashes}{key}")
        if tables.get("load-max-duration"):
            expected = "no such key, since a schedule of steps ends with its last rate"
            raise UsageError(where + invalid(f"{dashes}load-max-duration", tables["load-max-duration"], expected))
        return "{load-start}:{load-end}:{load-step}@{load-step-duration}".format(**tables)
    if kind == "line":
        return _line(tables, where, dashes)
    if kind != "const" or len(tables.keys() & set(_SCHEDULE)) > 0:
        raise UsageError(
            where + invalid(f"{dashes}load-schedule", kind, "step or line, or const without their options")
        )
    return ""


def concurrency_schedule(tables: Mapping[str, Any], where: str, dashes: str = "") -> str:
    """The concurrency of bench, ``FROM:TO:STEP@HOLD``, out of ghz's keys; nothing for a constant one.

    A line is steps of a second, as in ghz. Raises UsageError, which says `where`, and calls a key with its `dashes`.
    """
    kind = tables.get("concurrency-schedule", "const")
    if kind not in ("step", "line"):
        if kind != "const" or tables.keys() & set(_CONCURRENCY):
            expected = "step or line, or const without their options"
            raise UsageError(where + invalid(f"{dashes}concurrency-schedule", kind, expected))
        return ""
    needed = ("concurrency-start", "concurrency-step", *(["concurrency-step-duration"] if kind == "step" else []))
    ends = ("concurrency-end", "concurrency-max-duration")
    missing = [key for key in needed if not tables.get(key)]
    if missing or not any(tables.get(key) for key in ends):
        wanted = missing[0] if missing else f"{ends[0]} or {dashes}{ends[1]}"
        raise UsageError(f"{where}{dashes}concurrency-schedule={kind} requires {dashes}{wanted}")
    start, step, end = (
        round(_number(tables, f"concurrency-{key}", where, dashes, "calls in flight"))
        for key in ("start", "step", "end")
    )
    hold = str(tables["concurrency-step-duration"]) if kind == "step" else "1s"
    if longest := tables.get("concurrency-max-duration"):
        longest_s = _seconds(longest, "concurrency-max-duration", where, dashes)
        steps = math.floor(longest_s / _seconds(hold, "concurrency-step-duration", where, dashes) + 1e-9)
        reached = start + step * steps
        end = reached if "concurrency-end" not in tables else min(end, reached) if step > 0 else max(end, reached)
    if (end - start) * step < 0 or end < 1:
        expected = f"a step that takes the concurrency from {start} to an end of 1 or more"
        raise UsageError(where + invalid(f"{dashes}concurrency-step", step, expected))
    return f"{start}:{end}:{abs(step)}@{hold}"


def _line(tables: Mapping[str, Any], where: str, dashes: str) -> str:
    """A ramp: the rate changes by load-step each second, to load-end or for load-max-duration."""
    start, step, end = (_number(tables, key, where, dashes) for key in ("load-start", "load-step", "load-end"))
    if "load-max-duration" in tables and "load-end" not in tables:
        time_s = _seconds(tables["load-max-duration"], "load-max-duration", where, dashes)
        end = start + step * time_s
    elif step and "load-end" in tables:
        time_s = (end - start) / step
    else:
        raise UsageError(
            f"{where}{dashes}load-schedule=line requires {dashes}load-step and either {dashes}load-end or "
            f"{dashes}load-max-duration"
        )
    if time_s <= 0 or end <= 0:
        raise UsageError(
            where
            + invalid(
                f"{dashes}load-step", f"{step:g}", f"a step that takes the rate from {start:g}/s to an end rate above 0"
            )
        )
    return f"{start:g}:{end:.12g}@{time_s:.12g}s"


def _number(tables: Mapping[str, Any], key: str, where: str, dashes: str, expected: str = "calls per second") -> float:
    try:
        number = float(tables.get(key) or 0)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(where + invalid(dashes + key, tables[key], expected))
    return number


def _seconds(value: object, key: str, where: str, dashes: str) -> float:
    """The time that a key of a schedule holds, above 0. Raises UsageError."""
    try:
        time_s = seconds(str(value), bare="s")
    except ValueError:
        time_s = 0.0
    if not time_s > 0:
        raise UsageError(where + invalid(dashes + key, value, f"{qty.TIMES}, above 0"))
    return time_s


def _refused(name: str, key: str, value: object, expected: str) -> UsageError:
    return UsageError(f"{name}: {invalid(key, value, expected)}")
