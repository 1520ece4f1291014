"""Options that the commands share that compare two sides: revisions and packages, the call, the number of blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from grpclab.cli.completion import offering
from grpclab.cli.options import FACTOR_OF, call_options, check_call, load_levels, whole
from grpclab.cli.parser import Flag, OptionGroup, Options
from grpclab.cli.request_options import data_options, ignored_fields, metadata_given, request_data, schema_file
from grpclab.cli.several_calls import gathered
from grpclab.errors import UsageError, invalid
from grpclab.factors.config import parse_settings, refuse_twice
from grpclab.factors.own import REQUIREMENTS, REVISION

if TYPE_CHECKING:
    from grpclab.factors.levels import Level
    from grpclab.study.sides import PairOptions, Side

PLACEMENT = {"rev": REVISION, "requirements": REQUIREMENTS}
"""Options that are short for a factor of the target, which a side may have for itself."""


def revision_flag(name: str, help: str) -> Flag:
    """An option that takes a revision; TAB offers the branches and tags of the working folder's repository."""
    return Flag(name, metavar="REV", help=help, offer=offering(_revisions))


def _revisions() -> list[str]:
    from pathlib import Path

    from grpclab.system.repository import CHECKOUT, Repository

    try:
        return [*Repository.around(Path.cwd()).names, "HEAD", CHECKOUT]
    except UsageError:
        return []


def placement_flags(*, sides: Sequence[str] = (), leave_out: Sequence[str] = ()) -> list[Flag]:
    """The options of revisions and packages, for both sides and for each; what `leave_out` names is left out."""
    flags = []
    for side in ("", *sides):
        whose = f"{side.upper()}'s" if side else "both sides'" if sides else "the"
        prefix = f"--{side}-" if side else "--"
        if "rev" not in leave_out:
            meaning = (
                "git revision of {} application, or of the folder that {} command runs in; worktree means your "
                "working tree with its uncommitted changes"
            )
            flags.append(revision_flag(f"{prefix}rev", meaning.format(whose, whose)))
        if "requirements" not in leave_out:
            meaning = f"packages to install for {whose} application, e.g. grpcio==1.70, or @FILE; can be repeated"
            flags.append(Flag(f"{prefix}requirements", metavar="PACKAGES", many=True, help=meaning))
    return flags


def placement_names(sides: Sequence[str] = ()) -> tuple[str, ...]:
    """The destinations of the options that :func:`placement_flags` adds."""
    return tuple(f"{side}_{option}" if side else option for side in ("", *sides) for option in PLACEMENT)


def placement_levels(options: Options, side: str = "") -> dict[str, Level]:
    """The levels that the options of revisions and packages ask for, of a side or of both."""
    given = {name: getattr(options, f"{side}_{name}" if side else name, None) for name in PLACEMENT}
    words = {name: ", ".join(value) if isinstance(value, list) else value for name, value in given.items()}
    return {PLACEMENT[name]: word for name, word in words.items() if word}


def settings_of_side(options: Options, side: str) -> dict[str, Level]:
    """The levels of one side: by --a-set, and by options that are short for a factor. Raises UsageError."""
    settings, short = parse_settings(getattr(options, f"{side}_set")), placement_levels(options, side)
    refuse_twice(short, settings)
    return {**settings, **short}


def factors_given(options: Options, side: str = "") -> set[str]:
    """The factors that were named for both sides, or for this one, by --set or an option that is short for one."""
    short = {factor for option, factor in FACTOR_OF.items() if getattr(options, option, None) is not None}
    of_side = parse_settings(getattr(options, f"{side}_set")) if side else {}
    return short | set(parse_settings(options.settings)) | set(of_side)


def same_commit(sides: Mapping[str, Side]) -> str:
    """The sentence on two sides that are the same in everything, their commit included; "" where they are not."""
    first, second = sides.values()
    names = [str(side.config.own.get(REVISION, "")) for side in (first, second)]
    commits = {name.rpartition("@")[2] for name in names}
    alike = first.config.replace({REVISION: None}) == second.config.replace({REVISION: None})
    if commits == {""} or len(commits) > 1 or not alike or first.subject != second.subject:
        return ""
    return f"{' and '.join(names)} are the same commit, so A and B are the same server, as in an A/A test"


def call_group() -> OptionGroup:
    """The options of the call."""
    ignore = Flag(
        "--ignore-fields",
        metavar="FIELD,...",
        help="answer fields to ignore when answers are compared, e.g. time,trace.id",
    )
    return OptionGroup(title="the call", members=[*call_options(), ignore])


def cluster_flag() -> Flag:
    """The option of the machines that measure the blocks."""
    return Flag(
        "--cluster",
        metavar="ADDRESS|local:N",
        help="measure blocks on the machines of a Dask cluster, each block on a single machine; pass the address of "
        "the scheduler, or local:N for N workers on this machine (docs/blocks-on-machines.md)",
    )


def block_flags(*, budget: str) -> list[Flag]:
    """The options of how much is measured, and of what counts as an effect; `budget` is the default of --budget."""
    return [
        Flag(
            "--blocks",
            metavar="N|auto",
            help="number of blocks; auto chooses it from the noise in the first four blocks (default: auto)",
        ),
        Flag(
            "--budget",
            metavar="TIME",
            help=(
                "time for all blocks, e.g. 3m, or none for no limit; after four blocks, it determines how many "
                f"follow (default: {budget})"
            ),
        ),
        Flag(
            "--exclusive",
            switch=True,
            help="measure one side after the other, for servers that cannot run at the same time",
        ),
        Flag("--min-effect", default="5%", metavar="SHARE", help="smallest effect of interest (default: 5%)"),
        Flag("--seed", metavar="N", help="seed for the random order within blocks (default: 1)"),
    ]


def blocks_given(text: str | None) -> int | None:
    """The number of --blocks; None where the noise decides. Raises UsageError."""
    if text in (None, "auto"):
        return None
    blocks = whole("--blocks", text)
    if not 2 <= blocks <= 1000:
        raise UsageError(invalid("--blocks", text, "auto, or a whole number from 2 to 1,000"))
    return blocks


def pair_options(
    options: Options,
    *,
    own: Mapping[str, Mapping[str, Level]] | None = None,
    names: Mapping[str, str | None] | None = None,
    start_timeout_s: float | None = None,
) -> PairOptions:
    """What the options ask of both sides, with the levels in `own` and the `names` of each. Raises UsageError."""
    from grpclab.study.sides import PairOptions

    short, given = placement_levels(options), gathered(vars(options))
    refuse_twice(short, parse_settings(options.settings))
    both = PairOptions(
        call=given.get("call"),
        data=request_data(given),
        data_options=data_options(given),
        check=given.get("check") or "",
        ignore_fields=ignored_fields(given.get("ignore_fields")),
        metadata=metadata_given(given),
        proto=schema_file(given),
        proto_path=tuple(options.proto_path),
        start_timeout_s=start_timeout_s,
        settings={**load_levels(options), **short},
        own=own or {},
        names=names or {},
        mix=given.get("mix", ()),
    )
    for levels in both.own.values() or [{}]:
        check_call(given, {**both.settings, **levels})
    return both
