"""``grpclab profile``: where a running Python process spends its time, and a flamegraph of it."""

from __future__ import annotations

from grpclab.cli.option_types import FileName, Whole
from grpclab.cli.parser import Flag, LabCommand, OptionGroup, Options
from grpclab.profiling import families

EPILOG = """py-spy samples Python threads and names their functions. perf, if it is installed and permitted, samples
every running thread. py-spy pauses the process briefly for each sample. Files: .html is a flamegraph, .folded and
.speedscope.json are for other tools, .pb.gz is for `go tool pprof`."""


def run(options: Options) -> int:
    """Profile, print, write; returns the exit code."""
    from grpclab.cli import profiled  # here: the profilers take longer to load than the help to be shown

    return profiled.run(options)


COMMAND = LabCommand(
    "profile",
    run,
    summary="profile a running Python process: families of work, a flamegraph",
    usage="grpclab profile (--pid N | --server HOST:PORT) [options]",
    description="Profile a running Python process of this machine.",
    epilog=EPILOG,
    beats={"pid": ("server",), "server": ("pid",)},
    groups=[
        OptionGroup(
            title="the process",
            members=[
                Flag("--pid", kind=Whole(), help="a process, including child processes that run Python"),
                Flag("--server", metavar="HOST:PORT", help="the processes listening there; HOST must be this machine"),
            ],
        ),
        OptionGroup(
            members=[
                Flag("--duration", default="5s", metavar="TIME", help="whole seconds (default: 5s)"),
                Flag("--rate", kind=Whole(), default=100, metavar="HZ", help="samples per second (default: 100)"),
                Flag(
                    "--handler",
                    default=families.HANDLER,
                    metavar="FILE",
                    help=f"file with the handlers, given by the end of its path (default: {families.HANDLER})",
                ),
                Flag(
                    "-o",
                    "--output",
                    kind=FileName(as_path=True),
                    many=True,
                    metavar="FILE",
                    help="write py-spy's stacks to *.html, *.folded, *.speedscope.json or *.pb.gz; can be repeated",
                ),
                Flag("--json", metavar="FILE", help="write the figures as JSON; - is standard output"),
            ]
        ),
    ],
)
