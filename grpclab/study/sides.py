"""The two sides of a comparison, out of what was asked for: they differ in nothing that nobody asked for.

A variant's name brings a server and a client, any other target a server only. What a side does not bring is the other
side's, so that ``compare(config, "optimized")`` loads both as `config` does, and a command set against a variant is
called by that variant's client.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpclab.errors import UsageError, invalid
from grpclab.factors.config import TrialConfig
from grpclab.factors.defaults import LOAD
from grpclab.factors.levels import Level, format_level
from grpclab.factors.own import REQUIREMENTS, REVISION, OwnLevels, is_own
from grpclab.factors.variants import VARIANTS
from grpclab.load.calls.call_options import IN_TURN, DataOptions
from grpclab.load.calls.metadata import metadata_words, parse_metadata
from grpclab.load.calls.mixed_call import MixedCall
from grpclab.load.core.shapes import with_recorded_load
from grpclab.load.plan import check_call
from grpclab.servers import targets
from grpclab.servers.placement import placed, settled
from grpclab.servers.process import program
from grpclab.servers.target import MOST_START_S, Target
from grpclab.study.target import Subject
from grpclab.text import redaction

A, B = "a", "b"
LONGEST_NAME = 60
_PLACES = {"python": "target.python", "app_dir": "app-dir", "cwd": "cwd"}
"""What two targets of the same text can differ in, by the words for it in a label."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison."""

    label: str
    config: TrialConfig
    subject: Subject = field(default_factory=Subject)


@dataclass(frozen=True)
class GivenTarget:
    """A target, and the option that specified it."""

    target: Target
    option: str


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """The settings of both sides, and in `own` and `names` those of one side."""

    call: str | None = None
    data: str | None = None
    data_options: DataOptions = field(default_factory=DataOptions)
    check: str = ""
    ignore_fields: Sequence[str] = ()
    metadata: Any = ()
    proto: str | None = None
    proto_path: Sequence[str] = ()
    start_timeout_s: float | None = None
    settings: Mapping[str, Level] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Level]] = field(default_factory=dict)
    names: Mapping[str, str | None] = field(default_factory=dict)
    mix: tuple[MixedCall, ...] = ()

    @property
    def called(self) -> str:
        """The method that is called, of a mix the first one, or what stands for a recording; "" for our greeter's."""
        recorded = "those of the recording" if self.data_options.is_recorded(self.data) else ""
        return self.mix[0].method if self.mix else self.call or recorded


Given = Side | TrialConfig | GivenTarget | Target | str


def pair(a: Given, b: Given, options: PairOptions) -> dict[str, Side]:
    """Both sides, ready to be measured. Raises UsageError, one line."""
    _check(options)
    given = {A: _read(A, a), B: _read(B, b)}
    options = _settled(given, options)
    labels = _labels(given, options)
    sides = {}
    for name, other in ((A, B), (B, A)):
        config = _config(given[name], given[other])
        side = given[name]
        levels = {**settled(_target(side), config.own), **options.settings, **options.own.get(name, {})}
        explicit = any(isinstance(one, Side | TrialConfig) for one in given.values())
        named = {*levels, *(config.differences(TrialConfig()) if explicit else ())}
        subject = side.subject if isinstance(side, Side) else Subject()
        if isinstance(side, GivenTarget):
            subject = Subject(target=side.target).started_within(options.start_timeout_s)
        if subject == Subject(target=subject.target):
            subject = _calling(subject, options)
        completed = with_recorded_load(config.replace(levels), named)
        sides[name] = Side(label=labels[name], config=completed, subject=subject)
    for name, made in sides.items():
        asked = given[name]
        where = placed(made.subject.target, made.config.own)
        there = dataclasses.replace(made.subject, target=where.target)
        there.check(asked.option if isinstance(asked, GivenTarget) else "", _arguments(sides, made))
        _check_side(name, made, {*options.settings, *options.own.get(name, {})})
    if not any(targets.serves_greeter(side.subject.target) for side in sides.values()):
        for asked in given.values():
            if isinstance(asked, GivenTarget):
                targets.require_call(asked.target, options.called)
    check_pair(sides)
    planned = {name for side in sides.values() for name in OwnLevels(side.config.own).arguments}
    for side in sides.values():
        alike = [other for other in sides.values() if other.subject.target == side.subject.target]
        side.subject.check_arguments({other.label: other.config for other in alike}, planned)
    return sides


def _read(name: str, given: Given) -> Given:
    if isinstance(given, Target):
        return given.variant or (TrialConfig() if given.own else GivenTarget(given, name))
    if isinstance(given, (Side, TrialConfig, GivenTarget)) or given in VARIANTS:
        return given
    if isinstance(given, str) and (program.PORT in given or targets.is_registered(given)):
        return GivenTarget(Target(command=given), name)
    kinds = f"a variant ({', '.join(VARIANTS)}), a command with {program.PORT}, a Target, a TrialConfig or a Side"
    stored = "or a stored result (results/STUDY:CONFIGURATION) on both sides"
    raise UsageError(invalid(name, given, f"{kinds}, {stored}"))


def _settled(given: Mapping[str, Given], options: PairOptions) -> PairOptions:
    """The options with the revisions and requirements of each side looked up. Raises UsageError."""
    both = {name: level for name, level in options.settings.items() if name in (REVISION, REQUIREMENTS)}
    own = {name: settled(_target(side), {**both, **options.own.get(name, {})}) for name, side in given.items()}
    settings = {name: level for name, level in options.settings.items() if name not in both}
    return dataclasses.replace(options, settings=settings, own=own)


def _target(given: Given) -> Target:
    if isinstance(given, Side):
        return given.subject.target
    return given.target if isinstance(given, GivenTarget) else Target()


def _config(given: Given, other: Given) -> TrialConfig:
    """The factors of a side, those of its own settings apart."""
    if isinstance(given, Side):
        return given.config
    if isinstance(given, TrialConfig):
        return given
    explicit = other.config if isinstance(other, Side) else other if isinstance(other, TrialConfig) else None
    base = VARIANTS[given] if isinstance(given, str) else TrialConfig()
    if isinstance(given, GivenTarget):
        caller = explicit or (VARIANTS[other] if isinstance(other, str) else base)
        base = dataclasses.replace(base, client=caller.client)
    if explicit is not None:
        return dataclasses.replace(base, load=explicit.load, link=explicit.link)
    return base.replace(LOAD)


def _calling(subject: Subject, options: PairOptions) -> Subject:
    return dataclasses.replace(
        subject,
        call=options.call or "",
        data=options.data,
        data_format=options.data_options.format,
        data_order="" if options.data_options.order == IN_TURN else options.data_options.order,
        data_repeat=options.data_options.repeat,
        answer_check=options.check,
        ignore_fields=tuple(options.ignore_fields),
        metadata=metadata_words(options.metadata),
        proto=options.proto,
        proto_path=tuple(options.proto_path),
        mix=options.mix,
    )


# ---- labels ------------------------------------------------------------------------------------------------------


def _labels(given: Mapping[str, Given], options: PairOptions) -> dict[str, str]:
    """A short name for each side: the one given, else what it is, and what was set on it alone."""
    asked = [side for side in given.values() if isinstance(side, GivenTarget)]
    for one in asked:
        program.plain_words(one.target.command, one.option)
    commands = [redaction.mask_command(side.target.command) for side in asked if side.target.command]
    short = iter(program.labels(commands))
    labels = {}
    for name, side in given.items():
        by_command = isinstance(side, GivenTarget) and side.target.command
        label = next(short) if by_command else _label(side)
        levels = dict(options.own.get(name, {}))
        label += f" at {revision}" if (revision := levels.pop(REVISION, None)) else ""
        own = " ".join(f"{factor}={format_level(level)}" for factor, level in levels.items())
        own = " ".join(filter(None, [_apart(side, [one for one in given.values() if one is not side]), own]))
        labels[name] = checked_name(name, options.names.get(name)) or (f"{label} with {own}" if own else label)
    return labels


def _apart(side: Given, others: Sequence[Given]) -> str:
    """What a target has that others of the same text have not: ``target.python=.venv/bin/python``; "" for nothing."""
    if not isinstance(side, GivenTarget):
        return ""
    alike = [one.target for one in others if isinstance(one, GivenTarget) and one.target.text == side.target.text]
    found = {word: getattr(side.target, name) for name, word in _PLACES.items()}
    return " ".join(
        f"{word}={found[word]}"
        for name, word in _PLACES.items()
        if found[word] and any(getattr(target, name) != found[word] for target in alike)
    )


def _label(side: Given | Any) -> str:
    if isinstance(side, Side):
        return side.label
    if isinstance(side, GivenTarget):
        return side.target.text
    return (side.settings() or "all factors at their defaults") if isinstance(side, TrialConfig) else str(side)


def checked_name(side: str, name: str | None) -> str:
    """The name that was given to a side; "" for none. Raises UsageError."""
    if name is None:
        return ""
    text = " ".join(str(name).split())
    if not text or len(text) > LONGEST_NAME or not text.isprintable():
        raise UsageError(invalid(f"--{side}-name", text, f"1 to {LONGEST_NAME} printable characters"))
    return text


# ---- what cannot be ----------------------------------------------------------------------------------------------


def _check(options: PairOptions) -> None:
    timeout = options.start_timeout_s
    if timeout is not None and not 0 < timeout <= MOST_START_S:
        raise UsageError(invalid("--start-timeout", f"{timeout:g}", f"seconds above 0, up to {MOST_START_S:,.0f}"))
    levels = set(options.settings).union(*options.own.values())
    check_call(options.called or None, levels, data=options.data, proto=options.proto, proto_path=options.proto_path)
    if options.mix and (options.call or options.data is not None):
        raise UsageError("mix cannot be combined with call or data")
    idle = next((name for name in ("check", "ignore_fields") if getattr(options, name)), "")
    if options.mix and idle:
        raise UsageError(f"{idle} is a setting of each call: set it in the table of the call")
    parse_metadata(metadata_words(options.metadata))


def _arguments(sides: Mapping[str, Side], side: Side) -> dict[str, dict[str, str]]:
    """The levels of ``arg.NAME`` by NAME, in each of the sides that have the target of this one."""
    alike = {name: one for name, one in sides.items() if one.subject.target == side.subject.target}
    return {name: OwnLevels(one.config.own).arguments for name, one in alike.items()}


def _check_side(name: str, side: Side, given: Collection[str]) -> None:
    """`given` are the factors that were named for this side, at their defaults or not."""
    levels = side.config.flat()
    named = {**side.config.differences(TrialConfig()), **{name: levels[name] for name in given if name in levels}}
    if side.subject.target.own:
        named = {name: level for name, level in named.items() if is_own(name)}
    side.subject.check_factors(named, name.upper())
    if side.subject.has_call and side.subject.proto and Path(side.subject.proto).is_file():
        side.subject.call_at("127.0.0.1:1", side.config)  # the file holds the schema: no server is asked


def check_pair(sides: Mapping[str, Side]) -> None:
    """Raise UsageError if the two sides have nothing in which they can be compared."""
    rates = [side.config.load.rate_rps for side in sides.values()]
    if (rates[0] is None) != (rates[1] is None):
        levels = " and ".join(
            f"{format_level(rate)} for {name.upper()}" for name, rate in zip(sides, rates, strict=True)
        )
        raise UsageError(
            f"invalid load.rate_rps: {levels}; expected a rate on both sides or on neither, since closed and open "
            "loops have no metric in common"
        )
