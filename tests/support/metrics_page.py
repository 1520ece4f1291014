"""A page of metrics that is no server's: it counts its readers, and can be broken."""

from __future__ import annotations

import http.server
import threading


class MetricsPage:
    """A page of metrics that counts its readers; `status` is that of its answers."""

    def __init__(self) -> None:
        self.reads, self.connections, self.status = 0, 0, 200
        page = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                page.connections += 1
                super().setup()

            def do_GET(self) -> None:
                assert self.path == "/metrics"
                page.reads += 1
                text = b"# TYPE up gauge\nup 1\n"
                self.send_response(page.status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
