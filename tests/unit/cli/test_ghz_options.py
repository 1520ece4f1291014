"""Options of ghz in bench: those of the same meaning work under ghz's name, the others have a hint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from grpclab.cli import commands
from grpclab.cli.bench import COMMAND
from grpclab.cli.ghz_options import HINTS, in_our_words
from grpclab.errors import UsageError
from grpclab.load.output.ghz_config import OF_CONCURRENCY, OF_SCHEDULE, REFUSED

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "from-ghz.md").read_text(encoding="utf-8")

SAME = [
    ("--rps 5", "--rate 5"),
    ("--rps=5", "--rate 5"),
    ("--total 5", "-n 5"),
    ("-x 10s", "-z 10s"),
    ("--max-duration 10s", "-z 10s"),
    ("-t 5s", "--deadline 5s"),
    ("--timeout 5s", "--deadline 5s"),
    ("-d {}", "--data {}"),
    ("-D a.json", "--data-file a.json"),
    ("-D -", "--data-file -"),
    ("-e", "--set client.compression=gzip"),
    ("--enable-compression", "--set client.compression=gzip"),
    ("-b", "--data-file - --data-format binary"),
    ("--binary", "--data-file - --data-format binary"),
    ("-B a.bin", "--data-file a.bin --data-format binary"),
    ("--binary-file=a.bin", "--data-file a.bin --data-format binary"),
    ('-m {"tenant":"a","zone":"b"}', "--metadata tenant=a --metadata zone=b"),
    ('--metadata {"tenant":"a"}', "--metadata tenant=a"),
    ("--metadata tenant=a", "--metadata tenant=a"),
    ("-M a.json", "--metadata-file a.json"),
    ("-i roots,more", "--proto-path roots --proto-path more"),
    ("--import-paths roots", "--proto-path roots"),
    ("--cname shop", "--server-name shop"),
    ("--skipTLS", "--insecure-skip-verify"),
    ("--insecure", ""),
    ("--count-errors", ""),
    ("--async --rps 5", "--rate 5"),
    ("--keepalive 5s", "--set client.keepalive_s=5s"),
    ("--host localhost:7", "localhost:7"),
    ("--stream-dynamic-messages", "--set load.stream_dynamic=true"),
    ("--stream-dynamic-messages=true", "--set load.stream_dynamic=true"),
    ("--stream-dynamic-messages=false", ""),
    ("-O json", "--format json"),
    ("--format pretty", "--format json"),
    ("-O influx-details", "--format influx-details"),
    ("-O prometheus", "--format prometheus"),
    ("--load-schedule const --rps 5", "--rate 5"),
    ("--load-schedule=step --load-start=50 --load-end=150 --load-step=10 --load-step-duration=5s", "-r 50:150:10@5s"),
    ("--load-schedule line --load-start 5 --load-step 5 --load-end 100", "-r 5:100@19s"),
    ("--load-schedule line --load-start 200 --load-step -2 --load-end 100", "-r 200:100@50s"),
    ("--load-schedule line --load-start 20 --load-step 2 --load-max-duration 30s", "-r 20:80@30s"),
    ("--concurrency-schedule const -c 5", "-c 5"),
    (
        "--concurrency-schedule=step --concurrency-start=5 --concurrency-end=50 --concurrency-step=5"
        " --concurrency-step-duration=10s",
        "-c 5:50:5@10s",
    ),
    (
        "--concurrency-schedule step --concurrency-start 50 --concurrency-step -10 --concurrency-step-duration 5s"
        " --concurrency-max-duration 21s -c 9",
        "-c 50:10:10@5s",
    ),
    ("--concurrency-schedule line --concurrency-start 2 --concurrency-step 3 --concurrency-end 20", "-c 2:20:3@1s"),
    (
        "--concurrency-schedule line --concurrency-start 2 --concurrency-step 3 --concurrency-end 20"
        " --concurrency-max-duration 4s --concurrency=7",
        "-c 2:14:3@1s",
    ),
]
"""Words of ghz, and words of bench that mean the same."""
OF_GHZ = (Path(__file__).resolve().parents[2] / "data" / "ghz" / "options.txt").read_text(encoding="utf-8").split()
"""Every option of ghz (cmd/ghz/main.go of 2026), but for its help and its version."""
OURS = {
    *("--call", "--proto", "--protoset", "--concurrency", "-c", "--requests", "-n", "--duration", "-z", "-r"),
    *("--connections", "--connect-timeout", "--cacert", "--cert", "--key", "--authority", "--output", "-o"),
    *("--name", "--tags", "--config", "--data", "--data-file", "--metadata-file"),
    *("--stream-interval", "--stream-call-count", "--stream-call-duration"),
}
"""Options that are called the same."""


def asked(words: str) -> dict[str, object]:
    read = vars(commands.read(["bench", *words.split()]))
    return {name: value for name, value in read.items() if name != "run"}


@pytest.mark.parametrize(("ghz", "ours"), SAME)
def test_an_option_of_ghz_asks_for_the_same_as_ours(ghz: str, ours: str) -> None:
    assert asked(ghz) == asked(ours)


def is_reworded(option: str) -> bool:
    """Whether an option is read as another one, or refused for what it needs beside it."""
    try:
        return in_our_words([option, "const"]) != [option, "const"]
    except UsageError:
        return True


def test_every_option_of_ghz_works_or_has_a_hint_and_stands_on_the_page() -> None:
    taken = {name for flag in COMMAND.flags for name in flag.opts} | set(HINTS)
    assert [option for option in OF_GHZ if option not in taken and not is_reworded(option)] == []
    assert [option for option in OF_GHZ if f"`{option}" not in PAGE] == []


def test_options_that_are_called_the_same_exist() -> None:
    assert {name for flag in COMMAND.flags for name in flag.opts} >= OURS


def test_a_command_line_of_ghz_is_read_as_a_whole() -> None:
    words = "--insecure --async --call a.B/C -c 10 -n 10000 --rps 200 -d {} 0.0.0.0:50051"
    assert asked(words) == asked("localhost:50051 --call a.B/C -c 10 -n 10000 --rate 200 --data {}") | {
        "target": "0.0.0.0:50051"
    }


def test_a_value_may_follow_a_short_option_without_a_blank() -> None:
    ghz = '-Ojson -mtenant=a -t5s -d{"a":1} -c9 -n8'
    assert asked(ghz) == asked('--format json --metadata tenant=a --deadline 5s --data {"a":1} -c 9 -n 8')


def test_values_are_left_as_they_are() -> None:
    assert in_our_words(["--slo", "p99=5ms", "--", "-d"]) == ["--slo", "p99=5ms", "--", "-d"]
    assert in_our_words(["-d=-x"]) == ["--data=-x"]


@pytest.mark.parametrize(
    "words",
    [
        "--insecure --cacert a.pem",
        "--async",
        "--load-schedule sine",
        "--load-schedule step --load-start 5",
        "--load-schedule line --load-step 5",
        "--load-schedule line --load-start 5 --load-step 5 --load-end 9 --rps 5",
        "--load-start 5",
        "--concurrency-schedule sine",
        "--concurrency-start 5",
        "--concurrency-schedule step --concurrency-start 5 --concurrency-step 5 --concurrency-end 9",
        "--concurrency-schedule line --concurrency-start 5 --concurrency-step 5",
        "--concurrency-schedule line --concurrency-start 5 --concurrency-step 5 --concurrency-end 1",
        "--concurrency-schedule line --concurrency-start 5 --concurrency-step x --concurrency-end 9",
        "--concurrency-schedule line --concurrency-start nan --concurrency-step 5 --concurrency-end 9",
        "--concurrency-schedule line --concurrency-start 5 --concurrency-step 1e999 --concurrency-end 9",
        "--concurrency-schedule line --concurrency-start 5 --concurrency-step 5 --concurrency-max-duration soon",
        "--concurrency-schedule step --concurrency-start 5 --concurrency-step 5 --concurrency-step-duration 0s"
        " --concurrency-max-duration 9s",
        "--load-schedule line --load-start 5 --load-step 5 --load-max-duration soon",
        "--load-schedule line --load-start inf --load-step 5 --load-end 9",
        "--concurrency-schedule line --concurrency-start 5 --concurrency-step 5 --concurrency-end 50 --rps 5",
        "-m {",
        '-m {"a":1}',
    ],
)
def test_what_contradicts_itself_is_refused_in_one_line(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(refusal(words, capsys).strip().splitlines()) == 1


def refusal(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said below the usage."""
    with pytest.raises(SystemExit) as ended:
        asked(words)
    assert ended.value.code == 2
    usage, _, said = capsys.readouterr().err.partition("\n")
    assert usage.startswith("usage: ")
    return said


def test_a_value_that_is_missing_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no value for --data" in refusal("-d", capsys)


@pytest.mark.parametrize("option", sorted(HINTS))
def test_an_option_of_ghz_that_cannot_act_has_a_hint(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"unknown option {option}: {HINTS[option]}" in refusal(f"{option} 5", capsys)


# ---- the page in the guides --------------------------------------------------------------------------------------


def test_the_page_has_every_option_that_works_and_every_one_that_does_not() -> None:
    named = set(re.findall(r"`(--?[A-Za-z][\w-]*)", PAGE))
    ours = {name for flag in COMMAND.flags for name in flag.opts} | {"-i"}
    given = {word.partition("=")[0] for ghz, _ in SAME for word in ghz.split() if re.match(r"--?[A-Za-z]", word)}
    assert given | OURS <= named
    assert set(HINTS) <= named
    assert {f"--{key}" for key in (*REFUSED, *OF_SCHEDULE, *OF_CONCURRENCY)} <= named
    assert named <= given | ours | set(HINTS) | {"--async"}
