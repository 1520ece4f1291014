"""Git repositories that a test makes, and in them an application whose commits differ in the time of a call."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

SERVER = '''
"""A greeter that is as fast as its commit says."""

import time

from grpclab.generated import greet_pb2, greet_pb2_grpc

CALL_S = {call_s}


class Greeter(greet_pb2_grpc.GreeterServiceServicer):
    def SayHello(self, request, context):
        {work}
        return greet_pb2.HelloResponse(message=request.name)


def register(server):
    greet_pb2_grpc.add_GreeterServiceServicer_to_server(Greeter(), server)
'''
WAITS = "time.sleep(CALL_S)"
WORKS = "end = time.thread_time() + CALL_S\n        while time.thread_time() < end:\n            pass"
CALL = "greet.GreeterService/SayHello"


class History:
    """A repository on the branch ``main``, to which commits are added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str) -> str:
        """What git prints; a test's commits have an author, whatever the machine's configuration."""
        person = {"NAME": "Ada", "EMAIL": "ada@example.org"}
        own = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in person.items()}
        own |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        command, env = ["git", "-C", str(self.folder), *words], {**os.environ, **own}
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, files: Mapping[str, str]) -> None:
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def commit(self, message: str, files: Mapping[str, str]) -> str:
        """Commit these files; returns the id."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    @property
    def state(self) -> tuple[str, str, list[str]]:
        """What must stay as it is: what differs from the commit, the branches, and all files."""
        files = sorted(str(path) for path in self.folder.rglob("*") if "objects" not in path.parts)
        return self.git("status", "--porcelain"), self.git("show-ref"), files


def application(call_s: float, work: str = WAITS) -> str:
    """The module of an application of which a call takes so long."""
    return SERVER.format(call_s=call_s, work=work)


def application_history(folder: Path, calls_s: Sequence[float], work: str = WAITS) -> tuple[History, list[str]]:
    """A repository with the application ``shop.server:register``, and its commits, of which a call takes so long."""
    history = History(folder)
    commits = [
        history.commit(f"Change {number}", {"shop/server.py": application(call_s, work), "NOTES": str(number)})
        for number, call_s in enumerate(calls_s)
    ]
    return history, commits
