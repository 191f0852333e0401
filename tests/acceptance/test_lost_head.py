"""The head of a cluster by `ray-cluster.yaml`, lost with all its processes and started again."""

from __future__ import annotations

import base64
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from launched_cluster import LaunchedCluster
from running_gateway import Phone, until

from ops.embedded import EmbeddedStores, EmbeddedValkey
from ops.embedded.process import free_ports
from ops.local.sandbox import SandboxPart

log = logging.getLogger(__name__)

_KEY = "the-admin-key-of-this-test"


@dataclass
class _Running:
    cluster: LaunchedCluster
    api: httpx.Client
    control: httpx.Client

    def info(self, session: str) -> dict[str, Any]:
        try:
            answer = self.api.get(f"/api/sessions/{session}")
        except httpx.TransportError:
            return {}
        return dict(answer.json()) if answer.is_success else {}

    def works(self, session: str) -> bool:
        return self.info(session).get("status") == "WORKING"

    def sends(self, session: str, to: Phone, text: str) -> bool:
        """Whether a try was accepted; each try is the same request again."""
        body = {"session": session, "chatId": to.chat, "text": text}
        try:
            answer = self.api.post("/api/sendText", json=body, headers={"Idempotency-Key": text})
        except httpx.TransportError:
            return False
        return answer.status_code == 201


@pytest.fixture
def launched() -> Iterator[_Running]:
    # Short: Ray's sockets live under it.
    with tempfile.TemporaryDirectory(prefix="gw-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o711)
        (root / "sandbox").mkdir()
        control_store, sandbox = EmbeddedValkey(), SandboxPart(root / "sandbox", lambda _: None)
        with EmbeddedStores(root / "stores") as stores:
            control_store.start(root / "control")
            sandbox.start()
            redis = urlsplit(control_store.env()["REDIS_URL"])
            url = f"http://127.0.0.1:{free_ports(1)[0]}"
            settings = {
                **stores.env(),
                **sandbox.addresses.env(),
                "HTTP_API_KEY": _KEY,
                "HTTP_PORT": url.rpartition(":")[2],
                # One on a node: the head's goes with it.
                "HTTP_REPLICAS": "2",
                # One HAProxy would have the port of this machine, the head's.
                "HTTP_INGRESS": "serve",
                "CHECKPOINT_KEYS": "k1:" + base64.b64encode(os.urandom(32)).decode(),
                "GATEWAY_ENV_FILE": os.devnull,
            }
            cluster = LaunchedCluster(
                root / "c", settings, redis=f"{redis.password}@127.0.0.1:{redis.port}"
            )
            control = httpx.Client(
                base_url=sandbox.addresses.control_url,
                headers={
                    "Authorization": "Bearer " + sandbox.addresses.control_token.get_secret_value()
                },
                timeout=60,
            )
            api = httpx.Client(base_url=url, headers={"X-Api-Key": _KEY}, timeout=60)
            try:
                cluster.start_head()
                for worker in ("worker-1", "worker-2"):
                    cluster.start_worker(worker)
                cluster.until_spread()
                assert not cluster.shows(str(redis.password))
                yield _Running(cluster, api, control)
            finally:
                cluster.stop()
                sandbox.stop()
                control_store.stop()


@pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS"),
    reason="minutes of its own cluster: GATEWAY_SLOW_TESTS",
)
def test_sessions_outlive_the_head_and_obey_the_next(launched: _Running) -> None:
    alice, bob = (Phone(launched.control, f"49151000009{n}") for n in (1, 2))
    for phone in (alice, bob):
        launched.control.post("/phones", json={"number": phone.number, "name": "Somebody"})
    launched.api.post("/api/sessions", json={"name": "support"}).raise_for_status()

    def code() -> str:
        answer = launched.api.get("/api/support/auth/qr", params={"format": "raw"})
        return str(answer.json()["value"]) if answer.is_success else ""

    alice.post("/scan", qr=until(code, 60, "QR code"))
    until(lambda: launched.works("support"), 60, "WORKING")
    before = launched.info("support")["gateway"]
    until(lambda: launched.sends("support", bob, "before"), what="a send")

    launched.cluster.kill("head")
    killed = time.monotonic()
    until(lambda: launched.sends("support", bob, "without a head"), 60, "a send without a head")
    without = time.monotonic() - killed
    bob.post("/messages", to=alice.number, text="answered without a head")
    launched.cluster.start_head()
    until(lambda: launched.sends("support", bob, "with the next head"), 60, "a send")
    back = time.monotonic() - killed
    after = launched.info("support")["gateway"]
    assert (after["epoch"], after["node"]) == (before["epoch"], before["node"]), "its own process"
    assert bob.texts() == ["before", "without a head", "with the next head"]

    began = time.monotonic()
    launched.api.post("/api/sessions/support/restart").raise_for_status()
    until(lambda: launched.info("support").get("gateway", {}).get("epoch", 0) > after["epoch"], 60)
    until(lambda: launched.works("support"), 60, "WORKING after a restart by the next head")
    log.info(
        "a send %.1f s after the head was lost, %.1f s with the next one; restart %.1f s",
        *(without, back, time.monotonic() - began),
    )
    history = launched.api.get(f"/api/support/chats/{bob.chat}/messages", params={"limit": 100})
    assert "answered without a head" in [one["body"] for one in history.json()]
