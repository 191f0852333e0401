"""The image as it is shipped: the Dockerfile built without an engine (buildah, chroot isolation),
and its container started: health check, `up --sandbox`, a text both ways; then as the Compose file
starts it, beside stores of this machine in the place of the images of others.

The base image's place is taken by a Debian of the same release (debootstrap): no registry is asked.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from running_gateway import Phone, until

from ops.embedded.process import free_ports
from ops.embedded.valkey import EmbeddedValkey
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


@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS")
    or os.geteuid() != 0
    or not all(shutil.which(name) for name in _NEEDED),
    reason="ten minutes, root, buildah and debootstrap: GATEWAY_SLOW_TESTS",
)
def test_the_image_is_built_and_its_container_works(
    images: Images, stores_env: dict[str, str]
) -> None:
    container = images.build()
    configured = json.loads(images.run("inspect", "--type", "image", _TAG))["Docker"]["config"]
    assert configured["User"] == f"{_USER}:{_USER}"
    (port,) = free_ports(1)
    with _started(images, container, configured, port, ["--sandbox"], {}) as data:
        state = json.loads((data / "data" / "sandbox" / "state.json").read_text())
        _talks(state, port)
    valkey = EmbeddedValkey()
    valkey.start(images.folder / "valkey")
    try:
        variables = {**stores_env, **valkey.env(), "HTTP_API_KEY": secrets.token_urlsafe(24)}
        variables["CHECKPOINT_KEYS"] = f"k1:{base64.b64encode(os.urandom(32)).decode()}"
        _is_as_composed(images, container, configured, variables)
    finally:
        valkey.stop()


def _is_as_composed(
    images: Images, container: str, configured: dict[str, Any], variables: dict[str, str]
) -> None:
    """The service `gateway`, and what docs/docker.md has one do."""
    service = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]["gateway"]
    assert "command" not in service
    given = {name: variables[name] for name in service["environment"]}
    (port,) = free_ports(1)
    with _started(images, container, configured, port, [], given) as data:
        api = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"X-Api-Key": given["HTTP_API_KEY"]},
            timeout=60,
        )
        assert api.get("/health/ready").json()["status"] == "ready"
        assert api.post("/api/sessions", json={"name": "composed"}).status_code == 201
        listed = images.run(
            *_isolated(data, port, container, given), "python", "-m", "ops.cli", "session", "ls"
        )
        assert "composed" in listed
        assert api.delete("/api/sessions/composed").is_success


def _isolated(data: Path, port: int, container: str, variables: dict[str, str]) -> list[str]:
    environment = {**variables, "HTTP_PORT": str(port), "HTTP_HOST": "127.0.0.1"}
    return [
        *("run", "--isolation=chroot", "--user", f"{_USER}:{_USER}"),
        *("--volume", f"{data}:/var/lib/gateway"),
        *(word for name, value in environment.items() for word in ("--env", f"{name}={value}")),
        *(container, "--"),
    ]


@contextmanager
def _started(
    images: Images,
    container: str,
    configured: dict[str, Any],
    port: int,
    arguments: list[str],
    variables: dict[str, str],
) -> Iterator[Path]:
    """With what the image says is to run, until its own health check is content. Gives the folder
    that is its volume."""
    data = images.folder / f"data-{port}"
    data.mkdir()
    os.chown(data, _USER, _USER)
    isolated = _isolated(data, port, container, variables)
    log = images.folder / f"container-{port}.log"
    with log.open("wb") as out:
        started = subprocess.Popen(
            images.command(*isolated, *configured["Entrypoint"], *configured["Cmd"], *arguments),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        check = [
            word.replace("127.0.0.1:3000", f"127.0.0.1:{port}")
            for word in configured["Healthcheck"]["Test"][1:]
        ]

        def well() -> bool:
            assert started.poll() is None, log.read_text()[-3000:]
            done = subprocess.run(
                images.command(*isolated, *check), capture_output=True, check=False
            )
            return done.returncode == 0

        until(well, 180, "the image's own health check")
        yield data
    finally:
        if started.poll() is None:
            for child in _children(started.pid):
                os.kill(child, signal.SIGTERM)
        started.wait(120)


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
