"""`gateway session` where nothing is up, or something else answers: exit codes, JSON errors."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops.cli.application import application

_run = CliRunner().invoke


class _Refuses(BaseHTTPRequestHandler):
    """Answers with the status that the path ends with."""

    def do_GET(self) -> None:
        status, _, code = self.path.rpartition("/")[2].partition("-")
        self.send_response(int(status))
        self.end_headers()
        self.wfile.write(json.dumps({"detail": "no", "code": code}).encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refuses)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize(
    ("answered", "code"),
    [
        ("401", 6),
        ("403", 6),
        ("429", 6),
        ("404", 4),
        ("409", 5),
        ("422-session_not_working", 5),
        ("422-invalid", 1),
        ("500", 1),
        ("503", 3),
    ],
)
def test_exit_codes_distinguish_refusals(refusing: str, answered: str, code: int) -> None:
    arguments = ["session", "show", answered, "--json", "--url", refusing, "--key", "k"]
    result = _run(application, arguments)
    assert result.exit_code == code
    assert json.loads(result.stderr)["exit_code"] == code


def test_nothing_there_is_three(tmp_path: Path) -> None:
    for where in (["--data", str(tmp_path)], ["--url", "http://127.0.0.1:9"]):
        result = _run(application, ["session", "ls", *where])
        assert result.exit_code == 3
        assert "failed" in result.stderr


def test_wrong_use_is_two(tmp_path: Path) -> None:
    for arguments in (
        ["session", "send", "alice", "4915100000001"],
        ["session", "import", "alice", str(tmp_path / "missing")],
        ["session", "import", "alice", str(tmp_path)],
        ["session", "nonsense"],
    ):
        assert _run(application, arguments).exit_code == 2


def test_every_command_speaks_json_and_of_elsewhere() -> None:
    listed = _run(application, ["session", "--help"], env={"COLUMNS": "200"}).output
    names = ["ls", "show", "create", "qr", "code", "send", "events", "start", "stop", "restart"]
    for name in [*names, "logout", "rm", "export", "import", "take-back"]:
        assert f" {name} " in listed
        shown = _run(application, ["session", name, "--help"], env={"COLUMNS": "200"}).output
        assert "--json" in shown
        assert "--url" in shown


def test_the_shells_completion_is_there() -> None:
    result = _run(application, [], env={"_GATEWAY_COMPLETE": "source_bash"}, prog_name="gateway")
    assert "complete" in result.output
