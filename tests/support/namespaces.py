"""Two network namespaces of a test: a client's, whose only way out is a cable, and a server's at its other end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CLIENT_ADDRESS, SERVER_ADDRESS = "10.203.77.1", "10.203.77.2"


def missing() -> str:
    """What to do so that namespaces can be made here; nothing where they can."""
    if os.geteuid() != 0:
        return "network namespaces need root: run the tests as root"
    absent = [tool for tool in ("ip", "nsenter", "unshare", "mount") if shutil.which(tool) is None]
    if absent:
        return f"{', '.join(absent)} not found: apt-get install iproute2 util-linux mount"
    name = f"grpclab-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"no network namespace can be made: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return ""


@dataclass(frozen=True, kw_only=True)
class Namespaces:
    """The two namespaces by name; the client's default route leads to the server's."""

    client: str
    server: str

    def at_server(self, *words: str) -> list[str]:
        """The words of a command in the server's namespace."""
        return ["ip", "netns", "exec", self.server, *words]

    def at_client(self, *words: str, hosts: Path | None = None) -> list[str]:
        """The words of a command in the client's namespace, where `hosts` stands for ``/etc/hosts``."""
        inside = ["nsenter", f"--net=/run/netns/{self.client}"]
        if hosts is None:
            return [*inside, *words]
        script = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return [*inside, "unshare", "--mount", "sh", "-c", script, str(hosts), *words]

    def sent(self) -> int:
        """The packets that have left the client's namespace."""
        words = ["ip", "-n", self.client, "-s", "-j", "link", "show", "cable"]
        counted = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        return int(counted[0]["stats64"]["tx"]["packets"])


@contextlib.contextmanager
def namespaces() -> Iterator[Namespaces]:
    """Make the two, for as long as the block runs."""
    both = Namespaces(client=f"grpclab-c-{os.getpid()}", server=f"grpclab-s-{os.getpid()}")

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    def end(names: Sequence[str]) -> None:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    try:
        for name in (both.client, both.server):
            ip("netns", "add", name)
        ip(*("-n", both.client, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", both.server))
        for name, address in ((both.client, CLIENT_ADDRESS), (both.server, SERVER_ADDRESS)):
            ip("-n", name, "link", "set", "cable", "addrgenmode", "none")  # no packets of IPv6's own
            ip("-n", name, "address", "add", f"{address}/30", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
        ip("-n", both.client, "route", "add", "default", "via", SERVER_ADDRESS)
        yield both
    finally:
        end((both.client, both.server))
