"""``grpclab certs``: certificates for trying TLS."""

from __future__ import annotations

import shlex
from pathlib import Path

from grpclab.cli.option_types import Whole
from grpclab.cli.parser import Flag, LabCommand, Operand, OptionGroup, Options
from grpclab.errors import UsageError, invalid
from grpclab.factors.defaults import DEFAULT_PORTS

DAYS, MOST_DAYS = 365, 36_500
NEXT = """try the certificates:
  grpclab serve basic --certs {folder}
  grpclab call list localhost:{port} --cacert {folder}/ca.pem
require a client certificate:
  grpclab serve basic --certs {folder} --set server.mutual_tls=true
  grpclab call list localhost:{port} --cacert {folder}/ca.pem \\
    --cert {folder}/client.pem --key {folder}/client.key
replace the certificates while the server runs:
  grpclab certs {folder} --renew"""
EPILOG = """The files in DIR are ca.pem and ca.key (the authority), server.pem and server.key, client.pem and
client.key. Use them only for testing: anyone who has ca.key can create certificates that your clients trust.

examples:
  grpclab certs certs
  grpclab certs certs --host shop.example.org --host 10.0.0.7
  grpclab certs certs --renew"""


def run(options: Options) -> int:
    """Write or renew the certificates; returns the exit code. Raises UsageError, StorageError."""
    from grpclab.servers import tls

    if options.folder is None:
        raise UsageError("no folder given: expected grpclab certs DIR")
    if options.renew and options.force:
        raise UsageError("--renew and --force cannot be combined: --renew keeps the authority, --force replaces it")
    if not 1 <= options.days <= MOST_DAYS:
        raise UsageError(invalid("--days", options.days, f"1 to {MOST_DAYS:,}"))
    folder = Path(options.folder)
    if options.renew:
        hosts, files = tls.renew(folder, options.host, days=options.days), tls.RENEWED
    else:
        hosts, files = options.host or list(tls.HOSTS), tls.FILES
        tls.create(folder, hosts, days=options.days, force=options.force)
    if options.quiet:
        return 0
    print(f"written to {folder}: {', '.join(files)}")
    print(
        f"server.pem is for {', '.join(hosts)} and is valid for {options.days:,} "
        f"{'day' if options.days == 1 else 'days'}"
    )
    if not options.renew:
        print(NEXT.format(folder=shlex.quote(str(folder)), port=DEFAULT_PORTS["basic"]))
    return 0


COMMAND = LabCommand(
    "certs",
    run,
    summary="create certificates for trying out TLS",
    usage="grpclab certs DIR [options]",
    description="Create a certificate authority, and certificates signed by it for a server and a client.",
    epilog=EPILOG,
    groups=[
        OptionGroup(
            members=[
                Operand("folder", "DIR", "the folder to write to"),
                Flag(
                    "--host",
                    metavar="NAME",
                    many=True,
                    help="host name or IP address of the server (default: localhost, 127.0.0.1 and ::1); can be "
                    "repeated",
                ),
                Flag(
                    "--days",
                    metavar="N",
                    kind=Whole(),
                    default=DAYS,
                    help=f"number of days for which the certificates are valid (default: {DAYS})",
                ),
                Flag(
                    "--renew",
                    switch=True,
                    help="write new certificates signed by the existing authority, for the same names unless --host is "
                    "given",
                ),
                Flag("--force", switch=True, help="replace existing files, including the authority"),
            ]
        )
    ],
)
