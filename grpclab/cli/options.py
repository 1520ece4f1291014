"""Options that several commands share: of the call, of the load (out of the table of factors), and --set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from grpclab.cli.help_pages import HelpTable
from grpclab.cli.parser import Flag, OptionGroup, Options
from grpclab.cli.several_calls import check_several
from grpclab.errors import UsageError, invalid
from grpclab.factors.config import FACTORS, parse_settings, pool_settings, refuse_twice
from grpclab.factors.defaults import MEANINGS
from grpclab.factors.levels import Level, format_level
from grpclab.load.calls.call_options import FORMATS, ORDERS
from grpclab.quantities import time_option
from grpclab.system.inputs import whole as at_least_one

if TYPE_CHECKING:
    from grpclab.study.sides import Side
    from grpclab.system.allowance import Allowance
    from grpclab.system.transport import Security

FACTOR_OF = {
    "requests": "load.requests",
    "duration": "load.duration_s",
    "warmup": "load.warmup_s",
    "concurrency": "load.concurrency",
    "arrival": "load.arrival",
    "max_in_flight": "load.max_in_flight",
    "pacing": "load.pacing",
    "workers": "load.workers",
    "engine": "load.engine",
    "deadline": "client.deadline_s",
    "stream_interval": "load.stream_interval_s",
    "stream_call_count": "load.stream_messages",
    "stream_call_duration": "load.stream_duration_s",
}
"""Options that are short for a factor."""
SHAPES = FACTORS["load.arrival"].range_text.replace("|", ", ")
"""The load shapes, for the help."""
BEATS = {"data": ("data_file",), "data_file": ("data",), "proto": ("protoset",), "protoset": ("proto",)}
"""Options of the call of which one sets the default of another aside."""


def call_options(*, mix: bool = True) -> list[Flag]:
    """The options of the call, where it is not our own greeter's; of a `mix` of several, if there may be one."""
    return [
        Flag(
            "--call",
            metavar="PKG.SERVICE/METHOD",
            repeatable=mix,
            help="the method to call (default: grpclab's own greeter); repeat it to mix several methods by weight, "
            "e.g. --call shop.Cart/Get=7 --call shop.Cart/Add=3",
        ),
        Flag(
            "--data",
            metavar="JSON",
            repeatable=mix,
            help="a request, a list of requests to send in turn, or @FILE (default: {}); if the client streams, the "
            "list holds the messages of one call"
            + ("; with several --call, give one --data for all, or one for each in the same order" if mix else ""),
        ),
        Flag(
            "--data-file",
            metavar="FILE",
            help="file to read requests from: .json, .jsonl, .csv with a header row, or .bin with length-delimited "
            "messages; use - for standard input",
        ),
        Flag("--data-format", metavar="|".join(FORMATS), help="format of the requests (default: from the file name)"),
        Flag(
            "--data-order",
            metavar="|".join(ORDERS),
            help=f"order in which multiple requests are sent (default: {ORDERS[0]})",
        ),
        Flag(
            "--data-repeat",
            switch=True,
            help=(
                "reuse generated requests ({{.RequestNumber}} etc.) from the start when they run out, instead of "
                "ending the load"
            ),
        ),
        Flag(
            "--check",
            metavar="EXPRESSION",
            help=(
                "condition that every answer must meet, e.g. 'reply.total > 0'; otherwise, the call fails with "
                "WRONG_ANSWER"
            ),
        ),
        Flag("--metadata", metavar="KEY=VALUE", many=True, help="metadata to send with each call; can be repeated"),
        Flag(
            "--metadata-file",
            metavar="FILE",
            help=(
                "file with more metadata, one key=value per line; a value of the form env:NAME is read from the "
                "environment variable NAME"
            ),
        ),
        Flag(
            "--proto",
            metavar="FILE",
            help="the schema, if the server has no reflection: a .proto file or a descriptor set",
        ),
        Flag("--protoset", metavar="FILE", help="the schema as a descriptor set, created by protoc"),
        Flag(
            "--proto-path",
            metavar="DIR",
            many=True,
            help="a folder to search for imports (protoc's -I); can be repeated",
        ),
    ]


def security_group(title: str) -> OptionGroup:
    """The options of TLS, and of the names that a server goes by."""
    members = [
        Flag(
            "--tls", switch=True, help="use TLS, trusting this machine's certificate authorities or those in --cacert"
        ),
        Flag("--cacert", metavar="FILE", help="root certificates to trust, in PEM; implies --tls"),
        Flag("--cert", metavar="FILE", help="the client's certificate, in PEM, if the server requires one"),
        Flag("--key", metavar="FILE", help="private key for the certificate in --cert, in PEM, without a passphrase"),
        Flag(
            "--server-name",
            metavar="NAME",
            help="the name to expect in the server's certificate (default: the host in the address)",
        ),
        Flag("--authority", metavar="NAME", help="the :authority header of calls (default: the server name above)"),
        Flag("--insecure-skip-verify", switch=True, help="use TLS without checking the server's certificate"),
    ]
    return OptionGroup(title=title, members=members)


def security_given(given: Mapping[str, Any]) -> Security:
    """The security of connections that :func:`security_group` ask for. Raises UsageError."""
    from grpclab.system.transport import security_of

    words = {name: str(given[name]) for name in ("cacert", "cert", "key", "server_name", "authority") if name in given}
    return security_of(
        tls=bool(given.get("tls")), insecure_skip_verify=bool(given.get("insecure_skip_verify")), **words
    )


def remote_group(title: str) -> OptionGroup:
    """The leave to load a server on another machine, and the ceilings that it needs."""
    members = [
        Flag(
            "--allow-remote",
            switch=True,
            explicit=True,
            help="send load to a server on another machine; requires the three limits below",
        ),
        Flag("--max-rate", metavar="N", help="maximum calls per second, including warm-up and retries"),
        Flag("--max-calls", metavar="N", help="maximum number of calls, including warm-up and retries"),
        Flag("--max-time", metavar="TIME", help="maximum time for sending calls and waiting for responses"),
    ]
    return OptionGroup(
        title=title, note=("Without these options, grpclab sends load only to this machine."), members=members
    )


def allowance_given(given: Mapping[str, Any]) -> Allowance | None:
    """The leave that :func:`remote_group` ask for; None without --allow-remote. Raises UsageError."""
    from grpclab.system.allowance import allowed

    unused = () if given.get("allow_remote") else given.get("inherited", {})
    rate, calls, time = (
        given.get(name) if name not in unused else None for name in ("max_rate", "max_calls", "max_time")
    )
    try:
        rate_rps = None if rate is None else float(rate)
    except ValueError:
        raise UsageError(invalid("--max-rate", rate, "calls per second, e.g. 1000")) from None
    return allowed(
        bool(given.get("allow_remote")),
        rate_rps=rate_rps,
        calls=None if calls is None else at_least_one("--max-calls", str(calls), minimum=1),
        time_s=None if time is None else time_option("--max-time", str(time)),
    )


def load_options(defaults: Mapping[str, Level]) -> list[Flag]:
    """The load of one window, for commands that measure several; `defaults` by factor."""
    short = (
        ("requests", "N", "-n"),
        ("duration", "TIME", "-z"),
        ("warmup", "TIME"),
        ("concurrency", "N", "-c"),
        ("engine", "wire|grpcio"),
        ("deadline", "TIME"),
    )
    return [
        *(factor_option(option, metavar, *names, defaults=defaults) for option, metavar, *names in short),
        Flag("-r", "--rate", metavar="RATE", help="calls per second (open loop; the verdict is based on p99 latency)"),
        factor_option(
            "arrival",
            "SHAPE",
            meaning=(
                f"spacing of calls with --rate: {SHAPES}; a replay keeps its own rate, and replay:FILE@4 plays it "
                "four times as fast"
            ),
        ),
        Flag(
            "--connections",
            metavar="N",
            help="number of TCP connections; the client pools them if there is more than one",
        ),
    ]


def load_levels(options: Options) -> dict[str, Level]:
    """The factors' levels that :func:`load_options` and --set ask for, without those that nobody gave.

    Raises UsageError.
    """
    given = {name: value for name, value in vars(options).items() if value is not None}
    settings = parse_settings(options.settings)
    chosen = levels(given, settings)
    if options.rate is not None:
        refuse_twice(("load.rate_rps",), settings)
        chosen |= {"load.rate_rps": FACTORS["load.rate_rps"].parse(options.rate)}
        chosen.setdefault("load.requests", None)
    return chosen


def factor_option(
    option: str,
    metavar: str,
    *short: str,
    meaning: str | None = None,
    defaults: Mapping[str, Level] | None = None,
) -> Flag:
    """The option that is short for a factor, with its meaning and default out of the table."""
    factor = FACTORS[FACTOR_OF[option]]
    level = (defaults or {}).get(factor.dotted, factor.default)
    default = format_level(level) + (" s" if factor.name.endswith("_s") and level is not None else "")
    name, words = option.replace("_", "-"), meaning or factor.meaning
    return Flag(*short, f"--{name}", metavar=metavar, help=f"{words} (default: {default})")


def variant_terms() -> list[HelpTable]:
    """The variants, for the help."""
    return [HelpTable(title="variants", meanings=MEANINGS)]


def build_options() -> list[Flag]:
    """The options that say where the report for a build goes: see :mod:`grpclab.cli.build_report`."""
    return [
        Flag("--junit", metavar="FILE", help="write the checks as JUnit XML"),
        Flag(
            "--github",
            switch=True,
            help="in GitHub Actions, annotate the build and add to its summary (default: on if GITHUB_ACTIONS is true)",
        ),
    ]


def check_call(given: Mapping[str, Any], levels: Mapping[str, Level]) -> None:
    """Raise UsageError where parts of a call do not go together; `levels` are the factors that were set."""
    from grpclab.load import plan

    names = (
        "check",
        "ignore_fields",
        "data",
        "data_file",
        "data_format",
        "data_order",
        "data_repeat",
        "proto",
        "protoset",
        "proto_path",
    )
    parts = {part: given.get(part) or None if part == "data_repeat" else given.get(part) for part in names}
    if not check_several(given, set(levels), parts):
        plan.check_call(given.get("call"), set(levels), **parts)


def levels(given: Mapping[str, Any], settings: Mapping[str, Level], dashes: str = "--") -> dict[str, Level]:
    """The factors' levels that these options ask for; a file's options have no `dashes`.

    Raises UsageError where an option and --set say the same factor.
    """
    chosen: dict[str, Level] = {}
    settings, inherited = dict(settings), given.get("inherited", {})
    for option, name in FACTOR_OF.items():
        if option in given:
            if name in settings and (option in inherited) != ("settings" in inherited):  # what was typed wins
                if option in inherited:
                    continue
                del settings[name]
            word = str(given[option])
            word = "0" if (option, word) == ("workers", "auto") else word
            called = dashes + option.replace("_", "-")
            if option == "concurrency" and (":" in word or "@" in word):
                from grpclab.load.core.concurrency import concurrency_levels  # loads numpy

                beside = [one for one in ("rate", "arrival") if given.get(one) is not None]
                chosen |= concurrency_levels(word, called, beside)
            else:
                chosen[name] = FACTORS[name].parse(word, called)
    if "connections" in given:
        chosen |= pool_settings(whole("--connections", given["connections"]))
    refuse_twice(chosen, settings)
    return {**chosen, **settings}


def whole(flag: str, word: object) -> int:
    """The whole number that the word is. Raises UsageError."""
    try:
        return int(str(word))
    except ValueError:
        raise UsageError(invalid(flag, word, "a whole number")) from None


def set_option(what: str) -> Flag:
    """The option --set, by which `what` is set."""
    return Flag(
        "--set",
        "settings",
        metavar="FACTOR=LEVEL",
        many=True,
        help=f"set {what} (`grpclab factors` lists all factors); can be repeated",
    )


def idle_lines(sides: Mapping[str, Side], given: Mapping[str, set[str]]) -> Iterator[str]:
    """The factors that were given and cannot act, a line for each."""
    from grpclab.factors.channel_args import cannot_act
    from grpclab.factors.effective import unreached_processes

    idle = {name: cannot_act(side.config, hosted=bool(side.subject.app)) for name, side in sides.items()}
    for factor in sorted(set().union(*given.values())):
        where = [name for name in sides if factor in given[name]]
        if where and all(factor in idle[name] for name in where):
            on = " and ".join(name.upper() for name in where)
            yield f"{factor} has no effect on {on}: {idle[where[0]][factor]}"
    # One process, which is not idle, may stand on the other side.
    few = {name: unreached_processes(side.config) for name, side in sides.items()}
    for text in dict.fromkeys(filter(None, few.values())):
        on = " and ".join(name.upper() for name, reason in few.items() if reason == text)
        yield f"{on}: {text}"
