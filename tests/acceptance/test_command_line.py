"""`gateway session …` on a running gateway, judged by the phones; status, doctor and probes."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from baileys_folder import baileys_files
from people import PICTURE, People
from running_gateway import RunningGateway, until

from actors.transfer.archive import ArchiveLock, open_archive
from ops.embedded.process import free_ports
from ops.local.layout import ROOT

_PASSPHRASE = "correct horse battery"
_ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "GATEWAY_ENV_FILE": os.devnull,
    "GATEWAY_ARCHIVE_PASSPHRASE": _PASSPHRASE,
    "COLUMNS": "200",
}


def _begun(
    gateway: RunningGateway, *words: str, more: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """By URL, as from elsewhere: the key is in the environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "ops.cli", *words],
        cwd=ROOT,
        env={
            **_ENVIRONMENT,
            "GATEWAY_URL": gateway.state.url,
            "GATEWAY_KEY": gateway.state.api_key,
            **(more or {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _done(gateway: RunningGateway, *words: str, code: int = 0) -> str:
    process = _begun(gateway, *words)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == code, out + errors
    return out


def _json(gateway: RunningGateway, *words: str) -> Any:
    return json.loads(_done(gateway, *words, "--json"))


@pytest.mark.timeout(600)
def test_a_session_lives_and_moves_by_the_command_line(
    gateway: RunningGateway, session_name: Callable[[], str], tmp_path: Path
) -> None:
    name, phone, friend = session_name(), gateway.phone("Cli"), gateway.phone("Friend")
    assert _json(gateway, "session", "create", name)["name"] == name
    _done(gateway, "session", "create", name, code=5)

    # The QR code is shown until it is scanned.
    showing = _begun(gateway, "session", "qr", name, "--json")
    assert showing.stdout is not None
    phone.post("/scan", qr=json.loads(showing.stdout.readline())["value"])
    rest, errors = showing.communicate(timeout=60)
    assert showing.returncode == 0, errors
    assert '"WORKING"' in rest
    assert _json(gateway, "session", "show", name)["me"]["id"] == phone.chat
    listed = _done(gateway, "session", "ls")
    assert name in listed
    assert "WORKING" in listed
    assert name in {one["name"] for one in _json(gateway, "session", "ls", "--all")}

    # Texts and files arrive; the same key is the same message.
    words = ("session", "send", name, friend.number, "by hand", "--idempotency-key", "once")
    assert _json(gateway, *words)["id"] == _json(gateway, *words)["id"]
    picture = tmp_path / "teal.png"
    picture.write_bytes(base64.b64decode(PICTURE["data"]))
    _done(gateway, "session", "send", name, friend.chat, "teal", "--file", str(picture))
    until(lambda: friend.texts()[:1] == ["by hand"] and len(friend.inbox()) == 2, what="both")
    assert "imageMessage" in friend.inbox()[1]["message"]

    # What it goes through.
    emitted = [json.loads(line) for line in _lines(gateway, "session", "events", name, "--json")]
    assert "session.status" in {one["event"] for one in emitted}
    following = _begun(gateway, "session", "events", name, "-f", "--json", "--type", "message")
    assert following.stdout is not None
    friend.post("/messages", to=phone.number, text="watched")
    assert json.loads(following.stdout.readline())["payload"]["body"] == "watched"
    following.terminate()
    following.communicate(timeout=30)
    assert f"session={name}" in _done(
        gateway, "session", "logs", name, "--data", str(gateway.data)
    ).replace(f'"session": "{name}"', f"session={name}")

    # Out: only when it is stopped, and then it stays stopped.
    archive = tmp_path / "moved.wsg"
    _done(gateway, "session", "export", name, "-o", str(archive), code=5)
    assert not archive.exists()
    _done(gateway, "session", "export", name, "-o", str(archive), "--stop")
    assert archive.stat().st_mode & 0o777 == 0o600
    _done(gateway, "session", "start", name, code=5)

    # In again, as another session: no QR code, and both directions.
    moved = session_name()
    wrong = tmp_path / "wrong"
    wrong.write_text("another passphrase\n")
    _done(
        *(gateway, "session", "import", moved, str(archive), "--passphrase-file", str(wrong)),
        code=1,
    )
    _done(gateway, "session", "import", moved, str(archive))
    _works_without_qr(gateway, moved, phone, friend, "archive")
    _done(gateway, "session", "import", session_name(), str(archive), code=5)

    # The same device as a Baileys folder.
    second = tmp_path / "second.wsg"
    _done(gateway, "session", "export", moved, "-o", str(second), "--stop")
    store = tmp_path / "device.db"
    open_archive(second.read_bytes(), ArchiveLock(passphrase=_PASSPHRASE), store)
    folder = tmp_path / "auth_info_baileys"
    folder.mkdir()
    for file, content in baileys_files(store).items():
        (folder / file).write_text(json.dumps(content))
    third = session_name()
    _done(gateway, "session", "import", third, str(folder))
    _works_without_qr(gateway, third, phone, friend, "baileys")
    assert len(phone.devices()) == 1, "the same linked device all along"

    _done(gateway, "session", "stop", third, "--wait", "60")
    _done(gateway, "session", "rm", third, code=1)  # asked, and nobody said yes
    for one in (name, moved, third):
        _done(gateway, "session", "rm", one, "--yes")
    _done(gateway, "session", "show", third, code=4)


def test_a_pairing_code_in_the_terminal(
    gateway: RunningGateway, session_name: Callable[[], str]
) -> None:
    name, phone = session_name(), gateway.phone()
    _done(gateway, "session", "create", name)
    assert len(_json(gateway, "session", "code", name, phone.number)["code"]) == 9
    _done(gateway, "session", "rm", name, "--yes")


def test_status_doctor_and_probes_agree_that_all_is_well(gateway: RunningGateway) -> None:
    status = json.loads(gateway.command("status", "--json"))
    assert status["up"]
    assert status["ready"]["status"] == "ready"
    assert {"postgres", "valkey", "seaweed", "node-1"} <= {one["name"] for one in status["parts"]}
    found = json.loads(gateway.command("doctor", "--json", check=False))
    checks = {one["name"]: one for one in found["checks"]}
    for name in ("postgresql", "durability", "clock", "schema", "restores", "redis", "s3", "ready"):
        assert checks[name]["verdict"] == "ok", checks[name]
    assert checks["checkpoint keys in use"]["verdict"] == "ok"
    assert found["ok"], [one for one in found["checks"] if one["verdict"] == "error"]
    stranger = httpx.Client(base_url=gateway.state.url, timeout=30)
    assert stranger.get("/health/live").status_code == 200
    ready = stranger.get("/health/ready")
    expected = {"status": "ready", "parts": {}, "smallerPromises": {}, "ownerlessSessions": 0}
    assert (ready.status_code, ready.json()) == (200, expected)


def test_tail_and_send_over_all_sessions(people: People) -> None:
    gateway, alice, bob = people.gateway, people.alice, people.bob
    words = ("tail", "-s", alice.session, "-t", "message", "--chat", bob.phone.number)
    as_json = _begun(gateway, *words, "-n", "2", "--json")
    in_colour = _begun(
        gateway, *words, "--grep", "grüße", "-n", "1", more={"FORCE_COLOR": "1", "TERM": "xterm"}
    )
    for process in (as_json, in_colour):
        assert process.stderr is not None
        assert "from now on" in process.stderr.readline()
    sent = _json(gateway, "send", bob.session, alice.phone.number, "from the terminal")
    assert sent["id"].startswith("true_")
    # Of another session, of another kind: left out.
    _done(gateway, "send", alice.session, bob.phone.number, "an answer")
    _done(gateway, "send", bob.session, alice.phone.number, "Grüße \x1b[2J")
    out, errors = as_json.communicate(timeout=60)
    assert as_json.returncode == 0, errors
    printed = [json.loads(line) for line in out.splitlines()]
    assert [one["event"] for one in printed] == ["message", "message"]
    assert printed[0]["payload"]["body"] == "from the terminal"
    assert {one["session"] for one in printed} == {alice.session}
    out, errors = in_colour.communicate(timeout=60)
    assert in_colour.returncode == 0, errors
    assert "Grüße" in out
    assert "\x1b[32m" in out, "coloured"
    assert "\x1b[2J" not in out, "what strangers write moves no cursor"
    _done(gateway, "send", "nobody", bob.phone.number, "x", code=4)


def test_the_shell_completes_names_of_sessions(people: People) -> None:
    asked = {"_GATEWAY_COMPLETE": "complete_bash", "COMP_WORDS": "gateway send ", "COMP_CWORD": "2"}
    process = _begun(people.gateway, more=asked)
    out, errors = process.communicate(timeout=60)
    assert people.alice.session in out.splitlines(), errors


def _lines(gateway: RunningGateway, *words: str) -> list[str]:
    return _done(gateway, *words).splitlines()


def _works_without_qr(
    gateway: RunningGateway, session: str, phone: Any, friend: Any, word: str
) -> None:
    gateway.working(session)
    kinds = [json.loads(line) for line in _lines(gateway, "session", "events", session, "--json")]
    statuses = [one["payload"]["status"] for one in kinds if one["event"] == "session.status"]
    assert "SCAN_QR_CODE" not in statuses
    _done(gateway, "session", "send", session, friend.number, f"{word} out")
    until(lambda: f"{word} out" in friend.texts(), what=f"{word} out")
    friend.post("/messages", to=phone.number, text=f"{word} in")
    until(
        lambda: any(m["body"] == f"{word} in" for m in gateway.history(session, friend.chat)),
        what=f"{word} in",
    )


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GATEWAY_URL", "GATEWAY_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_the_front_of_the_working_tree_over_the_gateway_that_is_up(
    gateway: RunningGateway,
) -> None:
    (port,) = free_ports(1)
    front = subprocess.Popen(
        [
            *(sys.executable, "-m", "ops.cli", "dev"),
            *("--data", str(gateway.data), "--port", str(port)),
        ],
        cwd=ROOT,
        env=_ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url, key = f"http://127.0.0.1:{port}", {"X-Api-Key": gateway.state.api_key}

    def sessions() -> list[str] | None:
        try:
            answer = httpx.get(f"{url}/api/sessions?all=true", headers=key, trust_env=False)
        except httpx.HTTPError:
            return None
        return [one["name"] for one in answer.json()]

    try:
        until(lambda: sessions() is not None, what="the front")
        listed = gateway.api.get("/api/sessions?all=true").json()
        assert sessions() == [one["name"] for one in listed]
        assert httpx.get(f"{url}/api/sessions", trust_env=False).status_code == 401
    finally:
        # Its whole family: uvicorn serves in a child.
        os.killpg(front.pid, signal.SIGTERM)
        front.wait(timeout=30)
