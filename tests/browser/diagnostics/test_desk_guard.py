"""Whom the desk answers: its rules, and what a browser makes of them."""

from __future__ import annotations

import asyncio
import http.server
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="pip install 'grpclab[desk]'")

from aiohttp import web
from multidict import CIMultiDict
from playwright.sync_api import Browser

from grpclab.diagnostics import guard
from grpclab.diagnostics.app import build
from grpclab.profiling import pyspy
from tests.support.chromium import REBOUND

HERE = "127.0.0.1:3000"


def status(
    *headers: tuple[str, str],
    method: str = "GET",
    path: str = "/metrics",
    host: str | None = HERE,
    token: str = "",
    query: dict[str, str] | None = None,
) -> int:
    """The status of the refusal; 0 for an answer."""
    given = CIMultiDict([*([("Host", host)] if host is not None else []), *headers])
    refused = guard.refusal(method, path, given, query or {}, token=token)
    return refused.status if refused else 0


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get"])
def test_the_desk_answers_to_get_only(method: str) -> None:
    assert status(method=method) == 405


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:80", "localhost:3000", "LocalHost", "[::1]:3000"])
def test_a_program_on_this_machine_is_answered(host: str) -> None:
    assert status(host=host) == 0


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("elsewhere.example:3000", 403),
        ("127.0.0.1.elsewhere.example", 403),
        ("localhost.elsewhere.example", 403),
        ("192.0.2.1:3000", 403),
        ("0.0.0.0:3000", 403),
        ("user@127.0.0.1", 400),
        ("127.0.0.1:3000:1", 400),
        ("127.0.0.1/", 400),
        ("", 400),
        (None, 400),
    ],
)
def test_a_name_that_was_pointed_at_this_machine_is_refused(host: str | None, expected: int) -> None:
    assert status(host=host) == expected


def test_two_names_in_one_request_are_refused() -> None:
    assert status(("Host", "localhost:3000")) == 400


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("Sec-Fetch-Site", "none")], 0),
        ([("Sec-Fetch-Site", "same-origin"), ("Origin", f"http://{HERE}")], 0),
        ([("Sec-Fetch-Site", "same-site")], 403),
        ([("Sec-Fetch-Site", "cross-site")], 403),
        ([("Sec-Fetch-Site", "")], 403),
        ([("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")], 403),
        ([("Origin", "null")], 403),
        ([("Origin", "http://127.0.0.1:3001")], 403),
        ([("Origin", f"https://{HERE}")], 403),
        ([("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Dest", "document")], 403),
    ],
)
def test_another_page_is_refused(headers: list[tuple[str, str]], expected: int) -> None:
    assert status(*headers) == expected


@pytest.mark.parametrize(
    ("destination", "expected"), [("document", 0), ("iframe", 403), ("image", 403), ("empty", 403)]
)
def test_a_link_from_another_page_leads_to_the_first_page_only(destination: str, expected: int) -> None:
    link = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Dest", destination)]
    assert status(*link, path="/") == expected
    assert status(*link, path="//") == 403


def test_beyond_loopback_the_token_decides_and_other_pages_are_refused_all_the_same() -> None:
    remote: dict[str, Any] = {"host": "lab.example:3000", "token": "secret"}
    assert status(**remote) == 401
    assert status(**remote, query={"token": "wrong"}) == 401
    assert status(**remote, query={"token": "sécret"}) == 401
    assert status(**remote, query={"token": "secret"}) == 0
    assert status(("Authorization", "Bearer secret"), **remote) == 0
    assert status(("Sec-Fetch-Site", "cross-site"), **remote, query={"token": "secret"}) == 403


# ---- in a browser --------------------------------------------------------------------------------------------------

PAGES = [("localhost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), (REBOUND, REBOUND)]
"""What a page calls itself, and what it calls the desk: another site, another port, DNS rebinding."""
PROFILE = "/debug/pprof/profile?seconds=1"


@contextmanager
def desk_here() -> Iterator[int]:
    """A desk in this process, on a thread; gives its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = web.AppRunner(build([os.getpid()]))

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    try:
        yield asyncio.run_coroutine_threadsafe(start(), loop).result(20)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def page_at(text: str) -> Iterator[int]:
    """A web page of another origin; gives its port."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def attacks(desk: str) -> str:
    """A page that tries what a page can do with an address; `read` is what it could read of the answers."""
    url = f"{desk}{PROFILE}"
    return f"""<!doctype html><title>elsewhere</title>
    <img src="{url}"><script src="{url}"></script><link rel="stylesheet" href="{url}"><iframe src="{url}"></iframe>
    <video src="{url}"></video><object data="{url}"></object><link rel="prefetch" href="{url}">
    <form id="form" action="{url}" target="_blank"></form>
    <script>
    var read = [], tried = 0
    for (const how of [{{}}, {{mode: "no-cors"}}, {{method: "POST"}}, {{method: "HEAD", mode: "no-cors"}}])
      fetch("{url}", how).then(a => a.text()).then(t => t && read.push(t)).catch(() => 0).finally(() => tried++)
    new EventSource("{url}"); navigator.sendBeacon("{url}"); new WebSocket("{url}".replace("http", "ws"))
    document.getElementById("form").submit()
    window.open("{url}")
    </script>"""


def test_a_page_of_another_origin_neither_starts_a_profile_nor_reads_one(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def record(*_: Any, **__: Any) -> pyspy.PySpyProfile:
        taken.append(time.monotonic())
        return pyspy.PySpyProfile(stacks={"work (a.py:1)": 1}, samples=1)

    monkeypatch.setattr(pyspy, "record", record)
    with desk_here() as desk:
        for own, name in PAGES:
            with page_at(attacks(f"http://{name}:{desk}")) as port, browser.new_context() as context:
                page = context.new_page()
                with context.expect_page():
                    page.goto(f"http://{own}:{port}/", wait_until="load")
                page.wait_for_function("tried == 4")
                assert page.evaluate("read") == []
        assert taken == []
        with browser.new_context() as context:
            page = context.new_page()
            page.goto(f"http://localhost:{desk}/")
            page.click("text=Flamegraph")
            page.wait_for_url("**/flamegraph*")
        assert len(taken) == 1
