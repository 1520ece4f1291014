"""The options of ghz in the words of ``grpclab bench``. Pure: words go in, words come out.

An option of ghz that means the same as one of bench works under its own name; the others have a hint. The same holds
for the keys of a configuration: :mod:`grpclab.load.output.ghz_config`. ghz: https://ghz.sh/docs/options
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence

from grpclab.errors import UsageError, invalid
from grpclab.load.output.ghz_config import (
    FORMATS,
    OF_CONCURRENCY,
    OF_SCHEDULE,
    OF_TLS,
    REFUSED,
    concurrency_schedule,
    schedule,
)
from grpclab.system.inputs import STDIN

SAME = {
    "--total": "--requests",
    "--rps": "--rate",
    "-x": "--duration",
    "--max-duration": "--duration",
    "-t": "--deadline",
    "--timeout": "--deadline",
    "-d": "--data",
    "-D": "--data-file",
    "-M": "--metadata-file",
    "-O": "--format",
    "--cname": "--server-name",
}
"""Options that have another name in bench."""
_CONCURRENCY = ("-c", "--concurrency")
_METADATA, _PATHS = ("-m", "--metadata"), ("-i", "--import-paths")
_BINARY, _BINARY_FORMAT = ("-B", "--binary-file"), "--data-format=binary"
_SWITCHES = {
    "--insecure": (),
    "--count-errors": (),
    "--async": (),
    "--skipTLS": ("--insecure-skip-verify",),
    "-e": ("--set=client.compression=gzip",),
    "--enable-compression": ("--set=client.compression=gzip",),
    "-b": (f"--data-file={STDIN}", _BINARY_FORMAT),
    "--binary": (f"--data-file={STDIN}", _BINARY_FORMAT),
    "--stream-dynamic-messages": ("--set=load.stream_dynamic=true",),
}
"""Options without a value, or with true or false; those that stand for nothing say what bench does anyway."""
_RATES = {"-r", "--rate", "--rps"}
_ATTACHED = {"-x", "-t", "-d", "-D", "-M", "-O", "-m", "-i", "-B"}
"""Short options that take a value, which may follow without a blank; click reads bench's own ones so."""
HINTS = {
    **{f"--{key}": reason for key, reason in REFUSED.items() if key not in OF_SCHEDULE},
    "--skipFirst": "use --warmup TIME, since a warm-up is a time here",
    "--cpus": "use --workers N, the number of generator processes",
    "-T": "use --connect-timeout TIME",
    "-L": "use --set client.keepalive_s=TIME",
    "--reflect": "reflection is used unless --proto or --protoset is given",
}
"""What to do instead of the options that have no counterpart."""


def in_our_words(words: Sequence[str]) -> list[str]:
    """The words of a command line with bench's options for those of ghz. Raises UsageError."""
    left, done, schedule_keys = list(words), list[str](), dict[str, str]()
    _check_together(words)
    while left:
        word = left.pop(0)
        if word[:2] in _ATTACHED and word[2:3] not in ("", "="):  # -Ojson
            word, value = word[:2], word[2:]
            left.insert(0, value)
        if word == "--":
            done += [word, *left]
            break
        name, equals, value = word.partition("=")
        if name in _SWITCHES and value in ("", "true", "false"):
            done += _SWITCHES[name] if value != "false" else ()
            continue
        if not _takes_value(name):
            done.append(word)
            continue
        if not equals and not left:  # the missing value is refused by bench's option
            done.append(SAME.get(name, name))
            break
        value = value if equals else left.pop(0)
        if (key := name.removeprefix("--")) in (*OF_SCHEDULE, *OF_CONCURRENCY):
            schedule_keys[key] = value
        else:
            done += _given(name, value)
    if rate := schedule(_of(schedule_keys, OF_SCHEDULE), "", "--"):
        done = [f"--rate={rate}", *done]
    if concurrency := concurrency_schedule(_of(schedule_keys, OF_CONCURRENCY), "", "--"):
        if rate or _RATES & {word.partition("=")[0] for word in words}:
            raise UsageError(
                "--concurrency-schedule cannot be combined with a rate: use --max-in-flight to limit the calls in "
                "flight"
            )
        done = [f"--concurrency={concurrency}", *_without_concurrency(done)]
    return done


def _of(given: Mapping[str, str], keys: Collection[str]) -> dict[str, str]:
    return {key: value for key, value in given.items() if key in keys}


def _without_concurrency(words: Sequence[str]) -> Iterator[str]:
    """Yield the words but for a constant concurrency: a schedule takes its place, as in ghz."""
    left = iter(words)
    for word in left:
        if word in _CONCURRENCY:
            next(left, None)
        elif not word.startswith(tuple(f"{name}=" for name in _CONCURRENCY)):
            yield word


def _takes_value(name: str) -> bool:
    key = name.removeprefix("--") if name.startswith("--") else ""
    others = (*_METADATA, *_PATHS, *_BINARY, "--format", "--keepalive", "--host")
    return name in SAME or name in others or key in (*OF_SCHEDULE, *OF_CONCURRENCY)


def _given(name: str, value: str) -> list[str]:
    """One option with its value."""
    if name in _METADATA:
        return [f"--metadata={pair}" for pair in _pairs(name, value)]
    if name in _PATHS:
        return [f"--proto-path={path}" for path in value.split(",")]
    if name in _BINARY:
        return [f"--data-file={value}", _BINARY_FORMAT]
    if name == "--keepalive":
        return [f"--set=client.keepalive_s={value}"]
    if name == "--host":
        return [value]
    ours = SAME.get(name, name)
    return [f"{ours}={FORMATS.get(value, value) if ours == '--format' else value}"]


def _pairs(name: str, value: str) -> list[str]:
    """The ``key=value`` words of metadata: as they are, or of an object in JSON."""
    if not value.lstrip().startswith("{"):
        return [value]
    try:
        table = json.loads(value)
    except ValueError:
        table = None
    if not isinstance(table, dict) or not all(isinstance(one, str) for one in table.values()):
        raise UsageError(invalid(name, value, 'key=value, or a JSON object of strings, e.g. {"tenant": "a"}'))
    return [f"{key}={one}" for key, one in table.items()]


def _check_together(words: Sequence[str]) -> None:
    """Raise UsageError where ghz's words contradict each other."""
    names = [word.partition("=")[0] for word in words]
    if "--insecure" in names and (of_tls := next((f"--{one}" for one in OF_TLS if f"--{one}" in names), None)):
        raise UsageError(f"--insecure means plain text, but {of_tls} is a TLS option: remove one of them")
    if "--load-schedule" in names and _RATES & set(names) and not {"const", "--load-schedule=const"} & set(words):
        raise UsageError("--load-schedule and --rate both set the rate: remove one of them")
    if "--async" in names and not (_RATES | {"--load-schedule"}) & set(names):
        raise UsageError("--async requires a rate, so that calls are sent when they are due: add --rps")
