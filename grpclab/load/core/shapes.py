"""Load shapes with an argument: gamma arrivals, bursts, ramps and steps of the rate, and the replay of a file. Pure.

Ramps and steps are exact: call number i is due at the moment at which the integral of the rate since the beginning
is i. In a closed loop they are ramps and steps of the calls in flight: each caller begins, or stops, at the moment at
which the line meets its number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from grpclab.errors import UsageError, invalid
from grpclab.factors.config import FACTORS, LoadConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.registries import ARRIVALS
from grpclab.load.core.arrivals import CHUNK, MAX_STEPS, Change, LoadShape, Recording, ShapeFamily, count_between
from grpclab.load.core.recorder import Floats
from grpclab.load.core.recording import RECORDING_BEGINS, call_times, is_recording
from grpclab.quantities import seconds
from grpclab.system.inputs import read_text

LARGEST_SHARE = 1e6
"""A ramp begins, and a step is, at most at so many times the rate."""
LONGEST_S = 86_400.0
MOST_CALLS = 1_000_000
"""Calls of one burst at most."""


# ---- the same at all times: they can be cut into slices ----------------------------------------------------------


def _gamma(argument: str) -> LoadShape:
    return LoadShape(times=partial(_gamma_times, _number(argument, 0.001, 1000.0)), random=True)


def _gamma_times(shape: float, rate_rps: float, seed: int) -> Iterator[Floats]:
    rng, elapsed = np.random.default_rng(seed), 0.0
    while True:
        gaps = rng.standard_gamma(shape, CHUNK) / (shape * rate_rps)
        gaps[0] += elapsed
        since = np.cumsum(gaps)
        elapsed = float(since[-1])
        yield since


def _burst(argument: str) -> LoadShape:
    calls = int(argument)
    if not 1 <= calls <= MOST_CALLS:
        raise ValueError
    return LoadShape(times=partial(_burst_times, calls), random=False)


def _burst_times(calls: int, rate_rps: float, _: int) -> Iterator[Floats]:
    for first in itertools.count(0, CHUNK):
        yield np.arange(first, first + CHUNK) // calls * calls / rate_rps


GAMMA = ShapeFamily(
    make=_gamma,
    expected="gamma:SHAPE with a number from 0.001 to 1,000, e.g. gamma:0.5; 1 is poisson, lower values cluster calls, "
    "higher values space them evenly",
)
"""Gaps of a gamma distribution of mean ``1 / rate``; their coefficient of variation is ``1 / sqrt(shape)``."""
BURST = ShapeFamily(make=_burst, expected="burst:CALLS with the number of calls due at the same moment, e.g. burst:20")
"""So many calls at a time, evenly: the mean rate is the one asked for."""


# ---- changing on their way: they are measured in one window ------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Stretch:
    """`length_s` in which the rate goes evenly from one share of the rate asked for to another."""

    length_s: float
    begins: float
    ends: float


def _changing(stretches: Sequence[_Stretch]) -> LoadShape:
    """The shape of stretches; the last share is held from then on."""
    return LoadShape(
        times=partial(_changing_times, tuple(stretches)),
        random=False,
        varies=True,
        peak=max(max(each.begins, each.ends) for each in stretches),
        callers=partial(_changing_callers, tuple(stretches)),
        length_s=sum(each.length_s for each in stretches),
    )


def _changing_callers(stretches: tuple[_Stretch, ...], concurrency: int) -> list[Change]:
    changes: list[Change] = []
    start_s = 0.0
    for each in stretches:
        first, last = (max(1, round(share * concurrency)) for share in (each.begins, each.ends))
        steps, sign = abs(last - first), 1 if last > first else -1
        changes += [
            (start_s + number / max(1, steps) * each.length_s, first + sign * number) for number in range(steps + 1)
        ]
        start_s += each.length_s
    return [change for before, change in itertools.pairwise([(0.0, 0), *changes]) if change[1] != before[1]]


def _changing_times(stretches: tuple[_Stretch, ...], rate_rps: float, _: int) -> Iterator[Floats]:
    lengths = np.array([each.length_s for each in stretches])
    begins = rate_rps * np.array([*(each.begins for each in stretches), stretches[-1].ends])
    ends = rate_rps * np.array([*(each.ends for each in stretches), stretches[-1].ends])
    starts = np.concatenate([[0.0], np.cumsum(lengths)])
    slopes = np.concatenate([(ends[:-1] - begins[:-1]) / lengths, [0.0]])
    calls = np.cumsum((begins[:-1] + ends[:-1]) / 2 * lengths)
    """The calls due by the end of each stretch."""
    before = np.concatenate([[0.0], calls])
    for first in itertools.count(0, CHUNK):
        number = np.arange(first, first + CHUNK, dtype=np.float64)
        at = np.searchsorted(calls, number, side="right")
        left, rate = number - before[at], begins[at]
        # rate * t + slope / 2 * t^2 = left, in the form that loses no digits; rounding may bring the root below 0
        divisor = rate + np.sqrt(np.maximum(rate**2 + 2 * slopes[at] * left, 0.0))
        yield starts[at] + np.divide(2 * left, divisor, out=np.zeros(CHUNK), where=left > 0)


def _ramp(argument: str) -> LoadShape:
    share, _, time = argument.partition("@")
    return _changing([_Stretch(length_s=_length_s(time), begins=_number(share, 0.0, LARGEST_SHARE), ends=1.0)])


def _steps(argument: str) -> LoadShape:
    words, _, time = argument.partition("@")
    shares = [_number(word, 0.0, LARGEST_SHARE) for word in words.split(",")]
    if shares[-1] == 0 or len(shares) > MAX_STEPS:
        raise ValueError
    length_s = _length_s(time)
    return _changing([_Stretch(length_s=length_s, begins=share, ends=share) for share in shares])


RAMP = ShapeFamily(
    make=_ramp,
    expected="ramp:SHARE@TIME with the share of the rate to start with and the time to reach the full rate, e.g. "
    "ramp:0.1@60s",
)
"""A rate that grows, or falls, evenly from a share of the one asked for to that one, and stays there."""
STEPS = ShapeFamily(
    make=_steps,
    expected="steps:SHARE,SHARE,...@TIME with shares of the rate, the last one above 0, and the time to hold each, "
    "e.g. steps:0.2,0.5,1@10s",
)
"""Shares of the rate one after the other in one window; the last is held."""


# ---- recorded times ------------------------------------------------------------------------------------------------


def _replay(argument: str) -> LoadShape:
    path, speed = _file_and_speed(argument)
    if not path.strip():
        raise ValueError
    return LoadShape(
        times=partial(_replay_times, path), random=False, varies=True, recording=partial(_recording, path, speed or 1.0)
    )


def _file_and_speed(argument: str) -> tuple[str, float | None]:
    """The file of a replay, and its speed, None without one: ``day.calls@4``. Raises ValueError for a speed of 0."""
    path, at, word = argument.rpartition("@")
    try:
        speed = float(word)
    except ValueError:
        return argument, None
    if not at:
        return argument, None
    if not 0 < speed < math.inf:
        raise ValueError
    return path, speed


def replayed_file(arrival: Level) -> str:
    """The file that a load shape replays; "" for any other shape."""
    word = str(arrival)
    return _file_and_speed(word.removeprefix(_REPLAY))[0] if word.startswith(_REPLAY) else ""


def _recording(path: str, speed: float) -> Recording:
    times = recorded_times(path)
    return Recording(calls=len(times), rate_rps=float((len(times) - 1) / times[-1]) * speed)


def _replay_times(path: str, rate_rps: float, _: int) -> Iterator[Floats]:
    times, own_rps = recorded_times(path), _recording(path, 1.0).rate_rps
    scale = own_rps / rate_rps  # 1 where the rate is the file's own
    period_s = len(times) / rate_rps
    for turn in itertools.count():
        for first in range(0, len(times), CHUNK):
            yield turn * period_s + times[first : first + CHUNK] * scale


def recorded_times(path: str) -> Floats:
    """The times in a file, in seconds since the first: a number a line, which a comma may follow; ascending.

    Empty lines, those that begin with ``#`` and a first line of names are left out. Of a recording of calls they are
    those of the calls that can be replayed. A file is read again only once it has changed. Raises UsageError.
    """
    try:
        about = Path(path).stat()
    except OSError:  # the error is that of the reading
        return _times_in(path)
    return _times_kept(path, about.st_mtime_ns, about.st_size, about.st_ino)


@lru_cache(maxsize=2)
def _times_kept(path: str, *_: int) -> Floats:
    return _times_in(path)


def _times_in(path: str) -> Floats:
    text = read_text("replay", path)
    if is_recording(text[:RECORDING_BEGINS].encode()):
        return _checked(call_times(path, text), path)
    times: list[float] = []
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.partition(",")[0].strip()
        if not word or word.startswith("#"):
            continue
        try:
            time_s = float(word)
        except ValueError:
            if not times and number == 1:
                continue
            time_s = math.nan
        if not math.isfinite(time_s) or (times and time_s < times[-1]):
            where = f"seconds in ascending order, one time per line; line {number} is {word!r}"
            raise UsageError(invalid("replay", path, where))
        times.append(time_s)
    return _checked(times, path)


def _checked(times: Sequence[float], path: str) -> Floats:
    """The times since the first. Raises UsageError where they have no rate."""
    if len(times) < 2 or times[0] == times[-1]:
        raise UsageError(invalid("replay", path, f"at least two different times, one per line; there are {len(times)}"))
    found: Floats = np.array(times) - times[0]
    found.flags.writeable = False
    return found


REPLAY = ShapeFamily(
    make=_replay,
    expected="replay:FILE or replay:FILE@SPEED, where FILE has one time in seconds per line or is a recording of "
    "calls, e.g. replay:day.txt or replay:day.calls@4",
)
"""The times of a file, stretched or squeezed to the rate asked for; it begins anew one mean gap after its end."""
_REPLAY = "replay:"
OF_A_REPLAY = ("load.arrival", "load.rate_rps", "load.requests", "load.duration_s", "load.warmup_s")
"""The factors that :func:`complete` gives levels."""


def complete(levels: dict[str, Level], speed: float | None = None, folder: Path = Path()) -> list[str]:
    """Give a recorded load shape its own rate, or that at a `speed`, and calls where none are given; returns remarks.

    A recording of calls has no warm-up, which would take its first ones. The path of its file, which is seen from the
    `folder`, becomes absolute: worker processes may run elsewhere. Raises UsageError.
    """
    word = str(levels.setdefault("load.arrival", "constant"))
    FACTORS["load.arrival"].check(word)
    argument = word.removeprefix(_REPLAY)
    with_speed = argument != word and _file_and_speed(argument)[1] is not None
    if argument != word:
        levels["load.arrival"] = _REPLAY + str((folder / Path(argument).expanduser()).absolute())
    shape: LoadShape = ARRIVALS.resolve(str(levels["load.arrival"]))
    if shape.recording is None:
        if speed is not None:
            raise UsageError("--speed requires a replay, e.g. --arrival replay:FILE")
        return []
    own, notes = shape.recording(), []
    if with_speed and (speed is not None or levels.get("load.rate_rps") not in (None, own.rate_rps)):
        raise UsageError(invalid("load.arrival", word, "no @SPEED, since --speed or a rate already sets it"))
    if speed is not None:
        if levels.get("load.rate_rps") is not None:
            raise UsageError("--speed cannot be combined with a rate, because both set the speed of the replay")
        levels["load.rate_rps"] = own.rate_rps * speed
    if of_calls(levels["load.arrival"]) and levels.setdefault("load.warmup_s", 0.0):
        expected = "0 with a replay of calls, since a warm-up would use up the first calls"
        raise UsageError(invalid("load.warmup_s", levels["load.warmup_s"], expected))
    if levels.get("load.rate_rps") is None:
        levels["load.rate_rps"] = own.rate_rps
        if not with_speed:
            notes.append(f"the file's own rate is {own.rate_rps:,.6g}/s: --rate plays it faster or slower")
    if levels.get("load.requests") is None and levels.get("load.duration_s") is None:
        levels["load.requests"] = own.calls
    return notes


def with_recorded_load(config: TrialConfig, given: Collection[str], folder: Path = Path()) -> TrialConfig:
    """Return a configuration whose load shape is a recording with the recording's rate and calls, any other as it is.

    `given` are the factors that were set, which stay as they are; with a number of calls or a duration alone there is
    no other end. The file is seen from the `folder`. Raises UsageError.
    """
    if ARRIVALS.resolve(config.load.arrival).recording is None:
        return config
    flat = config.flat()
    levels = {name: flat[name] for name in OF_A_REPLAY if name in given} | {"load.arrival": config.load.arrival}
    complete(levels, folder=folder)
    return config.replace({"load.requests": None, "load.duration_s": None, **levels})


def of_calls(arrival: Level) -> bool:
    """Return whether a load shape replays a recording of calls."""
    path = replayed_file(arrival)
    return bool(path) and is_recording(read_text("replay", path)[:RECORDING_BEGINS].encode())


def has_own_length(load: LoadConfig) -> bool:
    """Return whether a window lasts as its load says, whatever time is to be counted: calls of a recording, a pause."""
    return bool(load.pause_s) or of_calls(load.arrival)


def calls_within(rate_rps: float, arrival: str, duration_s: float) -> int:
    """The calls of the first seconds of a load shape that is not drawn at random."""
    return count_between(rate_rps, arrival, starts_at=0.0, seed=1, opens_at=0.0, closes_at=duration_s)


# ---- words ---------------------------------------------------------------------------------------------------------


def _number(word: str, least: float, most: float) -> float:
    value = float(word)
    if not least <= value <= most:
        raise ValueError
    return value


def _length_s(word: str) -> float:
    value = seconds(word, bare="s")
    if not 0.001 <= value <= LONGEST_S:
        raise ValueError
    return value
