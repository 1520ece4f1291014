"""The command line of ``grpclab serve reference``: what only the calibration server can be asked for."""

from __future__ import annotations

import sys
from typing import Any, Final

from grpclab.cli.help_pages import HelpTable
from grpclab.cli.option_types import Decimal, Whole
from grpclab.cli.parser import Flag, Options, is_given
from grpclab.errors import UsageError
from grpclab.servers.reference.spec import ReferenceSpec

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
    "fault": "fault",
    "seed": "seed",
}
"""Option to field of the specification."""

EPILOG = """examples of serve reference:
  grpclab serve reference --service-time exponential:2ms
  grpclab serve reference --service-time constant:1ms --stall 1s@3s --error 1%:UNAVAILABLE
  grpclab serve reference --fault goaway:100

The trailer grpclab-residence-ns in each reply gives the time that the call spent in the server, in nanoseconds."""


def fault_terms() -> list[HelpTable]:
    """The faults, for the help."""
    from grpclab.servers.reference.faults import FAULTS

    meanings = {
        name: fault.meaning if fault.n is None else f"{fault.meaning} [{fault.n}]" for name, fault in FAULTS.items()
    }
    return [HelpTable(title="faults for serve reference --fault (default of N in brackets)", meanings=meanings)]


def reference_options() -> list[Flag]:
    """The options; all are None, empty or False unless given."""

    def flag(name: str, metavar: str, meaning: str, default: object, **more: Any) -> Flag:
        text = f"{meaning} (default: {default})" if default is not None else meaning
        return Flag(name, metavar=metavar, help=text, **more)

    unset = ReferenceSpec  # its fields have their defaults
    interval = f"{unset.stream_interval_ms:g}"
    return [
        flag(
            "--service-time",
            "LAW",
            "time that each call takes: constant:1ms, exponential:2ms, lognormal:2ms,0.5 or uniform:1ms,3ms",
            "none",
        ),
        flag(
            "--pacing",
            "auto|spin|timer",
            "how to wait: spin keeps a core busy; auto spins if there are two or more cores",
            "auto",
        ),
        flag(
            "--stall",
            "1s@3s",
            "stall the server, e.g. 1s@3s for 1 s, starting 3 s after the first request; can be repeated",
            None,
            many=True,
        ),
        flag("--error", "1%:STATUS", "let this share of the calls fail; can be repeated", None, many=True),
        flag("--response-bytes", "N", "length of the reply text; 0 means a greeting", 0, kind=Whole()),
        flag("--stream-messages", "N", "number of messages in SayHelloStream", unset.stream_messages, kind=Whole()),
        flag("--stream-interval-ms", "MS", "pause between two messages", interval, kind=Decimal()),
        flag("--max-concurrent-streams", "N", "maximum concurrent calls on one connection", "unlimited", kind=Whole()),
        flag("--window-kib", "N", "HTTP/2 window for what the server receives", unset.window_kib, kind=Whole()),
        Flag("--no-residence", switch=True, help="omit the trailer with the time spent in the server"),
        flag("--fault", "NAME[:N]", "misbehave on purpose, in one of the ways listed below", None),
        flag("--seed", "N", "seed for all random choices", unset.seed, kind=Whole()),
    ]


def _given(options: Options) -> list[str]:
    """The names of the options that were given."""
    return [name for name in (*_FIELDS, "no_residence") if is_given(getattr(options, name))]


def refuse_options(options: Options) -> None:
    """Raise UsageError if an option was given that another server does not have."""
    for option in filter(options.insists_on, _given(options)):
        flag = f"--{option.replace('_', '-')}"
        raise UsageError(f"{flag} works only with `serve reference`; with `serve {options.variant}`, use --set")


def run(options: Options, port: int) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    from grpclab.servers.process.child import leave
    from grpclab.servers.reference.foreground import serve_reference_in_foreground

    if options.insists_on("settings"):
        raise UsageError(
            f"--set {options.settings[0]}: serve reference has its own options; see `grpclab serve --help`"
        )
    if options.insists_on("certs"):
        raise UsageError("--certs cannot be used here: `serve reference` has no TLS")
    if options.insists_on("drain_delay"):
        raise UsageError("--drain-delay cannot be used here: `serve reference` has no health service")
    if options.insists_on("desk_host"):
        raise UsageError(
            "--desk-host is an option of `serve basic`, `optimized` and `production`; "
            "reference has no diagnostics server"
        )
    given = {_FIELDS[name]: getattr(options, name) for name in _given(options) if name in _FIELDS}
    given |= {"residence": False} if options.no_residence else {}
    spec = ReferenceSpec(host=options.host, port=port, **given)
    if "seed" in given and not spec.draws and not options.quiet:
        print("grpclab: --seed has no effect: nothing is random without --service-time or --error", file=sys.stderr)
    serve_reference_in_foreground(spec, quiet=options.quiet)
    leave(0)
