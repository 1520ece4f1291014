"""``grpclab profile``: where a running Python process spends its time, and a flamegraph of it."""

from __future__ import annotations

from grpclab.cli.option_types import FileName, Whole
from grpclab.cli.parser import Flag, LabCommand, OptionGroup, Options
from grpclab.profiling import families

EPILOG = """examples:
  grpclab profile --server localhost:50051 --duration 10s
  grpclab profile --pid 4711 -o flame.html -o stacks.pb.gz

py-spy samples Python threads and names their functions. perf, if it is installed and permitted, samples
every running thread. py-spy pauses the process briefly for each sample. A file ending in .html is a flamegraph, .folded
and .speedscope.json are for other tools, and .pb.gz is for `go tool pprof`."""


def run(options: Options) -> int:
    """Profile, print, write; returns the exit code."""
    from grpclab.cli import profiled  # here: the profilers take longer to load than the help to be shown

    return profiled.run(options)


COMMAND = LabCommand(
    "profile",
    run,
    summary="profile a running Python process, by kind of work and as a flamegraph",
    usage="grpclab profile (--pid N | --server HOST:PORT) [options]",
    description="Profile a running Python process on this machine.",
    epilog=EPILOG,
    beats={"pid": ("server",), "server": ("pid",)},
    groups=[
        OptionGroup(
            title="the process",
            members=[
                Flag("--pid", kind=Whole(), help="process to profile, including its child processes that run Python"),
                Flag(
                    "--server",
                    metavar="HOST:PORT",
                    help="profile the processes listening on this port; HOST must be this machine",
                ),
            ],
        ),
        OptionGroup(
            members=[
                Flag(
                    "--duration",
                    default="5s",
                    metavar="TIME",
                    help="how long to sample, in whole seconds (default: 5s)",
                ),
                Flag("--rate", kind=Whole(), default=100, metavar="HZ", help="samples per second (default: 100)"),
                Flag(
                    "--handler",
                    default=families.HANDLER,
                    metavar="FILE",
                    help=(
                        "source file with the handlers, identified by the end of its path (default: "
                        f"{families.HANDLER})"
                    ),
                ),
                Flag(
                    "-o",
                    "--output",
                    kind=FileName(as_path=True),
                    many=True,
                    metavar="FILE",
                    help="write py-spy's stacks to a .html, .folded, .speedscope.json or .pb.gz file; can be repeated",
                ),
                Flag("--json", metavar="FILE", help="write the figures as JSON; use - for standard output"),
            ]
        ),
    ],
)
