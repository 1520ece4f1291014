"""Folded stacks as flamegraphs in HTML: click to zoom, type to search, nothing is loaded.

A page holds each set of stacks once, as a table of frames and rows of their numbers, deflated. The script unpacks and
draws it; widths are shares of samples, rows go from callers to what they call. A frame has the colour of the family of
work that most of its samples end in, the paler the more there are of others. Frames are buttons, so the keyboard
reaches them. Names of frames are data, never markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Mapping

from markupsafe import Markup

from grpclab.profiling.families import HANDLER, SHOWN, classify
from grpclab.profiling.stacks import readable_stack
from grpclab.text import pages

SCRIPT = pages.style(pages.SHARED, "flamegraph.js")
SCRIPT_HASH = f"'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode('ascii')}'"
"""The script for a Content-Security-Policy that lets it run, and no other."""


def pack(stacks: Mapping[str, int], *, handler: str = HANDLER) -> str:
    """Stacks as the script takes them: JSON ``{"frames": [name], "families": [[name, colour]], "stacks": [[samples,
    family, frame, ...]]}``, the frames of a stack from the root on; deflated (zlib), base64.

    The stacks are as the profiler gave them, those that wait left out: the families need what is made readable here.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for stack, count in stacks.items():
        family = classify(stack, handler=handler)
        counts[readable_stack(stack), family if family in SHOWN else "other"] += count
    numbers: dict[str, int] = {}
    families = list(SHOWN)
    rows = [
        [count, families.index(family), *(numbers.setdefault(frame, len(numbers)) for frame in stack.split(";"))]
        for (stack, family), count in sorted(counts.items())
    ]
    content = {"frames": list(numbers), "families": list(SHOWN.values()), "stacks": rows}
    text = json.dumps(content, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(errors="replace"), 9)).decode("ascii")


def unpack(packed: str) -> dict[str, int]:
    """What :func:`pack` took, made readable."""
    content = json.loads(zlib.decompress(base64.b64decode(packed)))
    stacks: Counter[str] = Counter()
    for count, _, *path in content["stacks"]:
        stacks[";".join(content["frames"][number] for number in path)] += count
    return dict(stacks)


def page(stacks: Mapping[str, int], *, heading: str, note: str = "", handler: str = HANDLER) -> str:
    """A page of its own; `handler` as in :func:`grpclab.profiling.families.classify`."""
    packed = pack(stacks, handler=handler)
    return str(
        pages.rendered(pages.SHARED, "flamegraph_page.html.j2", heading=heading, note=note, packed=Markup(packed))
    )
