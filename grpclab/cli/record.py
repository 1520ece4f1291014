"""``grpclab record``: every call that passes to a server, in a file that ``bench`` replays."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from grpclab.cli.option_types import FileName, Whole
from grpclab.cli.output import require_writable
from grpclab.cli.parser import Flag, LabCommand, OptionGroup, Options
from grpclab.errors import UsageError, invalid
from grpclab.quantities import duration, time_option
from grpclab.system.addresses import host_port, parse

if TYPE_CHECKING:
    from grpclab.load.record import RecordingSummary

DESCRIPTION = """Record the method, request, metadata and time of each call to a server.

A relay listens on --listen and forwards every byte to --to. Point the client at the relay; the server needs no changes.
The recording ends after --duration or --calls, or when you press Ctrl-C, and keeps every call recorded by then."""
EPILOG = """examples:
  grpclab record --listen 50060 --to localhost:50051 -o day.calls
  grpclab record --listen 50060 --to localhost:50051 -o day.calls --duration 60s
  grpclab bench localhost:50051 --data-file day.calls --arrival replay:day.calls --speed 4

Metadata values are not recorded if they are binary, if their name marks them as secret (authorization, x-api-key, ...),
or if --redact names them. Requests are recorded in full. Both connections stay on this machine and do not use TLS.

Each call is written to the file within half a second, so if this command is killed, you can still replay the calls up
to then.

Exit codes: 0 done (also after Ctrl-C, SIGTERM or SIGHUP), 2 bad input, 3 no call arrived or the file could not be
written."""
LISTENS_AT = ("", "localhost", "127.0.0.1")
"""The hosts that may stand before the port of --listen."""


def run(options: Options) -> int:
    """Record until the end; returns the exit code."""
    from grpclab.load.record import CallRecording

    port, target = _port(options.listen), _target(options.to)
    duration_s = None if options.duration is None else time_option("--duration", options.duration)
    if options.calls is not None and options.calls < 1:
        raise UsageError(invalid("--calls", options.calls, "1 or more"))
    if options.output is None:
        raise UsageError("-o is missing: expected a file for the recording, e.g. day.calls")
    require_writable(str(options.output))
    recording = CallRecording(port, target, options.output, calls=options.calls)
    with contextlib.suppress(KeyboardInterrupt), recording.running():  # Ctrl-C is how a recording ends
        if not options.quiet:
            ending = "Ctrl-C ends it" if duration_s is None else f"for {duration(duration_s)}, or until Ctrl-C"
            print(f"recording calls through localhost:{port} to {target}: {ending}", flush=True)
        recording.wait(duration_s)
    for line in [] if options.quiet else _lines(recording.summary, options.output):
        print(line)
    return 0


def _port(text: str | None) -> int:
    """The port to listen on: a number, or an address on this machine. Raises UsageError."""
    expected = "a port of this machine, e.g. 50060"
    if text is None:
        raise UsageError(f"--listen is missing: expected {expected}")
    host, colon, port = text.rpartition(":")
    if colon and host not in LISTENS_AT:
        raise UsageError(invalid("--listen", text, f"{expected}; the relay listens on 127.0.0.1 only"))
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise UsageError(invalid("--listen", text, expected))
    return int(port)


def _target(text: str | None) -> str:
    expected = "HOST:PORT of a server on this machine, e.g. localhost:50051"
    if text is None:
        raise UsageError(f"--to is missing: expected {expected}")
    try:
        target = host_port(text)
    except UsageError:  # its advice is that of commands that may call another machine
        raise UsageError(invalid("--to", text, expected)) from None
    if not parse(target)[1]:
        raise UsageError(
            invalid("--to", text, "HOST:PORT, e.g. localhost:50051; calls over a Unix socket cannot be recorded")
        )
    return target


def _lines(summary: RecordingSummary, path: Path) -> Iterator[str]:
    """What was recorded."""
    from grpclab import quantities as qty

    writer = summary.writer
    yield (
        f"recorded {qty.count(writer.calls, 'call')} in {qty.duration(summary.seconds)} over"
        f" {qty.count(summary.connections, 'connection')} to {path} ({qty.amount(os.stat(path).st_size)} bytes)"
    )
    width = max(map(len, writer.by_method))
    for method, calls in writer.by_method.most_common():
        failed = f"   {writer.failed[method]:,} failed" if writer.failed[method] else ""
        yield f"  {method:<{width}} {calls:>10,}   {qty.percent_of(calls, writer.calls)}{failed}"
    if summary.ended_because:
        yield f"  ended: {summary.ended_because}"
    if writer.unended:
        yield f"  note: {qty.count(writer.unended, 'call')} had not ended when the recording stopped"
    for reason, calls in writer.incomplete.items():
        missing = f"{qty.count(calls, 'call')} cannot be replayed, because the request is missing"
        yield f"  note: {missing}: {reason}"
    for reason, connections in summary.unread.items():
        yield f"  note: {qty.count(connections, 'connection')} could not be read: {reason}"
    if writer.masked:
        given = " ".join(f"--metadata {key}=..." for key in sorted(writer.masked))
        yield f"  note: secret values were not written; a replay needs them: {given}"
    yield f"replay the recording: grpclab bench TARGET --data-file {path} --arrival replay:{path}"


COMMAND = LabCommand(
    "record",
    run,
    summary="record calls to a server so that you can replay them later",
    usage="grpclab record --listen PORT --to HOST:PORT -o FILE [options]",
    description=DESCRIPTION,
    epilog=EPILOG,
    groups=[
        OptionGroup(
            title="the calls",
            members=[
                Flag("--listen", metavar="PORT", help="port for clients to call instead of the server's"),
                Flag("--to", metavar="HOST:PORT", help="address of the server, on this machine"),
            ],
        ),
        OptionGroup(
            members=[
                Flag(
                    "-o",
                    "--output",
                    kind=FileName(as_path=True),
                    metavar="FILE",
                    help="file for the recording, e.g. day.calls",
                ),
                Flag("--duration", metavar="TIME", help="stop after this time (default: on Ctrl-C)"),
                Flag("--calls", kind=Whole(), metavar="N", help="stop after this many calls"),
            ]
        ),
    ],
)
