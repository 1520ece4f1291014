"""Whether compression took effect, by what a load sent and by the answers that came. Pure."""

from __future__ import annotations

from grpclab.factors.config import TrialConfig
from grpclab.http2.messages import compressed
from grpclab.load.calls.method import GREETER, CallSpec
from grpclab.load.run import LoadRun


def without_effect(config: TrialConfig, run: LoadRun, call: CallSpec) -> dict[str, str]:
    """The factors of compression that are set and did not take effect, each with the reason in one line.

    Of requests that differ from call to call, or are streams of messages, nothing is said.
    """
    reasons = {}
    carried = run.traffic.bytes_per_call(run.calls_made)
    if config.client.compression != "none" and call.payloads is None and not call.client_streaming:
        sent = carried["sent_per_call_bytes"]
        reasons["client.compression"] = _request(config.client.compression, sent, call.payload)
    if config.server.compression != "none" and run.summary.succeeded:
        reasons["server.compression"] = _answer(config, run, call, carried["received_per_call_bytes"])
    return {factor: reason for factor, reason in reasons.items() if reason}


def _request(encoding: str, sent: float, payload: bytes) -> str:
    """The reason why a request was not compressed; nothing if it was, or where that is not known."""
    size, packed = len(payload), len(compressed(payload, encoding))
    if packed >= size:
        return f"{encoding} does not shorten the {size:,}-byte request, so the client sends it uncompressed"
    if sent >= size:  # never of NaN
        return f"{sent:,.0f} bytes were sent per call; the request has {size:,} bytes, or {packed:,} when compressed"
    return ""


def _answer(config: TrialConfig, run: LoadRun, call: CallSpec, received: float) -> str:
    """The same of the answers. Engine grpcio does not tell, but the length of our own greeter's answer is known."""
    if config.load.engine == "wire":
        reason = "no answer was compressed: compression would not shorten them, or it is turned off in the server"
        return "" if run.encodings else reason
    size = config.server.response_bytes if call.path == f"{GREETER}SayHello" else 0
    if size and received >= size:
        return f"{received:,.0f} bytes were received per call; the answer has {size:,} bytes"
    return ""
