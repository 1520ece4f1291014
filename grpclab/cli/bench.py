"""The command line of ``grpclab bench``: its options, the file that may give them, and where the answers go."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from grpclab.cli import ghz_options, layers
from grpclab.cli.bench_output import SUMMARY, answer, check_outputs, lists_calls
from grpclab.cli.cluster_options import cluster_flags, joined, on_lost_worker
from grpclab.cli.option_types import NameOf, parsed_tags
from grpclab.cli.options import (
    SHAPES,
    allowance_given,
    build_options,
    call_options,
    check_call,
    factor_option,
    remote_group,
    security_given,
    security_group,
    set_option,
    whole,
)
from grpclab.cli.output import tell_encoding
from grpclab.cli.parser import Flag, LabCommand, Operand, OptionGroup, Options
from grpclab.cli.request_options import data_options, metadata_given, request_data, schema_file
from grpclab.cli.several_calls import replay_speed
from grpclab.cli.target_options import apart, application_factors, hosted, target_flags
from grpclab.errors import UsageError
from grpclab.load.calls.call_options import IN_TURN
from grpclab.load.output.exporters import FORMATS
from grpclab.quantities import time_option
from grpclab.system import interrupts

if TYPE_CHECKING:
    from grpclab.load.bench_result import BenchResult, PartialLoadError

TARGET = "localhost:50051"
DESCRIPTION = """Load-test a running server on this machine, or your own application, and print a summary.

Without --rate, the loop is closed: each of the --concurrency callers waits for an answer before making its next call.
Use it to measure throughput. With --rate, the loop is open: calls are sent when they are due, whether or not earlier
ones have finished, and latency is measured from the planned send time."""

EPILOG = """examples:
  grpclab bench -n 2500 -c 50
  grpclab bench localhost:8080 --call shop.Cart/Get --data '{"id": 7}' --metadata tenant=a -z 10
  grpclab bench --app shop.server:register --call shop.Cart/Get --set server.threads=64
  grpclab bench --call shop.Cart/Get=7 --data '{"id": 7}' --call shop.Cart/Add=3 --data @orders.jsonl
  grpclab bench --rate 1000 --arrival poisson -z 30 --slo p99=5ms,errors=0.1% --abort-on-slo
  grpclab bench --rate 500:5000:500@5s --json result.json
  grpclab bench --arrival replay:times.txt
  grpclab bench 10.0.0.9:50051 --cluster tls://10.0.0.5:8786 --rate 200000 --allow-remote --max-rate 250000 ...
  grpclab bench --data-file day.calls --arrival replay:day.calls --speed 4
  grpclab bench --call shop.Cart/Upload --data '[{"id": 1}, {"id": 2}]' --stream-interval 20ms -c 4
  grpclab bench --call shop.Cart/Chat --data '{"id": 7}' --stream-call-count 100 --set load.stream_ping_pong=true

Calls still in flight 3 s after the end of the window, or 1 s after Ctrl-C, SIGTERM or SIGHUP, are abandoned and count
as failed, with status NOT_ENDED. Latency thresholds cover successful and abandoned calls; the latency of an abandoned
call is the time it spent in flight.

Times are in seconds unless they have a unit, e.g. 500ms or 1m30s. Exit codes: 0 done, 1 --slo not met or every call
failed, 2 bad input, 3 nothing could be measured, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP (results so far are printed)."""


HINTS = {
    "--address": "pass the address as an argument, as in grpclab bench HOST:PORT --call package.Service/Method",
    "--cmd": "start the server yourself, then run grpclab bench HOST:PORT --call package.Service/Method",
}
"""What to type instead of the options of a target that compare has and bench has not."""


def run(options: Options) -> int:
    """Measure as the options say and write the answers; returns the exit code."""
    from grpclab.load.bench import run_bench
    from grpclab.load.bench_result import PartialLoadError
    from grpclab.load.output.progress import ProgressLine
    from grpclab.load.plan import CallRequest, planned
    from grpclab.load.slo import check_watchable, parse_slo
    from grpclab.system.transport import PLAINTEXT

    file = layers.read_config(options.config, COMMAND.params)
    given, levels = layers.layered(options, file, COMMAND.params)
    options.verbose = options.verbose or bool(file.options.get("verbose"))
    objectives = parse_slo(given["slo"]) if "slo" in given else ()
    if given.get("abort_on_slo"):
        check_watchable(objectives)
    levels, of_server = apart(given, levels)
    check_call(given, levels)
    wait_s = time_option("--connect-timeout", given["connect_timeout"]) if "connect_timeout" in given else None
    if file.options.get("allow_remote"):
        raise UsageError(f"{options.config}: --allow-remote works only on the command line; remove it from this file")
    security, allowance = security_given(given), allowance_given(given)
    if "app" in given and security != PLAINTEXT:
        raise UsageError(
            "TLS options apply only to a server that is already running; for an application, set server.tls"
        )
    check_outputs(given)
    tags = parsed_tags(given.get("tags") or "")
    seed = whole("--seed", given.get("seed", "1"))
    data, options_of_data = request_data(given), data_options(given, seed)
    call = CallRequest(
        name=given.get("call"),
        data=data,
        options=options_of_data,
        check=given.get("check") or "",
        metadata=metadata_given(given),
        proto=schema_file(given),
        proto_path=given.get("proto_path", ()),
        mix=given.get("mix", ()),
    )
    draws = options_of_data.order != IN_TURN or "{{" in str(data) or bool(call.mix)
    plan = planned(
        levels,
        given.get("rate"),
        seeded="seed" in given and not draws,
        objectives=objectives,
        speed=replay_speed(given.get("speed")),
    )
    line = ProgressLine(
        sys.stderr,
        duration_s=plan.config.load.duration_s,
        requests=plan.config.load.requests,
        quiet=bool(given.get("quiet")),
    )
    tell_encoding(quiet=bool(given.get("quiet")))
    lost, on_lost = None, on_lost_worker(given)
    with contextlib.ExitStack() as keeping:
        target = given.get("target", TARGET)
        if "app" in given:
            server = keeping.enter_context(hosted(given, of_server))
            # What the process told of itself: an application need not have reflection.
            target, security, call = server.target, server.security, replace(call, descriptors=server.descriptors)
        cluster = joined(keeping, given)
        try:
            result = run_bench(
                target,
                plan,
                call=call,
                security=security,
                allowance=allowance,
                abort=bool(given.get("abort_on_slo")),
                seed=seed,
                connect_timeout_s=wait_s,
                watcher=line.show if line.active else None,
                cluster=cluster,
                records=lists_calls(given),
                on_lost_worker=on_lost,
                connected=partial(_begin, keeping, "" if given.get("quiet") else plan.too_few_calls),
            )
        except PartialLoadError as error:
            lost, result = error, error.partial
        finally:
            line.erase()
        result = replace(
            result,
            server_factors=application_factors(of_server) if "app" in given else None,
            name=given.get("name") or "",
            tags=tags,
        )
        files = answer(result, given)
    code = _outcome(result, given, lost)
    files.end()
    return code


def _outcome(result: BenchResult, given: Mapping[str, Any], lost: PartialLoadError | None) -> int:
    """Tell a build, and return the exit code. Raises `lost`, where a worker of a cluster was lost."""
    from grpclab.cli import build_report

    report, annotated = build_report.of_bench(result), bool(given.get("github"))
    build_report.deliver(report, junit=given.get("junit"), github=annotated, automatic=bool(result.objectives))
    if lost is not None:
        raise lost
    if result.run.interrupted:
        return interrupts.exit_code()
    if result.every_call_failed:
        print(f"grpclab: {result.every_call_failed}", file=sys.stderr)
    if result.missed:
        print(f"grpclab: --slo not met: {result.missed}", file=sys.stderr)
    return 1 if result.every_call_failed or result.missed else 0


def _begin(keeping: contextlib.ExitStack, warning: str) -> None:
    """Call it before the load: from then on a signal ends the load alone, and what was measured is written.

    The warning is printed before the load rather than after it.
    """
    if warning:
        print(f"grpclab: {warning}", file=sys.stderr)
    keeping.enter_context(interrupts.deferred())


def _groups() -> list[OptionGroup]:
    """The options. Each is None, empty or off unless given: a file may give it instead."""
    what = OptionGroup(
        title="what to call",
        members=[
            Operand("target", "ADDRESS", f"HOST:PORT or unix:PATH on this machine (default: {TARGET})"),
            *target_flags(leave_out=("cmd", "address", "ready", "prepare", "cleanup")),
            *call_options(),
            Flag(
                "--connect-timeout",
                metavar="TIME",
                help="how long to wait for the server (default: 5 s for a response, no wait if the port is closed)",
            ),
            set_option("a client, load or link factor, e.g. link.rtt_ms=20, or, with --app, a server factor"),
        ],
    )
    much = OptionGroup(
        title="length of the run",
        note="The measured window ends after --requests calls or after --duration, whichever comes first.",
        members=[
            factor_option(
                "requests",
                "N",
                "-n",
                meaning="number of calls in the window (with a schedule, at each rate); raised if --slo needs more",
            ),
            factor_option(
                "duration",
                "TIME",
                "-z",
                meaning="maximum length of the window; with --rate and without --requests, 10 s",
            ),
            factor_option("warmup", "TIME"),
        ],
    )
    sent = OptionGroup(
        title="how to send calls",
        members=[
            factor_option(
                "concurrency",
                "N",
                "-c",
                meaning="calls in flight (closed loop), or a schedule FROM:TO:STEP@HOLD, e.g. 5:50:5@10s, or a ramp"
                " FROM:TO@TIME, e.g. 5:50@60s",
            ),
            Flag(
                "-r",
                "--rate",
                metavar="RATE",
                help="calls per second (open loop), or a schedule FROM:TO:STEP@HOLD, e.g. 500:5000:500@5s, or a ramp"
                " FROM:TO@TIME, e.g. 500:5000@60s",
            ),
            factor_option(
                "arrival",
                "SHAPE",
                meaning=f"spacing of calls with --rate: {SHAPES}; without --rate, ramp and steps vary the number of "
                "calls in flight",
            ),
            Flag(
                "--speed",
                metavar="N",
                help="playback speed for --arrival replay:FILE, e.g. 4 for four times as fast (default: 1)",
            ),
            factor_option(
                "max_in_flight", "N", meaning="maximum number of calls in flight with --rate; further calls wait"
            ),
            factor_option("pacing", "auto|spin|timer"),
            Flag(
                "--connections",
                metavar="N",
                help="number of TCP connections; the client pools them if there is more than one (default: 1)",
            ),
            factor_option(
                "workers",
                "N|auto",
                meaning="number of generator processes; auto: one per core available to the generator",
            ),
            *cluster_flags(),
            factor_option("engine", "wire|grpcio"),
            factor_option("deadline", "TIME"),
            Flag("--seed", metavar="N", help="seed for a random schedule (poisson or gamma; default: 1)"),
        ],
    )
    streams = OptionGroup(
        title="streams",
        note="--set also accepts load.stream_end, load.stream_ping_pong and load.stream_dynamic.",
        members=[
            factor_option("stream_interval", "TIME"),
            factor_option("stream_call_count", "N"),
            factor_option("stream_call_duration", "TIME"),
        ],
    )
    limits = OptionGroup(
        title="thresholds",
        members=[
            Flag(
                "--slo",
                metavar="NAME=LIMIT,...",
                help="exit with code 1 unless every threshold is met: upper limits on p50 p90 p95 p99 p999 mean max "
                "(e.g. 5ms) and errors (e.g. 0.1%; default 1%), and a lower limit on rps (successful calls per "
                "second)",
            ),
            Flag("--abort-on-slo", switch=True, help="stop the load as soon as an --slo threshold is violated"),
        ],
    )
    output = OptionGroup(
        title="output",
        members=[
            Flag(
                "--format",
                kind=NameOf(FORMATS),
                metavar="|".join(FORMATS.builtin),
                help=f"what to print (default: {SUMMARY})",
            ),
            Flag("-o", "--output", metavar="FILE", help="write to this file instead of standard output"),
            Flag("--name", metavar="TEXT", help="name of this run, shown in the output"),
            Flag("--tags", metavar="KEY=VALUE,...", help="tags to include in the output; a JSON object also works"),
            Flag("--json", metavar="FILE", help="also write ghz-compatible JSON; use - for standard output"),
            Flag(
                "--details",
                switch=True,
                help="list every call in the JSON output (default: only if there are 1,000 or fewer)",
            ),
            *build_options(),
        ],
    )
    file = Flag(
        "--config",
        metavar="FILE",
        help="TOML or JSON file with options, named as here or as in ghz; its paths are relative to the file, and the "
        "command line takes precedence",
    )
    remote = remote_group("a server on another machine")
    security = security_group("security")
    return [what, security, remote, much, sent, streams, limits, output, OptionGroup(members=[file])]


COMMAND = LabCommand(
    "bench",
    run,
    summary="load-test a running server and print a summary",
    usage="grpclab bench [ADDRESS|--app MODULE:NAME] [options]",
    description=DESCRIPTION,
    epilog=EPILOG,
    hints=ghz_options.HINTS | HINTS,
    reword=ghz_options.in_our_words,
    groups=_groups(),
)
