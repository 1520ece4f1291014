"""The call of a load that is a recording: its calls in their order, with their requests and metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from grpclab.errors import UsageError, invalid
from grpclab.http2.headers import literal_fields
from grpclab.http2.messages import prefixed
from grpclab.load.calls.data_file import DataFile
from grpclab.load.calls.metadata import Pairs, literal_pair, parse_metadata
from grpclab.load.calls.method import CallMix, CallSpec, RecordedOrder
from grpclab.load.calls.mixed_call import MixedCall, named
from grpclab.load.calls.payloads import PAYLOAD_FOLDER, Payloads
from grpclab.load.core.recording import RecordedCall, is_cut, read_recording, replayable
from grpclab.load.mix import mixed
from grpclab.quantities import count
from grpclab.status import OK
from grpclab.text import credentials


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReplayPlan:
    """A recording as it is replayed: its methods by name, and its calls in the order in which they began.

    `skipped` is the number of calls whose request is not all there; `cut` is whether the last line of the file was cut
    off.
    """

    methods: tuple[str, ...]
    names: tuple[str, ...]
    calls: tuple[RecordedCall, ...]
    skipped: int
    cut: bool

    @property
    def note(self) -> str:
        """What is left out of the recording; "" for nothing."""
        notes = []
        if self.skipped:
            notes.append(f"left out of the recording: {count(self.skipped, 'call')} without a complete request")
        if self.cut:
            notes.append("left out of the recording: its last line, which is cut off")
        return "; ".join(notes)

    @property
    def counts(self) -> dict[str, int]:
        """The number of calls of each method, by its name."""
        made = dict.fromkeys(self.methods, 0)
        for call in self.calls:
            made[call.method] += 1
        return dict(zip(self.names, made.values(), strict=True))


def replay_plan(file: DataFile) -> ReplayPlan:
    """Read a recording. Raises UsageError."""
    recorded = read_recording(file.path, file.content)
    calls = tuple(replayable(recorded))
    if not calls:
        raise UsageError(invalid("--data-file", str(file.path), "a recording with at least one complete request"))
    methods = tuple(dict.fromkeys(call.method for call in calls))
    names = tuple(one.name for one in named([MixedCall(method=method) for method in methods]))
    return ReplayPlan(
        methods=methods, names=names, calls=calls, skipped=len(recorded) - len(calls), cut=is_cut(file.content)
    )


def replayed(data: str, words: Sequence[str], find: Callable[[str], CallSpec]) -> CallSpec:
    """Return the call that replays the recording that `data` stands for. The `words` are metadata of each call, which
    takes the place of what was recorded under the same key; `find` looks a method up, and raises UsageError where it
    cannot: then the recording says what is known of it.

    Raises UsageError, also where a secret of the recording is not given, and as `find` does.
    """
    file, given = DataFile.of(data), parse_metadata(words)
    assert file is not None
    plan = replay_plan(file)
    of_method = {method: [call for call in plan.calls if call.method == method] for method in plan.methods}
    fixed = {method: _fixed(calls, given, file) for method, calls in of_method.items()}
    made = [_member(method, of_method[method], fixed[method], find) for method in plan.methods]
    numbers = {method: number for number, method in enumerate(plan.methods)}
    blocks = [_block(call, given, fixed[call.method]) for call in plan.calls]
    key = ("recording", file.sha256, given)
    order = _written((*key, "order"), ((bytes([numbers[call.method]]),) for call in plan.calls))
    requests = _written((*key, "requests"), (call.messages for call in plan.calls))
    headers = _written((*key, "headers"), ((block,) for block in blocks)) if any(blocks) else None
    return mixed(
        CallMix(
            names=plan.names,
            calls=tuple(made),
            weights=tuple(float(len(calls)) for calls in of_method.values()),
            recorded=RecordedOrder(order=order, requests=requests, headers=headers),
            note=plan.note,
        )
    )


def _written(key: tuple[object, ...], entries: Iterable[Sequence[bytes]]) -> Payloads:
    """The file of these entries, each of one message or more; written once for a study, and begun again at its end."""

    def write() -> tuple[Payloads, bool]:
        framed = (b"".join(map(prefixed, messages)) for messages in entries)
        return PAYLOAD_FOLDER.write(framed, framed=True), False

    made = PAYLOAD_FOLDER.once(key, 0, write)
    assert isinstance(made, Payloads)
    return made


def _member(method: str, calls: Sequence[RecordedCall], metadata: Pairs, find: Callable[[str], CallSpec]) -> CallSpec:
    """One method of the recording. Without a schema the recording says which side streams."""
    try:
        return dataclasses.replace(find(method), payload=b"", payloads=None, headers=None, metadata=metadata)
    except UsageError:
        sends = any(len(call.messages) > 1 for call in calls)
        receives = any(call.status == OK and call.answers != 1 for call in calls)
    return CallSpec(
        path=f"/{method}", payload=b"", metadata=metadata, client_streaming=sends, server_streaming=receives
    )


# ---- metadata ------------------------------------------------------------------------------------------------------


def _fixed(calls: Sequence[RecordedCall], given: Pairs, file: DataFile) -> Pairs:
    """The metadata that all calls of a method have. Raises UsageError for a secret that is not given."""
    keys = {key for key, _ in given}
    for call in calls:
        for key, value in call.metadata:
            if value == credentials.MASK and key not in keys:
                raise UsageError(
                    f"the recording {file.path} requires --metadata {key}=..., because the value is secret and was not "
                    "recorded"
                )
    first = _own(calls[0], keys)
    same = all(_own(call, keys) == first for call in calls)
    return (*given, *(literal_pair(*pair) for pair in (first if same else ())))


def _own(call: RecordedCall, given: set[str]) -> Pairs:
    """The recorded metadata of a call whose keys are not given anew."""
    return tuple((key, value) for key, value in call.metadata if key not in given)


def _block(call: RecordedCall, given: Pairs, fixed: Pairs) -> bytes:
    """The header block of the metadata of one call beside what all calls of its method have."""
    own = _own(call, {key for key, _ in given})
    return b"" if not own or fixed != given else literal_fields(literal_pair(*pair) for pair in own)
