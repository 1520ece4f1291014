"""The options that name a target: an application, a command, an address, and what belongs to each."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grpclab.cli.options import allowance_given, load_levels, security_given
from grpclab.cli.parser import Flag, Options
from grpclab.cli.several_calls import called
from grpclab.errors import UsageError
from grpclab.factors.own import is_own

if TYPE_CHECKING:
    from grpclab.factors.levels import Level
    from grpclab.servers.process.launcher import RunningServer
    from grpclab.servers.target import Target
    from grpclab.study.sides import GivenTarget

KINDS = {"app": "app", "command": "cmd", "address": "address"}
"""The options' names for the kinds of targets."""
OF_A_SIDE = {"python": "python", "app_dir": "dir"}
"""Fields of a target that a side may have for itself, with the option's name behind the side's."""
SECURITY = ("tls", "cacert", "cert", "key", "server_name", "authority", "insecure_skip_verify")
REMOTE = ("allow_remote", "max_rate", "max_calls", "max_time")
FURTHER = ("python", "app_dir", "cwd", "ready", "prepare", "cleanup")
MEANINGS = {
    "app": ("MODULE:NAME", "{whose} application: a function that registers its servicers on a server"),
    "cmd": ("COMMAND", "command that starts {whose} server; {{port}} is replaced by a free port"),
    "address": ("HOST:PORT", "address of {whose} running server; each block opens new connections"),
    "python": ("PATH", "the interpreter that hosts {whose} application (default: this one)"),
    "app-dir": ("DIR", "the folder to import {whose} application from (default: the working folder)"),
    "dir": ("DIR", "the folder to import {whose} application from"),
    "cwd": ("DIR", "the working folder of the server"),
    "ready": ("HOW", "how to tell that the server is ready: tcp, health or log:REGEX (default: tcp)"),
    "prepare": ("COMMAND", "command to run before each server start; it must exit with code 0"),
    "cleanup": ("COMMAND", "command to run after each server stop"),
}


def target_flags(*, sides: Sequence[str] = (), leave_out: Sequence[str] = ()) -> list[Flag]:
    """The options of a target, and those of each side of a comparison; what `leave_out` names is left out."""
    whose = "the" if not sides else "both sides'"
    common = ("app", "cmd", "address", "python", "app-dir", "cwd", "ready", "prepare", "cleanup")
    return [
        *(_target_flag(option, option, whose) for option in common if option not in leave_out),
        *(
            _target_flag(f"{side}-{option}", option, f"{side.upper()}'s")
            for side in sides
            for option in (*KINDS.values(), *OF_A_SIDE.values())
        ),
    ]


def _target_flag(option: str, kind: str, whose: str) -> Flag:
    metavar, meaning = MEANINGS[kind]
    return Flag(f"--{option}", metavar=metavar, help=meaning.format(whose=whose))


def names(sides: Sequence[str] = ()) -> tuple[str, ...]:
    """The destinations of the options that :func:`target_flags` adds."""
    common = (*KINDS.values(), *FURTHER)
    return (*common, *(f"{side}_{option}" for side in sides for option in (*KINDS.values(), *OF_A_SIDE.values())))


def target_given(options: Options, side: str = "") -> tuple[Target, str] | None:
    """The target that the options of a side, or of both, name, and the option that named it; None for none.

    An option of a side goes before one of both. Raises UsageError.
    """
    from grpclab.servers.target import Target

    own = {field: f"{side}_{option}" for field, option in KINDS.items()} if side else {}
    both = dict(KINDS)
    given: list[tuple[str, str]] = []
    for words in (own, both):
        if not given:
            given = [(field, option) for field, option in words.items() if getattr(options, option, None) is not None]
    if not given:
        return None
    if len(given) > 1:
        first, second = (_flag(option) for _, option in given[:2])
        raise UsageError(
            f"{first} and {second} both specify {'the target' if not side else side.upper()}: use one of them"
        )
    field, option = given[0]
    text = getattr(options, option)
    if not text:
        raise UsageError(f"{_flag(option)} is empty: expected {MEANINGS[KINDS[field]][0]}")
    further = {}
    for name in FURTHER:
        own_option = f"{side}_{OF_A_SIDE[name]}" if side and name in OF_A_SIDE else ""
        value = getattr(options, own_option, None) if own_option else None
        value = getattr(options, name, None) if value is None else value
        if value and _belongs(name, field, of_a_side=bool(own_option and getattr(options, own_option, None))):
            further[name] = value
    return Target(**{field: text}, **further), _flag(option)


def _belongs(name: str, kind: str, *, of_a_side: bool) -> bool:
    """Whether an option is for a kind of target; one of both sides may be for the other side alone."""
    from grpclab.servers.target import BELONGS

    return of_a_side or kind in BELONGS[name]


def takes_security(target: Target) -> bool:
    """Whether connections to a target may have a security of the user's."""
    from grpclab.servers.target import BELONGS

    return target.kind in BELONGS["security"]


def refuse_unused(options: Options, targets: Sequence[Target], sides: Sequence[str] = ()) -> None:
    """Raise UsageError for an option that none of the targets has a use for."""
    from grpclab.servers.target import BELONGS

    kinds = {target.kind for target in targets}
    for name in FURTHER:
        options_of = [name, *(f"{side}_{OF_A_SIDE[name]}" for side in sides if name in OF_A_SIDE)]
        for option in options_of:
            if options.insists_on(option) and not kinds & set(BELONGS[name]):
                wanted = " or ".join(f"--{KINDS[kind]}" for kind in BELONGS[name])
                raise UsageError(f"{_flag(option)} cannot be used here: it only works with {wanted}")


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def apart(given: Mapping[str, Any], levels: Mapping[str, Level]) -> tuple[dict[str, Level], dict[str, Level]]:
    """The levels of `bench`, and those of the server and the user's own, which only an application takes.

    Raises UsageError where ``--app`` and its options do not go together with the others.
    """
    of_server = {
        name: level for name, level in levels.items() if name.startswith(("server.", "arg.", "env.", "target."))
    }
    if "app" in given:
        if "target" in given:
            raise UsageError(f"{given['target']} and --app both specify the server: use one of them")
        from grpclab.factors.config import refuse_scraping

        refuse_scraping(of_server)
        return {name: level for name, level in levels.items() if name not in of_server}, of_server
    if unused := next((name for name in ("python", "app_dir", "cwd") if name in given), None):
        raise UsageError(f"{_flag(unused)} cannot be used here: it only works with --app")
    return dict(levels), {}


def hosted(given: Mapping[str, Any], levels: Mapping[str, Level]) -> AbstractContextManager[RunningServer]:
    """The application of ``--app``, hosted under these levels while the block runs. Raises UsageError, ServerError."""
    from grpclab.factors.config import TrialConfig
    from grpclab.servers import targets

    chosen = target_given(Options(**given))
    assert chosen is not None
    targets.require_call(chosen[0], called(given))
    config = TrialConfig().replace(levels)
    order = targets.ServerStart(
        config=config.server, target=chosen[0], own=config.own, timeout_s=chosen[0].start_timeout_s
    )
    return targets.start(order)


def application_factors(levels: Mapping[str, Level]) -> dict[str, Level]:
    """The levels of an application's server: of all its factors, and of the user's own that were given."""
    from grpclab.factors.config import TrialConfig
    from grpclab.servers.hosting.application import BESIDE, OF_THE_GREETER

    flat = TrialConfig().replace(levels).flat()
    foreign = {f"server.{name}" for name in (*OF_THE_GREETER, *BESIDE)}
    return {name: flat[name] for name in flat if (name.startswith("server.") and name not in foreign) or is_own(name)}


# ---- security, and where load may go -----------------------------------------------------------------------------


def secured(target: Target, options: Options) -> Target:
    """The target with the security that the options ask for, where it is one that may have some."""
    given = {name: value for name in SECURITY if (value := getattr(options, name)) not in (None, False)}
    if not given or not takes_security(target):
        return target
    security = security_given(given)
    if not security.verify and not options.quiet:
        from grpclab.system.transport import UNVERIFIED

        print(f"grpclab: {UNVERIFIED}", file=sys.stderr)
    return replace(target, security=security)


def allowed(servers: Mapping[str, GivenTarget | str], options: Options) -> dict[str, GivenTarget | str]:
    """The servers, of which those on another machine may be loaded, all within the same ceilings. Raises UsageError."""
    from grpclab.servers.leave import RemoteLeave, require_address

    allowance = allowance_given({name: value for name, value in vars(options).items() if value is not None})
    leave = RemoteLeave.within(allowance)
    if leave is None:
        return dict(servers)
    leave.ledger.allowance.check_rate(float(str(load_levels(options).get("load.rate_rps") or 0.0)))
    running = {name: one for name, one in servers.items() if not isinstance(one, str) and one.target.address}
    require_address(bool(running), "--address")
    granted = {
        name: replace(one, target=leave.granted(one.target, called(vars(options)))) for name, one in running.items()
    }
    return dict(servers) | granted
