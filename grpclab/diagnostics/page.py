"""The desk's first page."""

from __future__ import annotations

from collections.abc import Sequence

STYLE = """
:root{color-scheme:light dark;--line:#8884;--quiet:#667;--accent:#0b4f8a}
@media(prefers-color-scheme:dark){:root{--quiet:#9aa;--accent:#7db8ec}}
body{font:16px/1.55 system-ui,sans-serif;margin:2.5rem auto;max-width:46rem;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .2rem}p{margin:.2rem 0 1rem}a{color:var(--accent)}small,.quiet{color:var(--quiet)}
dl{display:grid;gap:.6rem;margin:1.5rem 0}
dl div{border:1px solid var(--line);border-radius:.6rem;padding:.7rem 1rem}
dt{font-weight:600}dd{margin:.1rem 0 0}code{font:.88em ui-monospace,monospace}
"""


def _with(link: str, token: str) -> str:
    return f"{'&amp;' if '?' in link else '?'}token={token}" if token else ""


def index(pids: Sequence[int], *, rate_hz: int, longest_s: int, whole: bool, token: str = "") -> str:
    """The page for these server processes; `whole`: they count their calls and tell of their memory.

    A `token` is part of each link.
    """
    entries = [
        (
            "/debug/pprof/flamegraph?seconds=5",
            "Flamegraph",
            "Where Python's threads are, by py-spy; to look at here: click a frame to zoom, type to search.",
        ),
        (
            "/debug/pprof/profile?seconds=30",
            "CPU profile",
            "The same for <code>go tool pprof</code> and other readers of pprof's format.",
        ),
    ]
    if whole:
        entries += [
            (
                "/debug/pprof/heap?seconds=10",
                "Heap profile",
                "What is allocated in these seconds and still held at their end, by tracemalloc, which slows the "
                "server meanwhile.",
            ),
            (
                "/metrics",
                "Metrics",
                "Calls by method and status, their time, processes and garbage collector, for Prometheus.",
            ),
        ]
    entries.append(("/healthz", "Health", "Whether this desk is there."))
    items = "".join(
        f'<div><dt><a href="{link}{_with(link, token)}">{title}</a> <code class="quiet">{link}</code></dt>'
        f"<dd>{told}</dd></div>"
        for link, title, told in entries
    )
    named = ", ".join(map(str, pids))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>grpclab profiling desk</title><style>{STYLE}</style><h1>Profiling desk</h1>"
        f'<p class="quiet">Server {"process" if len(pids) == 1 else "processes"} {named}. A profile pauses '
        f"{'it' if len(pids) == 1 else 'them'} briefly, {rate_hz} times a second; one at a time, of 1 to {longest_s} "
        f"seconds.</p><dl>{items}</dl></html>"
    )
