"""The command line of ``grpclab serve reference``: what only the calibration server can be asked for."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Final

from grpclab.errors import UsageError
from grpclab.servers.reference.faults import FAULTS
from grpclab.servers.reference.spec import ReferenceSpec

_DEFAULTS: Final = ReferenceSpec()
_FIELDS: Final = {
    "service_time": "service_time",
    "pacing": "pacing",
    "stall": "stalls",
    "error": "errors",
    "response_bytes": "response_bytes",
    "stream_messages": "stream_messages",
    "stream_interval_ms": "stream_interval_ms",
    "max_concurrent_streams": "max_concurrent_streams",
    "window_kib": "window_kib",
    "residence": "residence",
    "fault": "fault",
    "seed": "seed",
}
"""Option to field of the specification."""

EPILOG = """
serve reference, for example:
  grpclab serve reference --service-time exponential:2ms
  grpclab serve reference --service-time constant:1ms --stall 1s@3s --error 1%:UNAVAILABLE
  grpclab serve reference --fault goaway:100
The trailer grpclab-residence-ns of each reply says how long the call was in the server, in ns.
Faults of --fault (default of N in brackets):
"""


def epilog() -> str:
    """Examples, and every fault with its meaning."""
    width = max(map(len, FAULTS)) + 1
    rows = (
        f"  {name:<{width}} {fault.meaning}{'' if fault.n is None else f' [{fault.n}]'}"
        for name, fault in FAULTS.items()
    )
    return EPILOG + "\n".join(rows)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options; all are None, or empty, unless given."""
    group = parser.add_argument_group("serve reference")

    def add(flag: str, metavar: str, meaning: str, default: object, **more: Any) -> None:
        text = f"{meaning} (default: {default})" if default is not None else meaning
        group.add_argument(flag, metavar=metavar, help=text.replace("%", "%%"), **more)

    add("--service-time", "LAW", "constant:1ms, exponential:2ms, lognormal:2ms,0.5, uniform:1ms,3ms", "none")
    add("--pacing", "auto|spin|timer", "how times are kept: spin takes a core; auto spins where there are two", "auto")
    add("--stall", "1s@3s", "no reply for 1 s, 3 s after the first request; may be repeated", None, action="append")
    add("--error", "1%:STATUS", "this share of the calls fails; may be repeated", None, action="append")
    add("--response-bytes", "N", "length of the reply's text; 0 = a greeting", 0, type=int)
    add("--stream-messages", "N", "messages of SayHelloStream", _DEFAULTS.stream_messages, type=int)
    add("--stream-interval-ms", "MS", "pause between two of them", f"{_DEFAULTS.stream_interval_ms:g}", type=float)
    add("--max-concurrent-streams", "N", "calls open at once on one connection", "unlimited", type=int)
    add("--window-kib", "N", "HTTP/2 window for what the server receives", _DEFAULTS.window_kib, type=int)
    group.add_argument(
        "--no-residence",
        dest="residence",
        action="store_const",
        const=False,
        help="send no trailer with the time in the server",
    )
    add("--fault", "NAME[:N]", "misbehave: see below", None)
    add("--seed", "N", "seed of what is drawn at random", _DEFAULTS.seed, type=int)


def refuse_options(options: argparse.Namespace) -> None:
    """Raise UsageError if an option was given that another server does not have."""
    for option in _FIELDS:
        if getattr(options, option) is not None:
            flag = "--no-residence" if option == "residence" else f"--{option.replace('_', '-')}"
            raise UsageError(f"{flag} is an option of `serve reference`; serve {options.variant} has --set")


def run(options: argparse.Namespace, port: int) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    from grpclab.servers.process.child import leave
    from grpclab.servers.reference.foreground import serve_reference_in_foreground

    if options.settings:
        raise UsageError(f"--set {options.settings[0]}: serve reference has options of its own, see `serve --help`")
    if options.desk_host is not None:
        raise UsageError("--desk-host is an option of `serve basic` and `serve optimized`: reference has no desk")
    given = {field: getattr(options, name) for name, field in _FIELDS.items() if getattr(options, name) is not None}
    spec = ReferenceSpec(host=options.host, port=port, **given)
    if "seed" in given and not spec.draws and not options.quiet:
        print("grpclab: no effect: --seed: nothing is drawn at random: see --service-time and --error", file=sys.stderr)
    serve_reference_in_foreground(spec, quiet=options.quiet)
    leave(0)
