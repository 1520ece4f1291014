"""Whether compression took effect, by what a load sent and by the answers that came. Pure."""

from __future__ import annotations

from grpclab.factors.config import TrialConfig
from grpclab.http2.messages import compressed
from grpclab.load.calls.method import CallSpec
from grpclab.load.run import LoadRun


def without_effect(config: TrialConfig, run: LoadRun, call: CallSpec) -> dict[str, str]:
    """The factors of compression that are set and did not take effect, each with the reason in one line.

    Of requests that differ from call to call, nothing is said; nor of answers where the engine does not tell.
    """
    reasons = {}
    if config.client.compression != "none" and call.payloads is None:
        reasons["client.compression"] = _request(config.client.compression, run, call.payload)
    told = config.load.engine == "wire"
    if config.server.compression != "none" and told and run.summary.succeeded and not run.encodings:
        reasons["server.compression"] = "no answer came compressed: none is shorter with it, or the server has it off"
    return {factor: reason for factor, reason in reasons.items() if reason}


def _request(encoding: str, run: LoadRun, payload: bytes) -> str:
    """The reason why a request was not compressed; nothing if it was, or where that is not known."""
    size, packed = len(payload), len(compressed(payload, encoding))
    if packed >= size:
        return f"{encoding} does not make the request of {size:,} bytes shorter, so it is sent as it is"
    sent = run.traffic.bytes_per_call(run.calls_made)["bytes_sent_per_call"]
    if sent >= size:  # never of NaN
        return f"{sent:,.0f} bytes were sent for each call, whose request has {size:,} bytes, and {packed:,} compressed"
    return ""
