"""The command line: thin. Options become factors; rooms below do the work; errors become one line.

Exit codes: 0 done; 1 a verdict or threshold failed; 2 usage or bad input; 3 the measurement is invalid or a
server could not be started; 4 inconclusive; 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP; 141 output left unread.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import textwrap
import traceback
from collections.abc import Mapping, Sequence

from grpclab import __version__
from grpclab.cli import bench, compare, notebook, profile, reference, study
from grpclab.cli.parser import Parser, either
from grpclab.errors import GrpclabError, UsageError, invalid
from grpclab.factors.channel_args import cannot_act
from grpclab.factors.config import FACTORS, TrialConfig, format_level, from_environment, parse_settings, table
from grpclab.factors.variants import DEFAULT_PORTS, MEANINGS, variant
from grpclab.system import interrupts, terminal, ulimits
from grpclab.text import credentials
from grpclab.text.printable import printable

INTERRUPTED = 130
"""The exit code of what Ctrl-C ended; SIGTERM and SIGHUP have codes of their own."""
LOG_LEVELS = ("debug", "info", "warning", "error")
DESCRIPTION = "Performance studies of gRPC services that hold up."
SERVE_HELP = """The server runs in the foreground until Ctrl-C, SIGTERM or SIGHUP, then lets running calls end; a second
signal cuts them off.
Environment: GRPC_SERVER_PORT, GRPC_KEEPALIVE_TIMEOUT (seconds), GRPC_CONCURRENCY_LIMIT, GRPCLAB_LOG;
PPROF_ENABLED (true for optimized) and PPROF_PORT (3000): the profiling desk, on 127.0.0.1 unless --desk-host
names another address; there it wants the token that is printed with its address.
A flag beats a variable, a variable beats the default; other commands do not read them."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    common = Parser(add_help=False)
    common.add_argument("-q", "--quiet", action="store_true", help="print only the result, and errors")
    common.add_argument("-v", "--verbose", action="store_true", help="show tracebacks of errors")
    common.add_argument(
        "--redact",
        metavar="NAME",
        action="append",
        default=[],
        help="keep what has this name (of metadata, a variable, an option of a command) out of all outputs, as what is"
        " called token, password, key and the like; may be repeated",
    )
    parser = Parser(prog="grpclab", description=DESCRIPTION, usage="grpclab COMMAND [options]")
    parser.add_argument("--version", action="version", version=f"grpclab {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", prog="grpclab")

    serve = commands.add_parser(
        "serve",
        parents=[common, _settable("a factor of the server, as server.window_kib=1024")],
        help="run a server in the foreground",
        usage=f"grpclab serve {'|'.join(DEFAULT_PORTS)} [options]",
        description="\n".join(
            [
                "Run a server in the foreground.",
                "",
                *(textwrap.fill(f"{name}: {meaning}.", 78) for name, meaning in MEANINGS.items()),
            ]
        ),
        epilog=SERVE_HELP + reference.epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument("variant", nargs="?", metavar="VARIANT", help=either(sorted(DEFAULT_PORTS)))
    ports = ", ".join(f"{name} {port}" for name, port in DEFAULT_PORTS.items())
    serve.add_argument("--port", type=int, help=f"TCP port, 0 for any free one (default: {ports})")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--desk-host", metavar="HOST", help="address of the profiling desk (default: 127.0.0.1)")
    reference.add_options(serve)
    serve.set_defaults(run=_serve)

    bench.add_parser(commands, parents=[common, _settable("a factor of client, load or link, as link.rtt_ms=20")])

    study.add_study(commands, parents=[common])
    compare.add_parser(commands, parents=[common, _settable("a factor of both sides, as server.window_kib=1024")])

    study.add_report(commands, parents=[common])
    profile.add_parser(commands, parents=[common])
    notebook.add_parser(commands, parents=[common])

    doctor = commands.add_parser(
        "doctor",
        parents=[common],
        help="what this machine can and cannot measure well",
        usage="grpclab doctor [options]",
        description="Say what this machine can and cannot measure well; with -q only the problems.",
    )
    doctor.add_argument("--json", metavar="FILE", help="write the findings as JSON; - is standard output")
    doctor.set_defaults(run=_doctor)

    factors = commands.add_parser(
        "factors",
        parents=[common],
        help="list every factor and its levels",
        usage="grpclab factors [options]",
        description="List every factor, its levels and its default; with -q only the names.",
    )
    factors.add_argument("--tonic", action="store_true", help='the table "from tonic to grpcio", in Markdown')
    factors.add_argument("--json", metavar="FILE", help="write the table as JSON; - is standard output")
    factors.set_defaults(run=_factors)
    return parser


def _settable(what: str) -> Parser:
    """The option --set, by which `what` is set."""
    parser = Parser(add_help=False)
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="FACTOR=LEVEL",
        action="append",
        default=[],
        help=f"set {what} (`grpclab factors` lists them); may be repeated",
    )
    return parser


def _serve(options: argparse.Namespace) -> int:
    from grpclab.servers.process.child import configure_logging

    if options.variant not in DEFAULT_PORTS:
        given = "no server was named" if options.variant is None else f"invalid VARIANT={options.variant}"
        raise UsageError(f"{given}: expected grpclab serve {either(sorted(DEFAULT_PORTS))}")
    configure_logging(_log_level(options, os.environ))
    port = _port(options.port, os.environ, DEFAULT_PORTS[options.variant])
    return reference.run(options, port) if options.variant == "reference" else _serve_greeter(options, port)


def _serve_greeter(options: argparse.Namespace, port: int) -> int:
    from grpclab.servers.process.child import leave
    from grpclab.servers.process.exposure import listen_address
    from grpclab.servers.process.foreground import serve_in_foreground
    from grpclab.servers.process.sidecar import diagnostics_address

    reference.refuse_options(options)
    given = parse_settings(options.settings)
    others = sorted(name for name in given if not name.startswith("server."))
    if others:
        raise UsageError(
            f"invalid --set {others[0]}={format_level(given[others[0]])}: expected a factor of the server;"
            f" `grpclab bench --set {others[0]}=...` loads the server with it"
        )
    asked = from_environment(os.environ) | given
    settings = variant(options.variant).differences(TrialConfig()) | asked
    server_only = {name: level for name, level in settings.items() if name.startswith("server.")}
    if not options.quiet:
        _tell_idle(TrialConfig().replace(server_only), asked)
    where = listen_address(options.host)
    diagnostics = diagnostics_address(os.environ, default=options.variant == "optimized", host=options.desk_host)
    if diagnostics is not None:
        server_only = {"server.metrics": True, "server.desk": True, **server_only}
    serve_in_foreground(options.variant, server_only, where, port, quiet=options.quiet, diagnostics=diagnostics)
    leave(0)


def _tell_idle(config: TrialConfig, given: Mapping[str, object]) -> None:
    """Say on standard error which of the given factors of a server cannot act; it may be sent any call."""
    for name, reason in cannot_act(config.replace({"load.method": "SayHelloStream"})).items():
        if name in given:
            print(f"grpclab: no effect: {name}: {reason}", file=sys.stderr)


def _port(flag: int | None, environ: Mapping[str, str], default: int) -> int:
    port: object = flag if flag is not None else environ.get("GRPC_SERVER_PORT", default)
    source = "--port" if flag is not None else "GRPC_SERVER_PORT"
    try:
        number = int(str(port))
    except ValueError:
        number = -1
    if not 0 <= number <= 65535:
        raise UsageError(f"{source}={port} is not a port: give a whole number from 0 to 65535")
    return number


def _log_level(options: argparse.Namespace, environ: Mapping[str, str]) -> str:
    level = environ.get("GRPCLAB_LOG", "info").lower()
    if level not in LOG_LEVELS:
        raise UsageError(invalid("GRPCLAB_LOG", level, f"one of {', '.join(LOG_LEVELS)}"))
    return "debug" if options.verbose else level


def _doctor(options: argparse.Namespace) -> int:
    from grpclab.cli import doctor

    findings = doctor.diagnose()
    if options.json != "-":
        shown = [one for one in findings if one.state != "ok"] if options.quiet else findings
        if shown:
            print(doctor.render(shown))
    if options.json:
        bench.write(options.json, [json.dumps(doctor.to_json(findings), indent=1), "\n"])
    return 0


def _factors(options: argparse.Namespace) -> int:
    if options.tonic:
        from grpclab.factors.channel_args import mapping_markdown

        if options.json:
            raise UsageError("--json does not go with --tonic: that table is Markdown")
        sys.stdout.write(mapping_markdown())
        return 0
    if options.json:
        bench.write(options.json, [json.dumps(table(), indent=1), "\n"])
    if options.json == "-":
        return 0
    if options.quiet:
        print("\n".join(FACTORS))
        return 0
    width = max(len(name) for name in FACTORS)
    for name, factor in FACTORS.items():
        print(f"{name:<{width}}  {factor.meaning}")
        print(f"{'':<{width}}  {factor.range_text}; default {format_level(factor.default)}")
    return 0


def _tell_unread_variables(options: argparse.Namespace) -> None:
    """Say on standard error which variables that name factors of a server are not read, where a load is measured."""
    command = f"serve {options.variant}" if options.command == "serve" else options.command
    if command not in ("bench", "compare", "study", "serve reference"):
        return
    for factor in FACTORS.values():
        if factor.env and os.environ.get(factor.env):
            print(
                f"grpclab: {factor.env} is not used: it sets {factor.dotted} of `grpclab serve basic|optimized`,"
                f" not of {command}",
                file=sys.stderr,
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    with terminal.guarded(), interrupts.handled(leaving=arguments is None):
        try:
            try:
                return _run(arguments)
            finally:
                sys.stdout.flush()
        except KeyboardInterrupt:
            return interrupts.explain()
        except OSError as error:  # of standard output
            if isinstance(error, BrokenPipeError):
                return terminal.PIPE_CLOSED
            print(f"grpclab: {error.filename}: {error.strerror}", file=sys.stderr)
            return 3


def _run(arguments: Sequence[str] | None) -> int:
    credentials.learn_words(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.error("no command was named: `grpclab --help` lists them")
    options.command_line = shlex.join(["grpclab", *(sys.argv[1:] if arguments is None else arguments)])
    if options.redact:
        credentials.redact(options.redact)
        credentials.learn_words(sys.argv[1:] if arguments is None else arguments)
    try:
        if not options.quiet:
            _tell_unread_variables(options)
        return int(options.run(options))
    except GrpclabError as error:
        _explain(error, str(error), options)
        return interrupts.exit_code() if error.exit_code == INTERRUPTED else error.exit_code
    except (MemoryError, RuntimeError) as error:
        if not ulimits.exhausted(error):
            raise
        _explain(error, ulimits.EXHAUSTED, options)
        return 3
    except OSError as error:
        if error.filename == terminal.OUTPUT:
            raise
        _explain(error, f"{error.filename or 'the system'}: {error.strerror or error}", options)
        return 3


def _explain(error: BaseException, line: str, options: argparse.Namespace) -> None:
    """One line on standard error; with -v the traceback before it."""
    if options.verbose:
        told = "".join(traceback.format_exception(error))
        print(textwrap.indent(told, "  "), end="", file=sys.stderr)  # no line of others looks like one of ours
    print(f"grpclab: {printable(line)}", file=sys.stderr)
