"""What was compared and how it was loaded, in words: the call, its request, the load, each server by its program. Pure.

A server that a command started is described by that command's files only. What is the lab's own is called so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence

from grpclab import quantities as qty
from grpclab.analysis.study_plan import StoredFile, StoredProgram, StoredTarget, StudyPlan
from grpclab.factors.config import FACTORS, setting_word
from grpclab.factors.levels import Level, format_level
from grpclab.load.core.call_order import shares
from grpclab.system.json_fields import Json

GREETER = "greet.GreeterService"
LONGEST_REQUEST = 80
MOST_FILES = 4
"""So many files of a server's program are shown."""
MOST_NAMES = 4
"""So many configurations whose servers are of the same versions are named."""
_LAB = ("python", "grpcio", "protobuf", "uvloop")
_FURTHER = ("link.", "load.arrival", "load.stream_")
"""The beginnings of factors that are part of a load where they are set."""

Pairs = list[tuple[str, str]]


def sides_of(plan: StudyPlan) -> list[str]:
    """The two configurations of a comparison by ``grpclab compare``; none in any other plan."""
    headline = plan.headline
    return [headline.baseline, headline.candidate] if plan.subjects and headline and headline.testable else []


def foreign(plan: StudyPlan) -> list[str]:
    """The configurations whose server is not the lab's own."""
    return [name for name, target in plan.subjects.items() if target.kind != "greeter"]


def described(plan: StudyPlan, servers: Mapping[str, StoredProgram] | None, versions: Mapping[str, Json]) -> Pairs:
    """Terms and what they are, plain text: servers, call, load, and what the lab itself ran on.

    All three are a manifest's: `servers` are the files behind the plan's commands. Empty for studies of other designs.
    """
    names = sides_of(plan)
    if not names:
        return []
    letters = [name.upper() if name in ("a", "b") else name for name in names]
    pairs: Pairs = []
    if foreign(plan):
        pairs += [(letter, _server(plan, name, servers or {})) for letter, name in zip(letters, names, strict=True)]
    pairs += _one_or_each("call", [call_words(plan, name) for name in names], letters)
    pairs += _one_or_each("load", [load_words(plan, name) for name in names], letters)
    if foreign(plan):
        pairs.append(("measured with", lab_words(versions)))
    return pairs


def _one_or_each(term: str, texts: Sequence[str], letters: Sequence[str]) -> Pairs:
    if len(set(texts)) == 1:
        return [(term, texts[0])]
    return [(f"{term} of {letter}", text) for letter, text in zip(letters, texts, strict=True)]


def call_words(plan: StudyPlan, configuration: str) -> str:
    """The method and, in short, its request: ``shop.Cart/Get {"id": 7}``."""
    target = plan.subjects.get(configuration, StoredTarget())
    level = _levels(plan, configuration)
    if target.mix:
        each = zip(target.mix, shares([one.weight for one in target.mix]), strict=True)
        return "; ".join(f"{qty.percent_as_set(part)} {one.method} {_short(one.data or '{}')}" for one, part in each)
    if target.has_call and not target.call:
        return f"the calls of {str(target.data)[1:]}"
    if target.call:
        request = target.data or "{}"
        method = target.call.removeprefix("/")
    else:
        method = f"{GREETER}/{level('load.method')}"
        size = level("load.request_bytes")
        request = f"with a name of {size:,} bytes" if isinstance(size, int) and size else '{"name": "world"}'
    keys = [word.partition("=")[0] for word in target.metadata]
    metadata = f", metadata {', '.join(keys)}" if keys else ""
    return f"{method} {_short(request)}{metadata}"


def load_words(plan: StudyPlan, configuration: str) -> str:
    """Calls in flight or a rate, how long, by which engine over how many connections, the streams and the link."""
    level = _levels(plan, configuration)
    rate = level("load.rate_rps")
    parts = [f"{level('load.concurrency'):,} calls in flight" if rate is None else f"{rate:,g} calls/s (open loop)"]
    if (calls := level("load.requests")) is not None:
        parts.append(f"{calls:,} calls per trial")
    if (seconds := level("load.duration_s")) is not None:
        parts.append(f"{'at most ' if calls is not None else ''}{qty.duration(float(seconds))}")
    pooling = level("client.pooling")
    connections = int(level("client.connections") or 1) if pooling == "pool" else 1
    parts.append(
        "one connection per call" if pooling == "per_call" else qty.count(connections, "connection", "connections")
    )
    parts.append(f"engine {level('load.engine')}")
    further = [name for name in FACTORS if name.startswith(_FURTHER) and level(name) != FACTORS[name].default]
    parts += [f"{name}={format_level(level(name))}" for name in further]
    return ", ".join(parts)


def lab_words(versions: Mapping[str, Json]) -> str:
    """The lab and its load generator by their versions: these are not the server's."""
    programs = [f"{name.replace('python', 'Python')} {versions[name]}" for name in _LAB if versions.get(name)]
    return f"grpclab {versions.get('grpclab') or ''} and its load generator: {', '.join(programs)}".replace("  ", " ")


def server_versions(plan: StudyPlan, servers: Mapping[str, StoredProgram] | None) -> Pairs:
    """The configurations by the versions of what hosts their applications; empty where no version is known."""
    titles = {planned.name: planned.title for planned in plan.configurations}
    known = {name: text for name, program in (servers or {}).items() if (text := _versions(program))}
    if len(set(known.values())) == 1 and set(known) >= set(titles):
        return [("every server", text) for text in set(known.values())]
    found: dict[str, list[str]] = {}
    for name, text in known.items():
        found.setdefault(text, []).append(titles.get(name, name))
    return [(_some(names), text) for text, names in found.items()]


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return "; ".join([*names[:MOST_NAMES], *([f"{more} more"] if more > 0 else [])])


def _versions(program: StoredProgram) -> str:
    return ", ".join(f"{name.replace('python', 'Python')} {version}" for name, version in program.versions.items())


def _server(plan: StudyPlan, name: str, servers: Mapping[str, StoredProgram]) -> str:
    title = next((planned.title for planned in plan.configurations if planned.name == name), name)
    label = title.removeprefix(f"{name.upper()}: ")
    if swept := _swept(plan, name):
        label = f"{label} ({swept})"
    target = plan.subjects.get(name, StoredTarget())
    if target.kind == "greeter":
        return f"{label}, grpclab's own server"
    if target.address:
        return (
            f"{label}; already running at {target.address}: each block opens new connections but does not start a "
            "fresh server"
        )
    program = servers.get(name, StoredProgram())
    versions = [text] if (text := _versions(program)) else []
    if target.app:
        return "; ".join([label, f"application {target.app}", *versions, *_together(program.files), *_commit(program)])
    shown = [_file(file) for file in program.files[:MOST_FILES]]
    if (more := len(program.files) - MOST_FILES) > 0:
        shown.append(f"{more} more files")
    started = f"started by: {' '.join(target.command.split())}"
    return "; ".join([label, *shown, *versions, *_commit(program), started])


def _together(files: Sequence[StoredFile]) -> list[str]:
    """The files of an application in a few words: the digest is another one where any of them is."""
    if len(files) < 2:
        return [_file(file) for file in files]
    lines = "".join(sorted(f"{file.name} {file.sha256}\n" for file in files))
    return [f"{len(files)} files, combined SHA-256 {hashlib.sha256(lines.encode()).hexdigest()[:12]}"]


def _swept(plan: StudyPlan, name: str) -> str:
    """The levels of the factors that a study varies around this configuration; "" where it varies none."""
    factors = list(dict.fromkeys(sweep.factor for sweep in plan.sweeps if sweep.base == name))
    planned = next((one.settings for one in plan.configurations if one.name == name), {})
    levels = {factor: planned.get(factor, FACTORS[factor].default if factor in FACTORS else None) for factor in factors}
    return ", ".join(setting_word(factor, level) for factor, level in levels.items())


def _file(file: StoredFile) -> str:
    version = f", {file.version}" if file.version else ""
    return f"{file.name}{version}, {file.bytes:,} bytes, SHA-256 {file.sha256[:12]}"


def _commit(program: StoredProgram) -> list[str]:
    """The git commit of a program's folder, if it has one."""
    changed = " with changes" if program.dirty else ""
    return [f"commit {program.commit[:12]}{changed}"] if program.commit else []


def _levels(plan: StudyPlan, configuration: str) -> Callable[[str], Level]:
    """The level of each factor in a configuration: what the plan does not set is at its default."""
    settings: Mapping[str, Level] = next((c.settings for c in plan.configurations if c.name == configuration), {})
    return lambda name: settings.get(name, FACTORS[name].default)


def _short(request: str) -> str:
    try:
        text = json.dumps(json.loads(request), ensure_ascii=False)
    except ValueError:
        text = " ".join(request.split())
    return text if len(text) <= LONGEST_REQUEST else f"{text[: LONGEST_REQUEST - 1]}…"
