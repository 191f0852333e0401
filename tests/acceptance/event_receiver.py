"""A webhook's receiver in the tests' process."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Receiver"]


@dataclass
class Receiver:
    """A receiver in this process; `broken` makes it answer 500."""

    url: str = ""
    broken: bool = False
    #: Headers, body and time of arrival (Unix ms).
    got: list[tuple[dict[str, str], bytes, float]] = field(default_factory=list)

    def events(self, *names: str) -> list[dict[str, Any]]:
        delivered = [json.loads(body) for _, body, _ in self.got]
        return [event for event in delivered if event["event"] in names]

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[Receiver]:
        one = cls()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not one.broken:
                    one.got.append((dict(self.headers), body, time.time() * 1000))
                self.send_response(500 if one.broken else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        one.url = f"http://127.0.0.1:{server.server_port}/hook"
        try:
            yield one
        finally:
            server.shutdown()
