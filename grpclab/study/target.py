"""What a trial measures when it is not our greeter: a target, and a call of one's own."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from grpclab.errors import UsageError
from grpclab.factors import effective
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level, format_level
from grpclab.factors.own import OwnLevels
from grpclab.load.calls.call_options import IN_TURN, DataOptions, is_recorded
from grpclab.load.calls.data_file import DataFile
from grpclab.load.calls.metadata import metadata_words, parse_metadata
from grpclab.load.calls.method import CallSpec
from grpclab.load.calls.mixed_call import MixedCall
from grpclab.load.calls.request import json_text
from grpclab.load.core.call_order import shares
from grpclab.load.plan import CallRequest, choose_call
from grpclab.load.replay import replay_plan
from grpclab.servers import targets
from grpclab.servers.process.filling import check_arguments
from grpclab.servers.process.launcher import RunningServer
from grpclab.servers.target import Target
from grpclab.servers.targets import ServerStart
from grpclab.system.transport import PLAINTEXT, Security
from grpclab.text import credentials

if TYPE_CHECKING:
    from grpclab.analysis.study_plan import StoredTarget, StudyPlan

STORED = ("app", "command", "address", "app_dir", "python", "cwd", "ready", "prepare", "cleanup")
"""The fields of a target that a plan holds. How long one waits for a server is no part of what is measured."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The server and the call of a trial; by default our greeter, as its factors say.

    `call` is ``package.Service/Method`` with its request as JSON in `data`, or ``@FILE`` for a file of many, found by
    reflection or in the file `proto`, whose imports are looked for in the folders `proto_path`, too; or `mix` are
    several calls that take turns. `residence`: record the time inside the server that the reference server tells of
    each call.
    """

    target: Target = field(default_factory=Target)
    call: str = ""
    data: str | None = None
    metadata: tuple[str, ...] = ()
    proto: str | None = None
    proto_path: tuple[str, ...] = ()
    residence: bool = False
    data_format: str = ""
    data_order: str = ""
    data_repeat: bool = False
    answer_check: str = ""
    ignore_fields: tuple[str, ...] = ()
    mix: tuple[MixedCall, ...] = ()

    def __post_init__(self) -> None:
        if self.data is not None and not isinstance(self.data, str):  # a manifest keeps it as text
            object.__setattr__(self, "data", json_text(self.data))
        object.__setattr__(self, "metadata", metadata_words(self.metadata))
        credentials.learn_words(self.metadata)
        credentials.learn_request(self.data)
        object.__setattr__(self, "mix", tuple(map(_with_text, self.mix)))
        for one in self.mix:
            credentials.learn_words(one.metadata)
            credentials.learn_request(one.data)

    @property
    def data_options(self) -> DataOptions:
        """How its requests are read and sent. Raises UsageError."""
        return DataOptions(format=self.data_format, order=self.data_order or IN_TURN, repeat=self.data_repeat)

    @property
    def has_call(self) -> bool:
        """Whether it says what is called; else that is our greeter's call."""
        return bool(self.call or self.mix or is_recorded(self.data, self.data_format))

    @property
    def call_shares(self) -> dict[str, float]:
        """The share of each call of a mix or of a recording, of 1, by its name; none where one call is made always.

        Raises UsageError for a recording that cannot be read.
        """
        weights = {one.name: one.weight for one in self.mix}
        if is_recorded(self.data, self.data_format) and (file := DataFile.of(str(self.data))):
            weights = dict(replay_plan(file).counts)
        return dict(zip(weights, shares(list(weights.values())), strict=True)) if weights else {}

    def ignored_of(self, number: int) -> tuple[str, ...]:
        """The fields of answers that vary by nature: of the call of this number, where it is a mix."""
        return self.mix[number].ignore_fields if self.mix else self.ignore_fields

    @property
    def app(self) -> str:
        """The application of its target; "" for any other."""
        return self.target.app

    @property
    def command(self) -> str:
        """The command of its target; "" for any other."""
        return self.target.command

    @property
    def address(self) -> str:
        """The address of its target; "" for any other."""
        return self.target.address

    @property
    def over(self) -> str:
        """The reason why no more may be sent to its server, where that is on another machine; else nothing."""
        ledger = self.target.ledger
        return "" if ledger is None else ledger.over(time.perf_counter())

    def check(self, option: str = "", configurations: targets.Arguments | None = None) -> None:
        """Raise UsageError for a target that cannot be started here, or of which a secret was not stored.

        `configurations` are the arguments (``arg.NAME``) of those that it is to be started with, the baseline first.
        """
        requests = [self.data, *(one.data for one in self.mix)]
        for what, text in (("command", self.command), *(("request", str(data or "")) for data in requests)):
            if credentials.is_placeholder(text):
                raise UsageError(
                    f"the {what} {text} contains a secret, which was not stored: provide the {what} "
                    "again with its value"
                )
        parse_metadata([*self.metadata, *(word for one in self.mix for word in one.metadata)])
        self.data_options  # noqa: B018 (checks them)
        for one in self.mix:
            one.options()
        targets.check(self.target, option, configurations)

    @classmethod
    def of(cls, planned: StoredTarget) -> Subject:
        """The subject that a plan holds; files are read when its server is started."""
        return cls(
            target=Target(
                **{name: getattr(planned, name) for name in STORED}, security=Security.unread(planned.security)
            ),
            call=planned.call,
            data=planned.data,
            metadata=planned.metadata,
            proto=planned.proto or None,
            proto_path=planned.proto_path,
            residence=planned.residence,
            data_format=planned.data_format,
            data_order=planned.data_order,
            data_repeat=planned.data_repeat,
            answer_check=planned.answer_check,
            ignore_fields=planned.ignore_fields,
            mix=planned.mix,
        )

    def stored(self) -> StoredTarget:
        """The same for a plan."""
        from grpclab.analysis.study_plan import StoredTarget  # the parsers of commands must not load the analysis

        call = {name: value for name, value in vars(self).items() if name != "target"}
        fields = {name: getattr(self.target, name) for name in STORED}
        return StoredTarget(**call, **fields, security=self.target.security.options)

    def check_factors(self, given: Mapping[str, Level], who: str = "the target") -> None:
        """Raise UsageError for the first of these factors that the target does not have; `who` is called so."""
        for name, level in sorted(given.items()):
            if reason := effective.not_of(self, name):
                raise UsageError(f"invalid {name}={format_level(level)}: {reason.format(who=who)}")

    def check_arguments(self, configs: Mapping[str, TrialConfig], planned: Collection[str] = ()) -> None:
        """Raise UsageError where ``arg.NAME`` and the ``{NAME}`` of its command do not match.

        `configs` are those that it serves, by their titles; the baseline comes first. `planned` are the names of
        arguments that other targets of the plan have.
        """
        if self.command and not targets.is_registered(self.command):
            places = (self.command, self.target.prepare, self.target.cleanup)
            levels = {title: OwnLevels(config.own).arguments for title, config in configs.items()}
            check_arguments(places, levels, planned=planned)

    def started_within(self, timeout_s: float | None) -> Subject:
        """The same with another longest wait for its server; None changes nothing."""
        return self if timeout_s is None else replace(self, target=replace(self.target, ready_timeout_s=timeout_s))

    def launch(
        self,
        config: TrialConfig,
        *,
        seed: int,
        cpus: Collection[int] | None,
        log_path: Path,
        env: Mapping[str, str],
    ) -> AbstractContextManager[RunningServer]:
        """The server, running until the block is left. Raises ServerError."""
        order = replace(self.order(config), seed=seed, cpus=cpus, log_path=log_path, env=env)
        return targets.start(order)

    def order(self, config: TrialConfig) -> ServerStart:
        """The order for the server of a trial, as far as this and the configuration say it."""
        return ServerStart(
            config=config.server, target=self.target, own=config.own, timeout_s=self.target.start_timeout_s
        )

    def call_at(
        self,
        target: str,
        config: TrialConfig,
        security: Security = PLAINTEXT,
        descriptors: tuple[bytes, ...] = (),
    ) -> CallSpec:
        """What is called at a running server, which may have told the `descriptors` of its services.

        Raises UsageError or TargetError.
        """
        asked = CallRequest(
            name=self.call or None,
            data=self.data,
            options=self.data_options,
            check=self.answer_check,
            metadata=self.metadata,
            proto=self.proto,
            proto_path=self.proto_path,
            descriptors=descriptors,
            server=(self.target, self.metadata, tuple(sorted(config.own.items()))),
            mix=self.mix,
        )
        call = choose_call(target, config, asked, wait_s=None, security=security, ledger=self.target.ledger)
        if not self.has_call:
            return call
        for number, one in enumerate(call.members):
            if one.answer is not None:
                from grpclab.load.calls.checks import AnswerReader

                AnswerReader(one.answer, self.ignored_of(number))  # refuses a field that there is not
        return call.keeping_answers()


def _with_text(call: MixedCall) -> MixedCall:
    """The call with its request as JSON: a manifest keeps it as text."""
    return call if isinstance(call.data, str | None) else replace(call, data=json_text(call.data))


def rehearse(subjects: Mapping[str, Subject], plan: StudyPlan, names: Iterable[str]) -> None:
    """Start each application of the plan's configurations with these names once. Raises UsageError or ServerError.

    So what cannot be started, or does not take a level, is known before anything is measured.
    """
    known = sorted(set(names) & set(subjects))
    targets.rehearse(subjects[name].order(plan.configuration(name).config) for name in known)
