"""The call of a load that is a mix of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from grpclab.errors import UsageError
from grpclab.load.calls.method import CallMix, CallSpec
from grpclab.load.calls.mixed_call import MixedCall
from grpclab.load.core.call_order import shares


def mix_of(mix: Sequence[MixedCall], choose: Callable[[MixedCall, float], CallSpec]) -> CallSpec:
    """Return the mix of these calls; `choose` makes each, by its share of the whole. Raises as `choose` does.

    An error about one call names it.
    """
    calls = []
    for one, share in zip(mix, shares([one.weight for one in mix]), strict=True):
        try:
            calls.append(choose(one, share))
        except UsageError as error:
            raise UsageError(f"call {one.name}: {error}") from None
    return mixed(
        CallMix(
            names=tuple(one.name for one in mix), calls=tuple(calls), weights=tuple(float(one.weight) for one in mix)
        )
    )


def mixed(mix: CallMix) -> CallSpec:
    """Return the call that stands for a mix."""
    return CallSpec(
        path=mix.calls[0].path,
        payload=b"",
        server_streaming=any(call.server_streaming for call in mix.calls),
        client_streaming=any(call.client_streaming for call in mix.calls),
        mix=mix,
    )
