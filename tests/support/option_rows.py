"""What every option of every command does: a row says what it changes in what the command is asked for."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass

from grpclab.study.parameters import DESIGNS, OF_FEATURES


@dataclass(frozen=True, kw_only=True)
class Acts:
    """With `words`, what is seen under the key `proof` differs from what is seen without them, `after` the others."""

    words: str
    proof: str
    after: str = ""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Exit code 2, and one line that says where it belongs."""

    words: str
    where: str


@dataclass(frozen=True, kw_only=True)
class NoEffect:
    """Goes on, and says of `name` that it has no effect."""

    words: str
    name: str


Row = Acts | Refused | NoEffect
QUIET: list[Row] = [Acts(words="-q", proof="quiet")]
VERBOSE: list[Row] = [Acts(words="-v", proof="verbose")]
REDACT: list[Row] = [Acts(words="--redact tenant", proof="tenant_is_secret")]
CALL = "--call a.B/C"
MIXED = "--call a.B/D=3 --call a.B/E"
COMMANDS = f"--a-cmd 'true {{port}}' --b-cmd 'true {{port}}' {CALL}"
STORED = "results/x:a results/y:b"
NOT_STORED = "stored results are compared as they were measured"
APP = "--app a:b"
IN_TWO = "another option already sets target.rev; use only one of them"
CALLED = f"{APP} {CALL}"
TARGET_ROWS: dict[str, list[Row]] = {
    "app": [Acts(words=CALLED, proof="a.call.target.app"), Refused(words=f"basic basic {APP}", where="got ")],
    "cmd": [Acts(words=f"--cmd 'true {{port}}' {CALL}", proof="a.call.target.command")],
    "address": [Acts(words=f"--address localhost:1 {CALL}", proof="b.call.target.address")],
    "python": [
        Acts(words="--python python3", proof="a.call.target.python", after=CALLED),
        Refused(words="--address localhost:1 --python python3", where="it only works with --app"),
    ],
    "app_dir": [Acts(words="--app-dir .", proof="a.call.target.app_dir", after=CALLED)],
    "cwd": [Acts(words="--cwd .", proof="a.call.target.cwd", after=COMMANDS)],
    "ready": [Acts(words="--ready health", proof="a.call.target.ready", after=COMMANDS)],
    "prepare": [Acts(words="--prepare true", proof="a.call.target.prepare", after=CALLED)],
    "cleanup": [Acts(words="--cleanup true", proof="b.call.target.cleanup", after=CALLED)],
    **{
        f"{side}_{option}": [Acts(words=f"--{side}-{option} {word}", proof=f"{side}.call.target.{field}", after=after)]
        for side, other in (("a", "b"), ("b", "a"))
        for option, word, field, after in (
            ("app", "c:d", "app", f"--{other}-app a:b {CALL}"),
            ("address", "localhost:1", "address", f"--{other}-app a:b {CALL}"),
            ("python", "python3", "python", CALLED),
            ("dir", ".", "app_dir", CALLED),
        )
    },
}
AT = f"{CALLED} --app-dir repository"
IS_NONE = "has none"
NO_COMMIT = "expected a commit, a tag or a branch"
PLACEMENT_ROWS: dict[str, list[Row]] = {
    **{
        option: [
            Acts(words=f"--{option.replace('_', '-')} v1", proof=f"{side}.config.target.rev", after=AT),
            Acts(words=f"--{option.replace('_', '-')} worktree", proof=f"{side}.config.target.rev", after=AT),
            Refused(words=f"{AT} --{option.replace('_', '-')} v2", where=NO_COMMIT),
            Refused(words=f"{CALLED} --{option.replace('_', '-')} v1", where="expected a target in a git repository"),
            Refused(words=f"{AT} --{option.replace('_', '-')} v1 --{side}-set target.rev=v1", where=IN_TWO)
            if option != "rev"
            else Refused(words=f"{AT} --rev v1 --set target.rev=v1", where=IN_TWO),
            Refused(words=f"basic basic --{option.replace('_', '-')} v1", where=IS_NONE),
        ]
        for option, side in (("rev", "b"), ("a_rev", "a"), ("b_rev", "b"))
    },
    **{
        option: [
            Acts(
                words=f"--{option.replace('_', '-')} six==1.0", proof=f"{side}.config.target.requirements", after=CALLED
            ),
            Refused(words=f"{CALLED} --{option.replace('_', '-')} six==", where="as pip reads it"),
            Refused(words=f"{COMMANDS} --{option.replace('_', '-')} six", where=IS_NONE),
        ]
        for option, side in (("requirements", "b"), ("a_requirements", "a"), ("b_requirements", "b"))
    },
}
LOAD_ROWS: dict[str, list[Row]] = {
    "requests": [Acts(words="-n 7", proof="config.load.requests")],
    "duration": [Acts(words="-z 3", proof="config.load.duration_s")],
    "warmup": [Acts(words="--warmup 3", proof="config.load.warmup_s")],
    "concurrency": [
        Acts(words="-c 3", proof="config.load.concurrency"),
        NoEffect(words="-c 3 --rate 100 -n 5", name="load.concurrency"),
        Refused(words="-c 3 --set load.concurrency=4", where="another option already sets load.concurrency"),
    ],
    "rate": [
        Acts(words="--rate 100", proof="config.load.rate_rps"),
        Refused(words="--rate 5 --set load.rate_rps=4", where="use only one of them"),
    ],
    "connections": [
        Acts(words="--connections 3", proof="config.client.connections"),
        Refused(words="--connections 3 --set client.pooling=pool", where="another option already sets client.pooling"),
    ],
    "arrival": [
        Acts(words="--arrival poisson", proof="config.load.arrival", after="--rate 100"),
        Acts(words="--arrival replay:times.txt", proof="config.load.rate_rps"),
        Acts(words="--arrival replay:times.txt@4", proof="config.load.rate_rps", after="--arrival replay:times.txt"),
        NoEffect(words="--arrival poisson", name="load.arrival"),
        Refused(words="--arrival replay:times.txt@4 --rate 9", where="no @SPEED"),
        Refused(words="--arrival poisson --set load.arrival=burst:5", where="another option already sets load.arrival"),
    ],
    "engine": [Acts(words="--engine grpcio", proof="config.load.engine")],
    "deadline": [Acts(words="--deadline 3", proof="config.client.deadline_s")],
}

CALL_ROWS: dict[str, list[Row]] = {
    "call": [
        Acts(words=CALL, proof="call.name"),
        Acts(words=MIXED, proof="call.mix"),
        Refused(words="--call a.B/C=none --call a.B/D", where="expected METHOD or METHOD=WEIGHT"),
        Refused(words=f"{MIXED} --check reply.x>0", where="applies to a single call, but several calls are given"),
        Refused(words=f"{CALL} --set load.method=SayHello", where="load.method applies only to grpclab's own greeter"),
    ],
    "data": [
        Acts(words="--data {}", proof="call.data", after=CALL),
        Acts(words="--data {}", proof="call.mix", after=MIXED),
        Refused(words="--data {}", where="add --call"),
        Refused(words=f"{MIXED} --data {{}} --data {{}} --data {{}}", where="is given 3 times for 2 --call"),
    ],
    "data_file": [
        Acts(words="--data-file request.json", proof="call.data", after=CALL),
        Refused(words="--data-file request.json", where="add --call"),
    ],
    "data_format": [
        Acts(words="--data-format jsonl", proof="call.options", after=CALL),
        Refused(words="--data-format jsonl", where="add --call"),
        Refused(words=f"{CALL} --data-format xml", where="--data-format"),
    ],
    "data_order": [
        Acts(words="--data-order random", proof="call.options", after=CALL),
        Refused(words="--data-order random", where="add --call"),
    ],
    "data_repeat": [
        Acts(words="--data-repeat", proof="call.options", after=CALL),
        Refused(words="--data-repeat", where="add --call"),
    ],
    "check": [
        Acts(words="--check reply.x>0", proof="call.check", after=CALL),
        Refused(words="--check reply.x>0", where="add --call"),
    ],
    "protoset": [
        Acts(words="--protoset a.binpb", proof="call.proto", after=CALL),
        Refused(words="--protoset a.binpb", where="add --call"),
        Refused(words=f"{CALL} --proto a.proto --protoset a.binpb", where="protoset"),
    ],
    "metadata": [Acts(words="--metadata a=b", proof="call.metadata", after=CALL)],
    "metadata_file": [
        Acts(words="--metadata-file metadata.txt", proof="call.metadata", after=CALL),
        Acts(words="--metadata-file metadata.txt", proof="call.metadata"),
    ],
    "proto": [
        Acts(words="--proto a.proto", proof="call.proto", after=CALL),
        Refused(words="--proto a.proto", where="add --call"),
    ],
    "proto_path": [
        Acts(words="--proto-path .", proof="call.proto_path", after=f"{CALL} --proto a.proto"),
        Refused(words=f"{CALL} --proto-path .", where="add --proto"),
        Refused(words="--proto-path .", where="add --call"),
    ],
}


SECURITY_ROWS: dict[str, list[Row]] = {
    "tls": [Acts(words="--tls", proof="security.tls")],
    "cacert": [
        Acts(words="--cacert ca.pem", proof="security.tls"),
        Acts(words="--cacert ca.pem", proof="security.options"),
        Refused(words="--cacert nothing.pem", where="invalid --cacert=nothing.pem: expected a readable PEM file"),
        Refused(words="--cacert metadata.txt", where="expected a PEM certificate"),
        Refused(words="--cacert ca.pem --insecure-skip-verify", where="expected no --insecure-skip-verify"),
    ],
    "cert": [
        Acts(words="--cert client.pem --key client.key", proof="security.certificate"),
        Refused(words="--cert client.pem", where="--cert requires --key"),
    ],
    "key": [
        Acts(words="--cert client.pem --key client.key", proof="security.key"),
        Refused(words="--key client.key", where="--key requires --cert"),
        Refused(words="--cert client.pem --key client.pem", where="expected a private key in PEM"),
    ],
    "server_name": [
        Acts(words="--server-name shop", proof="security.server_name", after="--tls"),
        Refused(words="--server-name shop", where="--server-name requires --tls"),
        Refused(words="--tls --server-name a/b", where="expected a host name"),
    ],
    "authority": [Acts(words="--authority shop", proof="security.authority")],
    "insecure_skip_verify": [Acts(words="--insecure-skip-verify", proof="security.verify")],
}


CEILINGS = "--max-rate 9 --max-calls 9 --max-time 9"
ELSEWHERE = f"--address 192.0.2.1:7 {CALL}"
REMOTE_ROWS: dict[str, list[Row]] = {
    "allow_remote": [
        Acts(words=f"--allow-remote {CEILINGS}", proof="allowance.calls"),
        Refused(words="--allow-remote", where="add --max-rate, --max-calls, --max-time"),
        Refused(words="--allow-remote --max-rate 9 --max-time 9", where="add --max-calls"),
    ],
    **{
        option.replace("-", "_"): [
            Acts(words=f"--{option} 8", proof=f"allowance.{field}", after=f"--allow-remote {CEILINGS}"),
            Refused(words=f"--{option} 9", where=f"--{option} requires --allow-remote"),
            Refused(words=f"--{option} 0 --allow-remote", where="invalid" if option == "max-calls" else "add"),
        ]
        for option, field in (("max-rate", "rate_rps"), ("max-calls", "calls"), ("max-time", "time_s"))
    },
}


def called_rows(words: str, proof: str) -> list[Row]:
    """The rows of an option of `grpclab call` that only a call takes."""
    where = f"{words.split(maxsplit=1)[0]} only works with a call: grpclab call METHOD ADDRESS"
    return [Acts(words=words, proof=f"called.{proof}", after="a.B/C"), Refused(words=f"list {words}", where=where)]


IN_SOURCE: dict[str, list[Row]] = {
    name: [row for row in rows if not isinstance(row, NoEffect)] for name, rows in (SECURITY_ROWS | REMOTE_ROWS).items()
}


def in_compare(rows: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
    """The same between two variants, and refused between two stored results."""

    def moved(row: Row) -> Row:
        if isinstance(row, Acts):
            after, proof = f"basic optimized {row.after}".strip(), re.sub("^(config|call)", r"b.\1", row.proof)
            return Acts(words=row.words, proof=proof, after=after)
        return dataclasses.replace(row, words=f"basic optimized {row.words}")

    return {
        option: [
            *map(moved, row),
            Refused(words=f"{STORED} {row[0].words}", where=NOT_STORED),
        ]
        for option, row in rows.items()
    }


def hosted_rows(seen: str, *, other: str, app: str = CALLED) -> dict[str, list[Row]]:
    """The rows of ``--app`` and what belongs to it, where the target is noted as `seen`; `other` names a server."""
    further = (("python", "python3"), ("app_dir", "."), ("cwd", "."))
    return {
        "app": [
            Acts(words=app, proof=f"{seen}.app"),
            Refused(words=f"{other} {APP}", where=f"{other} and --app both specify the server"),
        ],
        **{
            field: [
                Acts(words=f"--{field.replace('_', '-')} {word}", proof=f"{seen}.{field}", after=app),
                Refused(words=f"{other} --{field.replace('_', '-')} {word}", where="it only works with --app"),
            ]
            for field, word in further
        },
    }


ENDS = "--good v1 --bad main"
OF_AN_APP = f"{ENDS} {AT}"
OF_A_COMMAND = f"{ENDS} --cwd repository --cmd 'true {{port}}' {CALL}"


def in_bisect(rows: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
    """The same of options that compare two variants, for an application at two revisions."""

    def moved(row: Row) -> Row:
        if isinstance(row, Acts):
            further, proof = row.after.removeprefix(CALL), re.sub("^(config|call)", r"b.\1", row.proof)
            return Acts(words=row.words, proof=proof, after=f"{OF_AN_APP} {further}".strip())
        before = OF_AN_APP if isinstance(row, NoEffect) else f"{ENDS} {APP} --app-dir repository"
        return dataclasses.replace(row, words=f"{before} {row.words}")

    return {option: [moved(row) for row in found] for option, found in rows.items()}


BISECT_ROWS: dict[str, list[Row]] = {
    "quiet": [Acts(words="-q", proof="quiet", after=OF_AN_APP)],
    "verbose": [Acts(words="-v", proof="verbose", after=OF_AN_APP)],
    "redact": [Acts(words="--redact tenant", proof="tenant_is_secret", after=OF_AN_APP)],
    "good": [
        Acts(words="--good v1", proof="good", after=f"--bad main {AT}"),
        Refused(words=f"--bad main {AT}", where="--good is missing"),
        Refused(words=f"--good v2 --bad main {AT}", where=f"invalid --good=v2: {NO_COMMIT}"),
        Refused(words=f"--good main --bad v1 {AT}", where="expected an ancestor of"),
    ],
    "bad": [
        Acts(words="--bad main", proof="bad", after=f"--good v1 {AT}"),
        Refused(words=f"--good v1 {AT}", where="--bad is missing"),
        Acts(words="--bad worktree", proof="bad", after=f"--good v1 {AT}"),
        Refused(words=f"--good v1 --bad nothing {AT}", where=f"invalid --bad=nothing: {NO_COMMIT}"),
    ],
    "app": [
        Acts(words="--app a:c", proof="a.call.target.app", after=OF_AN_APP),
        Refused(words=ENDS, where="expected --app MODULE:NAME or --cmd COMMAND"),
        Refused(words=f"{ENDS} {CALLED}", where="invalid --app=a:b: expected a target in a git repository"),
        Refused(words=f"{ENDS} {CALL} --app c:b --app-dir repository", where="expected a revision with the module c"),
    ],
    "cmd": [
        Acts(words="--cmd 'true -x {port}'", proof="a.call.target.command", after=OF_A_COMMAND),
        Refused(words=f"{OF_A_COMMAND} {APP}", where="both specify the target"),
    ],
    "python": [
        Acts(words="--python python3", proof="a.call.target.python", after=OF_AN_APP),
        Refused(words=f"{OF_A_COMMAND} --python python3", where="it only works with --app"),
    ],
    "app_dir": [Acts(words="--app-dir repository", proof="b.call.target.app_dir", after=f"{ENDS} {CALLED}")],
    "cwd": [Acts(words="--cwd repository", proof="b.call.target.cwd", after=f"{ENDS} --cmd 'true {{port}}' {CALL}")],
    "ready": [Acts(words="--ready health", proof="a.call.target.ready", after=OF_A_COMMAND)],
    "prepare": [Acts(words="--prepare true", proof="a.call.target.prepare", after=OF_A_COMMAND)],
    "cleanup": [Acts(words="--cleanup true", proof="b.call.target.cleanup", after=OF_A_COMMAND)],
    "requirements": [Acts(words="--requirements six==1.0", proof="a.config.target.requirements", after=OF_AN_APP)],
    "settings": [
        Acts(words="--set server.threads=4", proof="b.config.server.threads", after=OF_AN_APP),
        NoEffect(words=f"{OF_AN_APP} --set client.connections=9", name="client.connections"),
        Refused(words=f"{OF_AN_APP} --set target.rev=v1", where="--good and --bad already set the revisions"),
        Refused(words=f"{OF_A_COMMAND} --set server.threads=4", where="but a command starts"),
    ],
    "start_timeout": [Acts(words="--start-timeout 7", proof="steps.start_timeout_s", after=OF_AN_APP)],
    **{
        option: [
            Acts(
                words=f"--{option.replace('_', '-')} {word}".strip(),
                proof="b.security",
                after=f"{OF_A_COMMAND} {with_}".strip(),
            ),
            Refused(
                words=f"{OF_AN_APP} --{option.replace('_', '-')} {word} {with_}".strip(),
                where="for --app, set server.tls",
            ),
        ]
        for option, word, with_ in (
            ("tls", "", ""),
            ("cacert", "ca.pem", ""),
            ("cert", "client.pem --key client.key", ""),
            ("key", "client.key --cert client.pem", ""),
            ("server_name", "shop", "--tls"),
            ("authority", "shop", ""),
            ("insecure_skip_verify", "", ""),
        )
    },
    **in_bisect(CALL_ROWS | LOAD_ROWS),
    "call": [
        Acts(words="--call a.B/D", proof="b.call.name", after=f"{ENDS} {APP} --app-dir repository"),
        Acts(words="--call a.B/D=3", proof="b.call.mix", after=OF_AN_APP),
        Refused(words=f"{ENDS} {APP} --app-dir repository", where="--call is missing"),
    ],
    "ignore_fields": [
        Acts(words="--ignore-fields time,id", proof="b.call.ignore_fields", after=OF_AN_APP),
        Refused(words=f"{OF_AN_APP} --ignore-fields time,,", where="separated by commas"),
    ],
    "blocks": [
        Acts(words="--blocks 7", proof="steps.blocks", after=OF_AN_APP),
        Refused(words=f"{OF_AN_APP} --blocks 1", where="auto, or a whole number from 2"),
    ],
    "budget": [Acts(words="--budget 3m", proof="steps.budget_s", after=OF_AN_APP)],
    "exclusive": [Acts(words="--exclusive", proof="steps.exclusive", after=OF_AN_APP)],
    "min_effect": [Acts(words="--min-effect 7%", proof="steps.delta", after=OF_AN_APP)],
    "seed": [Acts(words="--seed 7", proof="steps.seed", after=OF_AN_APP)],
    "study": [
        Acts(words="--study mine", proof="steps.name", after=OF_AN_APP),
        Refused(words=f"{OF_AN_APP} --study {'x' * 41}", where="at most 40 characters"),
    ],
    "allow_inconclusive": [Acts(words="--allow-inconclusive", proof="code", after=OF_AN_APP)],
    "json": [Acts(words="--json out.json", proof="files", after=OF_AN_APP)],
}


GO_WITH_FILES = {"study": "name", "budget": "budget_s"}
"""Parameters of a study that may be given beside a file, and what they change."""
RECORD = "--listen 5 --to localhost:1 -o x.calls"
"""What a recording cannot do without."""
OPTIONS: dict[str, dict[str, list[Row]]] = {
    "serve": {
        "quiet": [Acts(words="basic -q", proof="quiet")],
        "verbose": [Acts(words="basic -v", proof="log_level", after="")],
        "redact": [Acts(words="basic --redact tenant", proof="tenant_is_secret", after="")],
        "settings": [
            Acts(words="--set server.threads=4", proof="settings.server.threads", after="basic"),
            Refused(words="reference --set server.threads=4", where="its own options"),
            NoEffect(words="basic --set server.event_loop=uvloop", name="server.event_loop"),
        ],
        **hosted_rows("target", other="basic", app=APP),
        "variant": [
            Acts(words="basic", proof="name"),
            Refused(words="fast", where="basic, optimized, production or reference"),
        ],
        "port": [Acts(words="--port 5", proof="port", after="basic")],
        "host": [
            Acts(words="--host 127.0.0.2", proof="host", after="basic"),
            Refused(words="basic --host 127.0.0.256", where="--host=127.0.0.256"),
        ],
        "certs": [
            Acts(words="--certs made", proof="certs", after="basic"),
            Acts(words="--certs made", proof="settings.server.tls_reload", after="basic"),
            Acts(words="--certs made", proof="certs", after=APP),
            Refused(words="basic --certs made --set server.tls=false", where="use only one of them"),
            Refused(words="basic --certs fresh", where="server.pem: No such file or directory"),
            Refused(words="reference --certs made", where="has no TLS"),
        ],
        "drain_delay": [
            Acts(words="--drain-delay 7s", proof="drain_delay_s", after="basic"),
            Acts(words="--drain-delay 7s", proof="drain_delay_s", after=APP),
            Refused(words="basic --drain-delay -1", where="invalid --drain-delay=-1: expected a time from 0"),
            Refused(words="reference --drain-delay 7s", where="has no health service"),
        ],
        "desk_host": [
            Acts(words="--desk-host 127.0.0.2", proof="diagnostics.host", after="basic"),
            Acts(words="--desk-host 127.0.0.2", proof="diagnostics.host", after=APP),
            Refused(words="reference --desk-host 127.0.0.2", where="reference has no diagnostics server"),
            Refused(words="basic --desk-host 127.0.0.256", where="--desk-host=127.0.0.256"),
        ],
        **{
            option: [
                Acts(words=words, proof=f"spec.{field or option}", after="reference"),
                Refused(words=f"basic {words}", where="works only with `serve reference`"),
            ]
            for option, words, field in (
                ("service_time", "--service-time constant:1ms", ""),
                ("pacing", "--pacing timer", ""),
                ("stall", "--stall 1s@3s", "stalls"),
                ("error", "--error 1%:UNAVAILABLE", "errors"),
                ("response_bytes", "--response-bytes 5", ""),
                ("stream_messages", "--stream-messages 7", ""),
                ("stream_interval_ms", "--stream-interval-ms 7", ""),
                ("max_concurrent_streams", "--max-concurrent-streams 7", ""),
                ("window_kib", "--window-kib 7", ""),
                ("no_residence", "--no-residence", "residence"),
                ("fault", "--fault goaway:7", ""),
            )
        },
        "seed": [
            Acts(words="--seed 7", proof="spec.seed", after="reference --service-time exponential:1ms"),
            NoEffect(words="reference --seed 7", name="--seed"),
            Refused(words="basic --seed 7", where="works only with `serve reference`"),
        ],
    },
    "bench": {
        "quiet": QUIET,
        "verbose": VERBOSE,
        "redact": REDACT,
        "settings": [
            Acts(words="--set load.requests=7", proof="config.load.requests"),
            Refused(words="--set server.threads=1", where="grpclab serve basic --set server.threads=1"),
            Refused(words="--set server.tls=true", where="expected --tls instead"),
            NoEffect(words="--set client.connections=9", name="client.connections"),
        ],
        "cluster": [Acts(words="--cluster local:2", proof="cluster")],
        "on_lost_worker": [
            Acts(words="--on-lost-worker continue", proof="on_lost_worker", after="--cluster local:2"),
            Refused(words="--on-lost-worker continue", where="works only with --cluster"),
        ],
        "config": [Acts(words="--config bench.toml", proof="config.load.requests")],
        "target": [Acts(words="localhost:7", proof="target")],
        **hosted_rows("hosted", other="localhost:7"),
        **CALL_ROWS,
        **SECURITY_ROWS,
        **REMOTE_ROWS,
        "connect_timeout": [Acts(words="--connect-timeout 7", proof="connect_timeout_s")],
        **LOAD_ROWS,
        "concurrency": [
            *LOAD_ROWS["concurrency"],
            Acts(words="-c 5:50:5@1s", proof="config.load.arrival"),
            Acts(words="-c 5:60@1s", proof="config.load.concurrency"),
            Refused(words="-c 5:60@1s --rate 9", where="no --rate with a concurrency"),
            Refused(words="-c 5:60@1s --arrival ramp:0.1@9s", where="no --arrival with a concurrency"),
            Refused(words="-c 5:60", where="a ramp FROM:TO@TIME, e.g. 5:50@60s"),
        ],
        "speed": [
            Acts(words="--speed 4", proof="config.load.rate_rps", after="--arrival replay:times.txt"),
            Refused(words="--speed 4 --arrival replay:times.txt@2", where="no @SPEED"),
            Refused(words="--speed 4", where="--speed"),
            Refused(words="--speed 0 --arrival replay:times.txt", where="--speed=0"),
        ],
        "max_in_flight": [
            Acts(words="--max-in-flight 7", proof="config.load.max_in_flight", after="--rate 9"),
            Refused(words="--max-in-flight 7", where="add --rate"),
        ],
        "arrival": [
            Acts(words="--arrival poisson", proof="config.load.arrival", after="--rate 9"),
            Acts(words="--arrival steps:0.1,1@9s", proof="config.load.arrival"),
            Acts(words="--arrival gamma:0.5", proof="config.load.arrival", after="--rate 9"),
            Acts(words="--arrival ramp:0.1@9s", proof="config.load.arrival", after="--rate 9"),
            Refused(words="--arrival poisson", where="add --rate"),
            Refused(words="--arrival ramp:0.1@9s --rate 1:9@5s", where="no load shape with --rate FROM:TO@TIME"),
        ],
        "pacing": [
            Acts(words="--pacing timer", proof="config.load.pacing", after="--rate 9"),
            Refused(words="--pacing timer", where="add --rate"),
        ],
        "workers": [Acts(words="--workers 2", proof="config.load.workers")],
        "stream_interval": [Acts(words="--stream-interval 20ms", proof="config.load.stream_interval_s")],
        "stream_call_count": [
            Acts(words="--stream-call-count 7", proof="config.load.stream_messages"),
            Refused(words="--stream-call-count 0", where="stream-call-count=0: expected"),
        ],
        "stream_call_duration": [Acts(words="--stream-call-duration 7s", proof="config.load.stream_duration_s")],
        "seed": [
            Acts(words="--seed 7", proof="seed", after="--rate 9 --arrival poisson"),
            NoEffect(words="--seed 7", name="seed"),
            NoEffect(words="--seed 7 --rate 9", name="seed"),
        ],
        "slo": [Acts(words="--slo p99=5ms", proof="objectives")],
        "abort_on_slo": [
            Acts(words="--abort-on-slo", proof="abort", after="--slo p99=5ms"),
            Refused(words="--abort-on-slo", where="set --slo"),
        ],
        "format": [
            Acts(words="--format csv", proof="stdout"),
            Refused(words="--format csv --json -", where="use a different file for one of them"),
        ],
        "output": [Acts(words="-o out.txt", proof="files")],
        "json": [Acts(words="--json out.json", proof="files")],
        "name": [Acts(words="--name nightly", proof="stdout", after="--format json")],
        "tags": [
            Acts(words="--tags env=ci,team=shop", proof="stdout", after="--format json"),
            Refused(words="--tags ci", where="expected KEY=VALUE,KEY=VALUE"),
        ],
        "details": [
            Acts(words="--details", proof="stdout", after="--format json"),
            Refused(words="--details", where="add --json FILE or --format json"),
        ],
        "junit": [
            Acts(words="--junit out.xml", proof="files"),
            Refused(words="--junit out.xml --json out.xml", where="invalid --junit=out.xml: expected a separate file"),
        ],
        "github": [Acts(words="--github", proof="stderr")],
    },
    "study": {
        "quiet": QUIET,
        "verbose": VERBOSE,
        "redact": REDACT,
        **{
            name: [
                Acts(
                    words=f"--{name.replace('_', '-')} {word}",
                    proof=f"parameters.{name}",
                    after="--design production" if name in OF_FEATURES else "",
                ),
                *(
                    Refused(
                        words=f"--design {design} --{name.replace('_', '-')} {word}",
                        where=f"or use it with {next(one for one in DESIGNS if name not in DESIGNS[one].unused)}",
                    )
                    for design in DESIGNS
                    if name in DESIGNS[design].unused
                ),
                Refused(
                    words=f"--file study.toml --{name.replace('_', '-')} {word}", where="cannot be combined with --file"
                )
                if name not in GO_WITH_FILES
                else Acts(words=f"--{name} {word}", proof=GO_WITH_FILES[name], after="--file study.toml"),
                Refused(
                    words=f"--repeat results/x --{name.replace('_', '-')} {word}",
                    where="cannot be combined with --repeat",
                )
                if name != "study"
                else Acts(words="--study mine", proof="name", after="--repeat results/x"),
            ]
            for name, word in {
                "study": "mine",
                "design": "quick",
                "requests": "7",
                "concurrency": "3",
                "blocks": "9",
                "budget": "7m",
                "windows_kib": "7",
                "stream_limits": "7",
                "keepalive_s": "7",
                "pool_sizes": "7",
                "rtt_ms": "7",
                "engine": "wire",
                "profile": "false",
                "seed": "7",
                "max_trial_s": "7",
                "implementation": "asyncio",
                "rate": "70",
            }.items()
        },
        "cluster": [
            Acts(words="--cluster local:2", proof="cluster"),
            Acts(words="--cluster local:2", proof="cluster", after="--file study.toml"),
            Acts(words="--cluster local:2", proof="cluster", after="--repeat results/x"),
            Acts(words="--allow-remote", proof="open_scheduler", after="--cluster tcp://10.0.0.5:8786"),
            Acts(words="--cluster local:2", proof="cluster", after="--plan"),
        ],
        "file": [
            Acts(words="--file study.toml", proof="file"),
            Refused(words="--repeat results/x --file study.toml", where="cannot be combined with --repeat"),
        ],
        "exclusive": [
            Acts(words="--exclusive", proof="exclusive", after="--file study.toml"),
            Refused(words="--exclusive", where="--exclusive works only with --file"),
        ],
        "repeat": [Acts(words="--repeat results/x", proof="repeat")],
        "allow_remote": [
            Acts(words=f"--allow-remote {CEILINGS}", proof="allowance.calls", after="--file study.toml"),
            Refused(words="--file study.toml --allow-remote", where="add --max-rate, --max-calls, --max-time"),
            Refused(words=f"--allow-remote {CEILINGS}", where="works only with --file"),
            Refused(words=f"--repeat results/x --allow-remote {CEILINGS}", where="works only with --file"),
        ],
        **{
            option.replace("-", "_"): [
                Acts(
                    words=f"--{option} 8",
                    proof=f"allowance.{field}",
                    after=f"--file study.toml --allow-remote {CEILINGS}",
                ),
                Refused(words=f"--file study.toml --{option} 9", where=f"--{option} requires --allow-remote"),
            ]
            for option, field in (("max-rate", "rate_rps"), ("max-calls", "calls"), ("max-time", "time_s"))
        },
        "yes": [
            Acts(words="--yes", proof="consent", after="--repeat results/x"),
            Refused(words="--yes", where="--yes works only with --repeat"),
        ],
        "plan": [
            Acts(words="--plan", proof="foretold"),
            Refused(words="--plan --json plan.json", where="produces no result"),
        ],
        "json": [Acts(words="--json out.json", proof="files")],
    },
    "compare": {
        "quiet": [Acts(words="-q", proof="quiet", after="basic optimized")],
        "verbose": [Acts(words="-v", proof="verbose", after="basic optimized")],
        "redact": [Acts(words="--redact tenant", proof="tenant_is_secret", after="basic optimized")],
        "settings": [
            Acts(words="--set client.resend=true", proof="b.config.client.resend", after="basic optimized"),
            NoEffect(words="basic basic --set client.connections=9", name="client.connections"),
            Refused(words=f"{STORED} --set load.requests=7", where=NOT_STORED),
            Refused(words=f"{COMMANDS} --set server.threads=4", where="but a command starts"),
            Refused(words=f"{COMMANDS} --set server.threads=10", where="but a command starts"),
        ],
        "a": [Acts(words="basic basic", proof="a.config.client.pooling", after="")],
        "b": [Acts(words="basic basic", proof="b.config.client.pooling", after="")],
        **{
            f"{side}_set": [
                Acts(
                    words=f"--{side}-set server.threads=4", proof=f"{side}.config.server.threads", after="basic basic"
                ),
                Refused(words=f"{STORED} --{side}-set server.threads=4", where=NOT_STORED),
            ]
            for side in "ab"
        },
        "a_cmd": [
            Acts(words="--a-cmd 'true {port}'", proof="a.call.target.command", after=f"--b-cmd 'true {{port}}' {CALL}"),
            Refused(words="basic basic --a-cmd 'true {port}'", where="both"),
            Refused(words=f"{STORED} --a-cmd 'true {{port}}'", where=NOT_STORED),
        ],
        "b_cmd": [
            Acts(words="--b-cmd 'true {port}'", proof="b.call.target.command", after=f"--a-cmd 'true {{port}}' {CALL}"),
            Refused(words="basic basic --b-cmd 'true {port}'", where="both"),
            Refused(words=f"{STORED} --b-cmd 'true {{port}}'", where=NOT_STORED),
        ],
        **{
            f"{side}_name": [
                Acts(words=f"--{side}-name mine", proof=f"{side}.label", after="basic basic"),
                Acts(words=f"--{side}-name mine", proof=f"names.{side}", after=STORED),
            ]
            for side in "ab"
        },
        "start_timeout": [
            Acts(words="--start-timeout 7", proof="start_timeout_s", after=COMMANDS),
            Refused(words="basic basic --start-timeout 7", where="add --app, --a-cmd or --b-cmd"),
            Refused(words=f"{STORED} --start-timeout 7", where=NOT_STORED),
        ],
        **TARGET_ROWS,
        **{
            option: [*rows, Refused(words=f"{STORED} {rows[0].words}", where=NOT_STORED)]
            for option, rows in PLACEMENT_ROWS.items()
        },
        **in_compare(CALL_ROWS),
        **{
            option: [
                Acts(
                    words=f"--{option.replace('_', '-')} {word}".strip(),
                    proof="b.security",
                    after=f"{COMMANDS} {with_}",
                ),
                Refused(words=f"basic basic --{option.replace('_', '-')} {word} {with_}".strip(), where="server.tls"),
                Refused(words=f"{STORED} --{option.replace('_', '-')} {word} {with_}".strip(), where=NOT_STORED),
            ]
            for option, word, with_ in (
                ("tls", "", ""),
                ("cacert", "ca.pem", ""),
                ("cert", "client.pem --key client.key", ""),
                ("key", "client.key --cert client.pem", ""),
                ("server_name", "shop", "--tls"),
                ("authority", "shop", ""),
                ("insecure_skip_verify", "", ""),
            )
        },
        "allow_remote": [
            Acts(words=f"--allow-remote {CEILINGS}", proof="b.security", after=ELSEWHERE),
            Refused(words=ELSEWHERE, where="any other address needs --allow-remote"),
            Refused(words=f"{ELSEWHERE} --allow-remote", where="add --max-rate, --max-calls, --max-time"),
            Refused(words=f"{ELSEWHERE} --allow-remote {CEILINGS} --rate 99", where="expected at most 9"),
            Refused(words=f"basic basic --allow-remote {CEILINGS}", where="applies only to --address"),
            Refused(words=f"{STORED} --allow-remote {CEILINGS}", where=NOT_STORED),
        ],
        **{
            option.replace("-", "_"): [
                Acts(words=f"--{option} 8", proof="b.allowance", after=f"{ELSEWHERE} --allow-remote {CEILINGS}"),
                Refused(words=f"{ELSEWHERE} --{option} 9", where=f"--{option} requires --allow-remote"),
                Refused(words=f"{STORED} --{option} 9", where=NOT_STORED),
            ]
            for option in ("max-rate", "max-calls", "max-time")
        },
        "ignore_fields": [
            Acts(words="--ignore-fields time,id", proof="b.call.ignore_fields", after=f"basic optimized {CALL}"),
            Refused(words="basic optimized --ignore-fields time", where="add --call"),
            Refused(
                words=f"basic optimized {MIXED} --ignore-fields time",
                where="applies to a single call, but several calls are given",
            ),
            Refused(words=f"basic optimized {CALL} --ignore-fields time,,", where="separated by commas"),
            Refused(words=f"{STORED} --ignore-fields time", where=NOT_STORED),
        ],
        **in_compare(LOAD_ROWS),
        "blocks": [
            Acts(words="--blocks 7", proof="blocks", after="basic basic"),
            Refused(words=f"{STORED} --blocks 7", where=NOT_STORED),
        ],
        "min_effect": [
            Acts(words="--min-effect 7%", proof="delta", after="basic basic"),
            Acts(words="--min-effect 7%", proof="delta", after=STORED),
        ],
        "cluster": [
            Acts(words="--cluster local:2", proof="cluster", after="basic basic"),
            Acts(words="--allow-remote", proof="open_scheduler", after="basic basic --cluster tcp://10.0.0.5:8786"),
            Refused(words=f"{STORED} --cluster local:2", where=NOT_STORED),
            Acts(words="--cluster local:2", proof="cluster", after="basic basic --plan"),
        ],
        "budget": [
            Acts(words="--budget 3m", proof="budget_s", after="basic basic"),
            Refused(words=f"{STORED} --budget 3m", where=NOT_STORED),
            Refused(words="basic basic --budget soon", where="invalid --budget=soon: expected seconds"),
        ],
        "plan": [
            Acts(words="--plan", proof="foretold", after="basic basic"),
            Refused(words=f"{STORED} --plan", where=NOT_STORED),
            Refused(words="basic basic --plan --json plan.json", where="produces no result"),
            Refused(words="basic basic --plan --junit plan.xml", where="produces no result"),
        ],
        "exclusive": [
            Acts(words="--exclusive", proof="exclusive", after="basic basic"),
            Refused(words=f"{STORED} --exclusive", where=NOT_STORED),
        ],
        "seed": [
            Acts(words="--seed 7", proof="seed", after="basic basic"),
            Refused(words=f"{STORED} --seed 7", where=NOT_STORED),
        ],
        "study": [
            Acts(words="--study mine", proof="study", after="basic basic"),
            Refused(words=f"{STORED} --study mine", where=NOT_STORED),
        ],
        "allow_inconclusive": [Acts(words="--allow-inconclusive", proof="code", after="basic basic")],
        "allow_mixed": [
            Acts(words="--allow-mixed", proof="allow_mixed", after=STORED),
            Refused(words="basic basic --allow-mixed", where="it applies only to two stored results"),
        ],
        "json": [Acts(words="--json out.json", proof="files", after="basic basic")],
        "junit": [
            Acts(words="--junit out.xml", proof="files", after="basic basic"),
            Refused(words="basic basic --junit -", where="invalid --junit=-: expected a separate file"),
        ],
        "github": [Acts(words="--github", proof="stderr", after="basic basic")],
    },
    "bisect": BISECT_ROWS,
    "report": {
        "quiet": [Acts(words="-q", proof="stdout", after="x")],
        "verbose": [Acts(words="-v", proof="verbose", after="x")],
        "redact": [Acts(words="--redact tenant", proof="tenant_is_secret", after="x")],
        "study": [Acts(words="x", proof="folder"), Refused(words="nothing", where="no study in nothing")],
        "allow_mixed": [Acts(words="--allow-mixed", proof="allow_mixed", after="x")],
        "rejudge": [
            Acts(words="--rejudge", proof="rejudged", after="x"),
            Refused(words="x --rejudge --site www", where="--site cannot be combined with --rejudge"),
        ],
        "joint": [
            Acts(words="--joint y", proof="joint", after="x"),
            Refused(words="x --joint y --rejudge", where="--rejudge cannot be combined with --joint"),
        ],
        "section": [
            Acts(words="--section limits", proof="sections", after="x"),
            Refused(words="x --section limts", where="invalid --section=limts: expected one of answer, warnings"),
        ],
        "figures": [Acts(words="--figures drawn", proof="figures", after="x")],
        "site": [
            Acts(words="--site www", proof="site", after="x"),
            Refused(words="--site www --json out.json", where="no study given: --json works only with"),
        ],
        "json": [Acts(words="--json out.json", proof="files", after="x")],
    },
    "record": {
        "quiet": [Acts(words="-q", proof="stdout", after=RECORD)],
        "verbose": [Acts(words="-v", proof="verbose", after=RECORD)],
        "redact": [Acts(words="--redact tenant", proof="tenant_is_secret", after=RECORD)],
        "listen": [
            Acts(words="--listen 7", proof="port", after="--to localhost:1 -o x.calls"),
            Refused(words="--to localhost:1 -o x.calls", where="--listen is missing"),
            Refused(words="--listen a --to localhost:1 -o x.calls", where="--listen=a"),
            Refused(words="--listen 0.0.0.0:5 --to localhost:1 -o x.calls", where="--listen=0.0.0.0:5"),
        ],
        "to": [
            Acts(words="--to localhost:7", proof="to", after="--listen 5 -o x.calls"),
            Refused(words="--listen 5 -o x.calls", where="--to is missing"),
            Refused(words="--listen 5 --to 10.0.0.1:5 -o x.calls", where="--to=10.0.0.1:5"),
        ],
        "output": [
            Acts(words="-o y.calls", proof="path", after="--listen 5 --to localhost:1"),
            Refused(words="--listen 5 --to localhost:1", where="-o is missing"),
        ],
        "duration": [Acts(words="--duration 7s", proof="waited_s", after=RECORD)],
        "calls": [
            Acts(words="--calls 7", proof="calls", after=RECORD),
            Refused(words=f"{RECORD} --calls 0", where="--calls=0"),
        ],
    },
    "profile": {
        "quiet": [Acts(words="-q", proof="stderr", after="--pid 1")],
        "verbose": [Acts(words="-v", proof="verbose", after="--pid 1")],
        "redact": [Acts(words="--redact tenant", proof="tenant_is_secret", after="--pid 1")],
        "pid": [
            Acts(words="--pid 1", proof="pids"),
            Refused(words="--pid 1 --server localhost:1", where="expected either"),
        ],
        "server": [Acts(words="--server localhost:1", proof="pids"), Refused(words="", where="either --pid N or")],
        "duration": [Acts(words="--duration 7", proof="duration_s", after="--pid 1")],
        "rate": [Acts(words="--rate 7", proof="rate_hz", after="--pid 1")],
        "handler": [Acts(words="--handler a.py", proof="stdout", after="--pid 1")],
        "output": [Acts(words="-o x.folded", proof="files", after="--pid 1")],
        "json": [Acts(words="--json out.json", proof="files", after="--pid 1")],
    },
    "call": {
        "quiet": [Acts(words="-q", proof="stdout", after="a.B/C")],
        "verbose": [Acts(words="-v", proof="verbose", after="list")],
        "redact": [Acts(words="--redact tenant", proof="tenant_is_secret", after="list")],
        "what": [
            Acts(words="list", proof="stdout"),
            Acts(words="a.B/C", proof="source.called", after=""),
            Refused(words="", where="nothing to call"),
            Refused(words="describe", where="needs the name"),
            Refused(words="demo localhost:1", where="grpclab call demo takes no localhost:1"),
        ],
        "names": [
            Acts(words="localhost:1", proof="source.target", after="list"),
            Acts(words="a.M", proof="stdout", after="describe"),
            Refused(words="list localhost", where="invalid ADDRESS=localhost: expected HOST:PORT"),
            Refused(words="list localhost:1 localhost:2", where="expected one address"),
        ],
        **{
            option: called_rows(words, proof)
            for option, words, proof in (
                ("data", "--data {}", "data"),
                ("data_file", "--data-file request.json", "data"),
                ("data_format", "--data-format jsonl", "options"),
                ("repeat", "--repeat 3", "repeat"),
                ("deadline", "--deadline 3", "deadline_s"),
            )
        },
        "metadata": [Acts(words="--metadata a=b", proof="source.metadata", after="list")],
        "metadata_file": [Acts(words="--metadata-file metadata.txt", proof="source.metadata", after="list")],
        "proto": [Acts(words="--proto a.proto", proof="source.proto", after="list")],
        "protoset": [
            Acts(words="--protoset a.binpb", proof="source.proto", after="list"),
            Refused(words="list --proto a.proto --protoset a.binpb", where="protoset"),
        ],
        "proto_path": [
            Acts(words="--proto-path .", proof="source.proto_path", after="list --proto a.proto"),
            Refused(words="list --proto-path .", where="add --proto"),
        ],
        **{
            option: [
                dataclasses.replace(row, words=row.words, proof=f"source.{row.proof}", after=f"list {row.after}")
                if isinstance(row, Acts)
                else dataclasses.replace(row, words=f"list {row.words}")
                for row in rows
            ]
            for option, rows in IN_SOURCE.items()
        },
        "connect_timeout": [Acts(words="--connect-timeout 7", proof="source.connect_timeout_s", after="list")],
        "json": [Acts(words="--json out.json", proof="files", after="list")],
    },
    "init": {
        "quiet": [Acts(words="-q", proof="stdout", after="localhost:1")],
        "verbose": [Acts(words="-v", proof="verbose", after="localhost:1")],
        "redact": [Acts(words="--redact tenant", proof="tenant_is_secret", after="localhost:1")],
        "target": [
            Acts(words="localhost:1", proof="target.address"),
            Refused(words=f"localhost:1 {APP}", where="expected either grpclab init ADDRESS or grpclab init --app"),
        ],
        "app": [
            Acts(words=APP, proof="target.app"),
            Refused(words="", where="expected either grpclab init ADDRESS or grpclab init --app"),
        ],
        "python": [
            Acts(words="--python python3", proof="target.python", after=APP),
            Refused(words="localhost:1 --python python3", where="--python"),
        ],
        "app_dir": [
            Acts(words="--app-dir .", proof="target.app_dir", after=APP),
            Refused(words="localhost:1 --app-dir .", where="--app-dir"),
        ],
        "call": [
            Acts(words="--call a.B/D", proof="stdout", after="localhost:1"),
            Refused(words="localhost:1 --call a.B/E", where="one of a.B/C, a.B/D"),
        ],
        "file": [
            Acts(words="--file my.toml", proof="files", after="localhost:1"),
            Refused(words="localhost:1 --file study.toml", where="this file already exists; remove it"),
        ],
    },
    "notebook": {
        "quiet": [Acts(words="-q", proof="stdout", after="")],
        "verbose": VERBOSE,
        "redact": REDACT,
        "name": [Acts(words="sweep", proof="files"), Refused(words="swep", where="did you mean sweep")],
        "force": [
            Acts(words="--force", proof="code", after="explore"),
            Refused(words="--force", where="grpclab notebook NAME --force"),
        ],
        "open": [
            Acts(words="--open", proof="opened", after="trial"),
            Refused(words="--open", where="grpclab notebook NAME --open"),
        ],
    },
    "certs": {
        "quiet": [Acts(words="-q", proof="stdout", after="fresh")],
        "verbose": [Acts(words="fresh -v", proof="verbose")],
        "redact": [Acts(words="fresh --redact tenant", proof="tenant_is_secret")],
        "folder": [
            Acts(words="fresh", proof="files"),
            Refused(words="", where="expected grpclab certs DIR"),
            Refused(words="made", where="replace everything with --force"),
        ],
        "host": [
            Acts(words="--host shop.example.org", proof="stdout", after="fresh"),
            Refused(words="fresh --host a_b", where="--host=a_b"),
        ],
        "days": [
            Acts(words="--days 7", proof="stdout", after="fresh"),
            Refused(words="fresh --days 0", where="1 to 36,500"),
        ],
        "renew": [
            Acts(words="made --renew", proof="stdout"),
            Refused(words="fresh --renew", where="ca.pem cannot be read"),
        ],
        "force": [
            Acts(words="made --force", proof="stdout"),
            Refused(words="made --renew --force", where="cannot be combined"),
        ],
    },
    "doctor": {
        "quiet": [Acts(words="-q", proof="stdout")],
        "verbose": VERBOSE,
        "redact": REDACT,
        "json": [Acts(words="--json out.json", proof="files")],
    },
    "factors": {
        "quiet": [Acts(words="-q", proof="stdout")],
        "verbose": VERBOSE,
        "redact": REDACT,
        "tonic": [Acts(words="--tonic", proof="stdout"), Refused(words="--tonic --json -", where="Markdown")],
        "json": [Acts(words="--json out.json", proof="files")],
    },
    "menu": {
        "quiet": [Acts(words="-q", proof="typed")],
        "verbose": [Acts(words="-v", proof="typed")],
        "redact": [Acts(words="--redact tenant", proof="typed")],
    },
}
"""Command, option (as the parser calls it), what becomes of it."""
