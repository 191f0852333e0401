"""The image as it is shipped: the Dockerfile built without an engine (buildah, chroot isolation),
and its container started: health check, `up --sandbox`, a text both ways.

The base image's place is taken by a Debian of the same release (debootstrap): no registry is asked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from running_gateway import Phone, until

from ops.embedded.process import free_ports
from ops.local.layout import ROOT

_DOCKERFILE = (ROOT / "Dockerfile").read_text()
_BASE = re.findall(r"^FROM (\S+)", _DOCKERFILE, re.MULTILINE)[-1]
_TAG = "whatsapp-gateway:test"
_USER = 10001
_NEEDED = ("buildah", "debootstrap")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Of this machine: pip's way out may need them.
_CERTIFICATES = "/etc/ssl/certs:/etc/ssl/certs:ro"


class Images:
    """buildah with a storage of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._storage = [
            *("--storage-driver", "vfs"),
            *("--root", str(folder / "root"), "--runroot", str(folder / "run")),
        ]

    def command(self, *words: str) -> list[str]:
        return ["buildah", *self._storage, *words]

    def run(self, *words: str) -> str:
        done = subprocess.run(
            self.command(*words), cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    def build(self) -> str:
        """A container of the image, made as the Dockerfile says."""
        base = self.folder / "base"
        release = "bookworm" if "bookworm" in _BASE else "stable"
        include = "python3,python3-venv,ca-certificates"
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={include}", release, str(base)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stdout[-2000:]
        (base / "usr" / "bin" / "python").symlink_to("python3")
        container = self.run("from", "scratch")
        self.run("add", "--quiet", container, str(base), "/")
        self.run("config", "--env", f"PATH={_PATH}", container)
        self.run("commit", "--quiet", "--rm", container, f"docker.io/library/{_BASE}")
        shutil.rmtree(base)
        self.run(
            *("bud", "--format=docker", "--isolation=chroot", "--pull-never"),
            *("--volume", _CERTIFICATES),
            *("--tag", _TAG, "."),
        )
        return self.run("from", "--pull-never", _TAG)


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Images]:
    tmp_path.chmod(0o711)
    yield Images(tmp_path)
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS")
    or os.geteuid() != 0
    or not all(shutil.which(name) for name in _NEEDED),
    reason="ten minutes, root, buildah and debootstrap: GATEWAY_SLOW_TESTS",
)
def test_the_image_is_built_and_its_container_works(images: Images) -> None:
    container = images.build()
    configured = json.loads(images.run("inspect", "--type", "image", _TAG))["Docker"]["config"]
    assert configured["User"] == f"{_USER}:{_USER}"
    data = images.folder / "data"
    data.mkdir()
    os.chown(data, _USER, _USER)
    (port,) = free_ports(1)
    isolated = ["run", "--isolation=chroot", "--user", f"{_USER}:{_USER}"]
    isolated += ["--volume", f"{data}:/var/lib/gateway", "--env", f"HTTP_PORT={port}"]
    isolated += ["--env", "HTTP_HOST=127.0.0.1", container, "--"]
    log = (images.folder / "container.log").open("wb")
    started = subprocess.Popen(
        images.command(*isolated, *configured["Entrypoint"], *configured["Cmd"], "--sandbox"),
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        check = [
            word.replace("127.0.0.1:3000", f"127.0.0.1:{port}")
            for word in configured["Healthcheck"]["Test"][1:]
        ]

        def well() -> bool:
            assert started.poll() is None, (images.folder / "container.log").read_text()[-3000:]
            done = subprocess.run(
                images.command(*isolated, *check), capture_output=True, check=False
            )
            return done.returncode == 0

        until(well, 180, "the image's own health check")
        state = json.loads((data / "data" / "sandbox" / "state.json").read_text())
        _talks(state, port)
    finally:
        if started.poll() is None:
            for child in _children(started.pid):
                os.kill(child, signal.SIGTERM)
        started.wait(120)
        log.close()


def _talks(state: dict[str, str], port: int) -> None:
    """A session is linked, a text goes out, and one comes in."""
    api = httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"X-Api-Key": state["api_key"]}, timeout=60
    )
    control = httpx.Client(
        base_url=state["sandbox_control_url"],
        headers={"Authorization": f"Bearer {state['sandbox_control_token']}"},
        timeout=60,
    )
    alice, bob = (Phone(control, f"49151000008{n}") for n in (1, 2))
    for phone in (alice, bob):
        control.post("/phones", json={"number": phone.number, "name": "Somebody"})
    api.post("/api/sessions", json={"name": "support"}).raise_for_status()

    def code() -> str:
        answer = api.get("/api/support/auth/qr", params={"format": "raw"})
        return str(answer.json()["value"]) if answer.is_success else ""

    def status() -> bool:
        return bool(api.get("/api/sessions/support").json()["status"] == "WORKING")

    alice.post("/scan", qr=until(code, 60, "QR code"))
    until(status, 60, "WORKING")
    sent = {"session": "support", "chatId": bob.chat, "text": "out of the container"}
    api.post("/api/sendText", json=sent).raise_for_status()
    until(lambda: bob.texts() == ["out of the container"], 30, "the text at the phone")
    bob.post("/messages", to=alice.number, text="into the container")

    def came() -> bool:
        found = api.get("/api/support/chats/all/messages", params={"limit": 10}).json()
        return "into the container" in [one["body"] for one in found]

    until(came, 30, "the phone's text in the history")


def _children(pid: int) -> list[int]:
    """Of buildah: the container's first process, or what stands between."""
    found = psutil.Process(pid).children(recursive=True)
    return [one.pid for one in found if one.name() == "tini"] or [one.pid for one in found[:1]]
