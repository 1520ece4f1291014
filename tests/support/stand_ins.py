"""Servers that behave as some do: slow to start, talkative, stubborn. They speak no gRPC; they accept connections."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

SCRIPT = r"""
import json, os, signal, socket, sys, time

options = dict(word.split("=", 1) for word in sys.argv[1:])
if "mark" in options:
    with open(options["mark"], "w") as file:
        json.dump({"words": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd()}, file)
if "says" in options:
    print(options["says"], flush=True)
if "prints" in options:
    line = b"x" * 1023 + b"\n"
    for _ in range(int(options["prints"])):
        os.write(1, line * 1024)
    print("last words", flush=True)
if "exits" in options:
    sys.exit(int(options["exits"]))
if options.get("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "starts_in" in options:
    time.sleep(float(options["starts_in"]))
if options.get("session") and os.fork():
    if options["session"] == "away":
        os._exit(0)
    signal.pause()
if options.get("session"):
    os.setsid()
if options.get("never"):
    time.sleep(600)
if "socket" in options:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(options["socket"])
    listener.listen()
else:
    listener = socket.create_server(("127.0.0.1", int(options["port"])))
if "then" in options:
    print(options["then"], end="", flush=True)
kept = []
while True:
    kept.append(listener.accept())
"""


def stand_in(folder: Path, *words: str) -> str:
    """The command of a server that behaves as these words, ``NAME=VALUE``, say."""
    script = folder / "stand_in.py"
    script.write_text(SCRIPT)
    return shlex.join([sys.executable, "-I", "-S", str(script)]) + f" {' '.join(words)}"
