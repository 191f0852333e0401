"""`gateway tail`: what it shows, what it leaves out, and what a stranger's text cannot do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from ops.cli import tail
from ops.cli.application import application

BOB = "4915100002@c.us"


def envelope(session: str, event: str, **payload: Any) -> dict[str, Any]:
    return {"event": event, "session": session, "timestamp": 1767323045000, "payload": payload}


EVENTS = [
    envelope("alice", "message", body="hello there", fromMe=False, **{"from": BOB}),
    envelope("bob", "message.any", body="[red]\x1b[2Jbad", fromMe=True, to="1@g.us"),
    envelope("bob", "session.status", status="WORKING"),
    envelope("alice", "message.ack", ackName="READ", to=BOB, fromMe=True),
    envelope("alice", "message.reaction", reaction={"text": "👍"}, **{"from": BOB}),
]


class _Streams(BaseHTTPRequestHandler):
    """Sends two events at a time, as a stream that ends."""

    parts: ClassVar[Iterator[list[dict[str, Any]]]] = iter(())

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b": a comment\n\ndata: {}\n\n")
        for event in next(type(self).parts, ()):
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(tail, "_PAUSE_SECONDS", 0.01)
    _Streams.parts = iter([EVENTS[:2], EVENTS[2:]])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Streams)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run(url: str, *arguments: str) -> str:
    done = CliRunner().invoke(application, ["tail", "--url", url, "--key", "k", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_all_of_it_in_words_across_streams(streaming: str) -> None:
    lines = run(streaming, "-n", "5").splitlines()
    assert [line.split()[1] for line in lines] == ["alice", "bob", "bob", "alice", "alice"]
    assert f"← {BOB} hello there" in lines[0]
    assert "[red]" in lines[1]
    assert "\x1b[2J" not in lines[1]
    assert "WORKING" in lines[2]
    assert f"{BOB} READ" in lines[3]
    assert "👍" in lines[4]


def test_filters_and_json(streaming: str) -> None:
    found = run(streaming, "-n", "2", "-s", "alice", "--chat", "4915100002", "--json")
    assert [json.loads(line)["event"] for line in found.splitlines()] == ["message", "message.ack"]


def test_grep(streaming: str) -> None:
    assert "WORKING" in run(streaming, "-n", "1", "--grep", "working")
