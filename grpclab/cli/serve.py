"""``grpclab serve``: run a server in the foreground."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace

from grpclab.cli import reference
from grpclab.cli.completion import offering
from grpclab.cli.option_types import Whole, either
from grpclab.cli.options import set_option, variant_terms
from grpclab.cli.parser import Flag, LabCommand, Operand, OptionGroup, Options
from grpclab.cli.target_options import target_flags, target_given
from grpclab.errors import UsageError, invalid
from grpclab.factors.config import (
    ServerConfig,
    TrialConfig,
    from_environment,
    parse_settings,
    refuse_scraping,
    refuse_twice,
)
from grpclab.factors.defaults import DEFAULT_PORTS
from grpclab.factors.levels import Level, format_level
from grpclab.factors.own import PYTHON
from grpclab.quantities import in_unit

APPLICATION_PORT = 50051
PORTS = ", ".join(f"{name} {port}" for name, port in DEFAULT_PORTS.items())
DRAIN_DELAYS_S = {"production": 1.0, "application": 1.0}
"""How long a server that is being stopped still answers calls, by default; 0 for the others."""
LONGEST_DRAIN_DELAY_S = 600.0
WITH_DIAGNOSTICS = ("optimized", "production")
"""The variants that have a diagnostics server unless PPROF_ENABLED says otherwise."""
LOG_LEVELS = ("debug", "info", "warning", "error")
SERVE_HELP = """The server runs in the foreground until Ctrl-C, SIGTERM or SIGHUP, and then lets running calls finish; a
second signal cuts them off.

Environment variables: GRPC_SERVER_PORT, GRPC_KEEPALIVE_TIMEOUT (seconds), GRPC_CONCURRENCY_LIMIT and GRPCLAB_LOG;
PPROF_ENABLED (true by default for optimized and production) and PPROF_PORT (3000) for the diagnostics server. By
default, that server listens on 127.0.0.1. With --desk-host, it listens on another address and requires a token:
the value of PPROF_TOKEN or, without one, the token that is printed with the address. Options override variables, and
variables override defaults. Only `grpclab serve` reads these variables."""


def run(options: Options) -> int:
    """Serve until a signal; returns the exit code."""
    from grpclab.servers.process.child import configure_logging

    if options.app is not None:
        return _serve_application(options)
    if given := next((name for name in ("python", "app_dir", "cwd") if getattr(options, name) is not None), None):
        raise UsageError(f"--{given.replace('_', '-')} cannot be used here: it only works with --app")
    if options.variant not in DEFAULT_PORTS:
        expected = f"grpclab serve {either(sorted(DEFAULT_PORTS))}"
        if options.variant is None:
            raise UsageError(f"no server given: expected {expected}")
        raise UsageError(invalid("VARIANT", options.variant, expected, DEFAULT_PORTS))
    configure_logging(_log_level(options, os.environ))
    port = _port(options.port, os.environ, DEFAULT_PORTS[options.variant])
    return reference.run(options, port) if options.variant == "reference" else _serve_greeter(options, port)


def _serve_greeter(options: Options, port: int) -> int:
    from grpclab.factors.variants import variant
    from grpclab.servers.process.child import leave
    from grpclab.servers.process.exposure import listen_address
    from grpclab.servers.process.foreground import serve_in_foreground
    from grpclab.servers.process.sidecar import diagnostics_address

    reference.refuse_options(options)
    given = parse_settings(options.settings)
    refuse_scraping(given)
    others = sorted(name for name in given if not name.startswith("server."))
    if others:
        raise UsageError(
            f"invalid --set {others[0]}={format_level(given[others[0]])}: expected a server factor; set this one with "
            f"`grpclab bench --set {others[0]}=...`"
        )
    asked = from_environment(os.environ) | given
    settings = variant(options.variant).differences(TrialConfig()) | _levels_of_certs(options, given) | asked
    server_only = {name: level for name, level in settings.items() if name.startswith("server.")}
    if not options.quiet:
        _warn_of_no_effect(TrialConfig().replace(server_only), asked)
    where = listen_address(options.host)
    diagnostics = diagnostics_address(os.environ, default=options.variant in WITH_DIAGNOSTICS, host=options.desk_host)
    if diagnostics is not None:
        server_only = {"server.metrics": True, "server.desk": True, **server_only}
    certs = _certs(options, TrialConfig().replace(server_only).server)
    serve_in_foreground(
        options.variant,
        server_only,
        where,
        port,
        quiet=options.quiet,
        diagnostics=diagnostics,
        certs=certs,
        drain_delay_s=_drain_delay_s(options, options.variant),
    )
    leave(0)


def _serve_application(options: Options) -> int:
    from grpclab.factors.channel_args import cannot_act
    from grpclab.servers.hosting.foreground import serve_application
    from grpclab.servers.placement import placed
    from grpclab.servers.process.child import leave
    from grpclab.servers.process.exposure import listen_address
    from grpclab.servers.process.sidecar import diagnostics_address
    from grpclab.system.repository import WORKTREES

    if options.variant is not None:
        raise UsageError(f"{options.variant} and --app both specify the server: use one of them")
    reference.refuse_options(options)
    given = parse_settings(options.settings)
    refuse_scraping(given)
    others = sorted(name for name in given if name.startswith(("client.", "load.", "link.")))
    if others:
        raise UsageError(
            invalid(f"--set {others[0]}", format_level(given[others[0]]), "a server factor, arg.NAME, or env.NAME")
        )
    config = TrialConfig().replace(from_environment(os.environ) | _levels_of_certs(options, given) | given)
    diagnostics = diagnostics_address(
        os.environ, default=config.server.metrics or config.server.desk, host=options.desk_host
    )
    if diagnostics is not None:
        config = config.replace({"server.metrics": True, **given})
    chosen = target_given(options)
    assert chosen is not None
    where = placed(chosen[0], config.own)
    target, own = where.target, where.own
    if python := own.get(PYTHON):
        target = replace(target, python=python)
    if not options.quiet:
        for name, reason in cannot_act(config, hosted=True).items():
            if name in given:
                print(f"grpclab: {name} has no effect: {reason}", file=sys.stderr)
    with WORKTREES.in_use():
        serve_application(
            target,
            config.server,
            listen_address(options.host),
            _port(options.port, os.environ, APPLICATION_PORT),
            arguments=own.arguments,
            env=own.variables,
            quiet=options.quiet,
            certs=_certs(options, config.server),
            drain_delay_s=_drain_delay_s(options, "application"),
            diagnostics=diagnostics,
        )
    leave(0)


def _levels_of_certs(options: Options, given: Mapping[str, Level]) -> dict[str, Level]:
    """The levels that --certs stands for. Raises UsageError where --set sets TLS as well."""
    if options.certs is None:
        return {}
    refuse_twice({"server.tls"}, given)
    return {"server.tls": True, "server.tls_reload": True}


def _certs(options: Options, config: ServerConfig) -> str:
    """The absolute path of the folder of --certs; "" without it. Raises UsageError if it lacks a file."""
    if options.certs is None:
        return ""
    from pathlib import Path

    from grpclab.servers import tls

    folder: str = os.path.abspath(options.certs)
    tls.check_files(Path(folder), "--certs", mutual=config.mutual_tls)
    return folder


def _drain_delay_s(options: Options, server: str) -> float:
    """The seconds of --drain-delay, or the server's own. Raises UsageError for what is not such a time."""
    given = options.drain_delay
    if given is None:
        return DRAIN_DELAYS_S.get(server, 0.0)
    try:
        seconds = in_unit(given, "s")
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_DRAIN_DELAY_S:
        expected = f"a time from 0 to {LONGEST_DRAIN_DELAY_S:g} seconds, such as 5s"
        raise UsageError(invalid("--drain-delay", given, expected))
    return seconds


def _warn_of_no_effect(config: TrialConfig, given: Collection[str]) -> None:
    """Say on standard error which of the given factors of a server cannot act; it may be sent any call."""
    from grpclab.factors.channel_args import cannot_act

    for name, reason in cannot_act(config.replace({"load.method": "SayHelloStream"})).items():
        if name in given:
            print(f"grpclab: {name} has no effect: {reason}", file=sys.stderr)


def _port(flag: int | None, environ: Mapping[str, str], default: int) -> int:
    port: object = flag if flag is not None else environ.get("GRPC_SERVER_PORT", default)
    source = "--port" if flag is not None else "GRPC_SERVER_PORT"
    try:
        number = int(str(port))
    except ValueError:
        number = -1
    if not 0 <= number <= 65535:
        raise UsageError(f"{source}={port} is not a port: expected a whole number from 0 to 65535")
    return number


def _log_level(options: Options, environ: Mapping[str, str]) -> str:
    level = environ.get("GRPCLAB_LOG", "info").lower()
    if level not in LOG_LEVELS:
        raise UsageError(invalid("GRPCLAB_LOG", level, f"one of {', '.join(LOG_LEVELS)}"))
    return "debug" if options.verbose else level


COMMAND = LabCommand(
    "serve",
    run,
    summary="run a server in the foreground",
    usage=f"grpclab serve {'|'.join(DEFAULT_PORTS)}|--app MODULE:NAME [options]",
    description="Run a server in the foreground.",
    terms=variant_terms,
    closing=reference.fault_terms,
    beats={"variant": ("app", "python", "app_dir", "cwd")},
    epilog=f"{SERVE_HELP}\n\n{reference.EPILOG}",
    groups=[
        OptionGroup(
            title="the server",
            members=[
                Operand("variant", "VARIANT", either(sorted(DEFAULT_PORTS)), offer=offering(lambda: DEFAULT_PORTS)),
                Flag(
                    "--port",
                    kind=Whole(),
                    help=f"TCP port, or 0 for any free port (default: {PORTS}, --app {APPLICATION_PORT})",
                ),
                Flag("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)"),
                Flag("--desk-host", metavar="HOST", help="address of the diagnostics server (default: 127.0.0.1)"),
                Flag(
                    "--certs",
                    metavar="DIR",
                    help="use TLS with server.pem and server.key from this folder, as written by `grpclab certs`, and "
                    "reload them when they change",
                ),
                Flag(
                    "--drain-delay",
                    metavar="TIME",
                    help="on SIGTERM or Ctrl-C, answer calls for this long while health checks report NOT_SERVING, "
                    "and only then refuse new calls (default: 1s for production and --app, otherwise 0)",
                ),
                set_option("a server factor, e.g. server.window_kib=1024"),
            ],
        ),
        OptionGroup(
            title="serve --app", members=target_flags(leave_out=("cmd", "address", "ready", "prepare", "cleanup"))
        ),
        OptionGroup(title="serve reference", members=reference.reference_options()),
    ],
)
