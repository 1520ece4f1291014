"""The rules between the factors of a load: those that a running server cannot take, those that cannot act."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from grpclab.errors import UsageError, invalid
from grpclab.factors.channel_args import cannot_act
from grpclab.factors.config import TrialConfig, lookup, refuse_scraping
from grpclab.factors.levels import Level, format_level
from grpclab.factors.own import is_own
from grpclab.factors.registries import ARRIVALS
from grpclab.load.core.arrivals import ScheduledRate
from grpclab.load.core.shapes import replayed_file


def refuse_server_factors(levels: Mapping[str, Level]) -> None:
    """Raise UsageError for a factor of the server: it is running already."""
    refuse_scraping(levels)
    for name, level in levels.items():
        if is_own(name):
            raise UsageError(
                f"invalid {name}={format_level(level)}: expected a client, load or link factor, since bench uses a "
                "server that is already running and cannot set its arguments or variables"
            )
        if lookup(name).section != "server":
            continue
        word = f"{name}={format_level(level)}"
        if name == "server.tls" and level:
            raise UsageError(
                f"invalid {word}: expected --tls instead, since bench uses a server that is already running; to "
                f"measure the cost of TLS, use grpclab compare basic basic --b-set {word}"
            )
        raise UsageError(
            f"invalid {word}: expected a client, load or link factor, since bench uses a server that is already "
            f"running; start one with this setting (grpclab serve basic --set {word}), or measure its effect (grpclab "
            f"compare basic basic --b-set {word})"
        )


def give_rate(levels: dict[str, Level], rates: Sequence[ScheduledRate]) -> None:
    """Give the levels the first rate, the time for which each is held, and the load shape of a ramp."""
    if levels.get("load.rate_rps") is not None:
        raise UsageError("--rate and load.rate_rps both set the rate: use only one of them")
    levels["load.rate_rps"] = rates[0].rate_rps
    hold_s = next((step.hold_s for step in rates if step.hold_s is not None), None)
    if arrival := rates[0].arrival:
        if "load.arrival" in levels:
            expected = (
                f"no load shape with --rate FROM:TO@TIME, which already means {arrival} at {rates[0].rate_rps:g}/s"
            )
            raise UsageError(invalid("load.arrival", levels["load.arrival"], expected))
        levels["load.arrival"] = arrival
        if levels.get("load.requests") is not None or levels.get("load.duration_s") is not None:
            return  # the ramp takes its time, and the load ends as it is said to
    if hold_s is not None:
        if levels.get("load.duration_s") is not None:
            raise UsageError(
                f"--duration and the @{hold_s:g}s of --rate both set how long a rate is held: use only one of them"
            )
        levels["load.duration_s"] = hold_s


def no_effect(config: TrialConfig, names: Collection[str]) -> dict[str, str]:
    """Return the named factors that cannot act in this configuration, each with the reason."""
    return {name: reason for name, reason in cannot_act(config).items() if name in names}


def seed_has_no_effect(config: TrialConfig, *, given: bool) -> dict[str, str]:
    """Return the reason why a seed cannot act: only the arrivals of some load shapes are drawn."""
    random = config.load.rate_rps is not None and ARRIVALS.resolve(config.load.arrival).random
    return {"seed": "it applies only to load.arrival=poisson or gamma:SHAPE"} if given and not random else {}


def how_to_plan_more(config: TrialConfig, rates: Sequence[ScheduledRate] = ()) -> str:
    """Return the change of an option that gives a window of more calls."""
    if len(rates) > 1:
        return "hold each rate for longer, or begin with a higher one"
    if replayed_file(config.load.arrival):
        return "replay a longer recording, and raise -n or -z if either is given"
    if config.load.rate_rps is not None:
        return "raise --duration (-z), and -n if it is given"
    bounds = {"-n (--requests)": config.load.requests, "--duration (-z)": config.load.duration_s}
    return f"raise {' and '.join(option for option, bound in bounds.items() if bound is not None)}"
