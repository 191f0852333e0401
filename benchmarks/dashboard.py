"""The dashboard with data: a real gateway, a real Prometheus, and each panel's queries drawn.

`gateway bench dashboard` (needs Debian's `prometheus` on the PATH) brings up a gateway with the
sandbox, has sessions talk, a webhook fail and a process die, and writes docs/images/dashboard.png.
Grafana itself is not part of it: the panels are drawn here, from what Prometheus answers to the
queries of deploy/grafana/gateway.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import matplotlib as mpl
import psutil

from benchmarks.shared.folder import working_folder
from ops.embedded.process import free_ports
from ops.local.layout import Layout
from ops.local.state import State

mpl.use("Agg")
from matplotlib import pyplot as plt

_ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT / "tests" / "acceptance"))
from running_gateway import RunningGateway  # noqa: E402

_DASHBOARD = _ROOT / "deploy" / "grafana" / "gateway.json"
_PICTURE = _ROOT / "docs" / "images" / "dashboard.png"
_SECRET, _ISSUER, _AUDIENCE = "of-this-picture-" * 3, "https://dashboard.example", "gateway"
_STEP = 2


def main() -> None:
    """Run, scrape, draw."""
    parser = argparse.ArgumentParser(prog="gateway bench dashboard", description=__doc__)
    parser.add_argument("--seconds", type=int, default=150, help="of traffic")
    seconds = parser.parse_args().seconds
    if not (prometheus := shutil.which("prometheus")):
        sys.exit("needs prometheus on the PATH (Debian: prometheus)")
    with working_folder() as folder:
        environment = {
            "JWT_SECRET": _SECRET,
            "JWT_ISSUER": _ISSUER,
            "JWT_AUDIENCE": _AUDIENCE,
            "BACKEND_HEARTBEAT_SECONDS": "5",
        }
        gateway = RunningGateway(folder / "main", environment=environment)
        server: subprocess.Popen[bytes] | None = None
        try:
            gateway.up()
            url, server = _prometheus(prometheus, folder, gateway)
            begun = time.time()
            _traffic(gateway, begun + seconds)
            _check(gateway)
            _draw(url, begun, time.time())
        finally:
            if server is not None:
                server.terminate()
                server.wait(10)
            gateway.down()


def _prometheus(
    program: str, folder: Path, gateway: RunningGateway
) -> tuple[str, subprocess.Popen[bytes]]:
    """As deploy/prometheus/prometheus.yaml has it, with the token of an operator."""
    claims = {"iss": _ISSUER, "aud": _AUDIENCE, "sub": "prometheus", "tenant": "default"}
    token = jwt.encode(
        claims | {"scope": "admin", "exp": int(time.time()) + 3600}, _SECRET, algorithm="HS256"
    )
    (folder / "token").write_text(token)
    shutil.copy(_ROOT / "deploy" / "prometheus" / "alerts.yaml", folder)
    config = (_ROOT / "deploy" / "prometheus" / "prometheus.yaml").read_text()
    config = config.replace("/etc/prometheus/gateway-token", str(folder / "token"))
    config = config.replace("gateway:3000", gateway.state.url.removeprefix("http://"))
    config = config.replace("scrape_interval: 15s", f"scrape_interval: {_STEP}s")
    (folder / "prometheus.yaml").write_text(config)
    (port,) = free_ports(1)
    server = subprocess.Popen(
        [
            *(program, f"--config.file={folder / 'prometheus.yaml'}"),
            *(f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return f"http://127.0.0.1:{port}", server


class _Answers(BaseHTTPRequestHandler):
    """A receiver of webhooks that takes everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _traffic(gateway: RunningGateway, until: float) -> None:
    """Sessions that talk, a webhook that answers, one that nobody answers, and a process that dies
    half way."""
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    hooks = [
        {"url": "http://127.0.0.1:9/nobody", "events": ["message.ack"]},
        {"url": f"http://127.0.0.1:{receiver.server_port}/", "events": ["message", "message.ack"]},
    ]
    talkers = []
    for number in range(3):
        phone = gateway.phone()
        name = f"talker-{number}"
        gateway.paired(name, phone)
        talkers.append((name, phone))
    friends = [gateway.phone() for _ in range(3)]
    gateway.api.put(f"/api/sessions/{talkers[0][0]}", json={"config": {"webhooks": hooks}})
    gateway.working(talkers[0][0])
    half, killed = time.time() + (until - time.time()) / 2, False
    while time.time() < until:
        name, phone = random.choice(talkers)  # noqa: S311
        friend = random.choice(friends)  # noqa: S311
        body = {"session": name, "chatId": friend.chat, "text": "for the picture"}
        gateway.api.post("/api/sendText", json=body)
        if random.random() < 0.5:  # noqa: S311
            friend.post("/messages", to=phone.number, text="seen")
        if time.time() > half and not killed:
            killed = True
            _kill_a_session(gateway)
        time.sleep(random.uniform(0.05, 0.6))  # noqa: S311


def _kill_a_session(gateway: RunningGateway) -> None:
    """One process of a session, of this gateway only."""
    state = State.read(Layout.at(gateway.data).state)
    for part in state.parts if state else ():
        for one in part.family:
            try:
                process = psutil.Process(one.pid)
                if "SessionActor" in "".join(process.cmdline()[:1]):
                    process.send_signal(signal.SIGKILL)
                    return
            except psutil.Error:
                continue


def _check(gateway: RunningGateway) -> None:
    """What promtool says of the metrics of the running gateway, and of the files."""
    promtool = shutil.which("promtool")
    if promtool is None:
        return
    text = gateway.api.get("/metrics").raise_for_status().content
    rules = str(_ROOT / "deploy" / "prometheus" / "alerts.yaml")
    for arguments, given in (
        (["check", "metrics"], text),
        (["check", "rules", rules], b""),
        (["test", "rules", rules.replace("alerts", "alerts_test")], b""),
    ):
        done = subprocess.run([promtool, *arguments], input=given, capture_output=True, check=False)
        listed = (done.stdout + done.stderr).decode().strip().splitlines()
        sys.stdout.write(
            f"promtool {arguments[0]} {arguments[1]}: {done.returncode} {listed[-3:]}\n"
        )


def _draw(url: str, begun: float, ended: float) -> None:
    panels = json.loads(_DASHBOARD.read_text())["panels"]
    rows = (len(panels) + 2) // 3
    figure, axes = plt.subplots(rows, 3, figsize=(18, 3 * rows), constrained_layout=True)
    empty = []
    for panel, axis in zip(panels, axes.flat, strict=False):
        drawn = False
        for target in panel["targets"]:
            for series in _series(url, target["expr"], begun, ended):
                points = [(float(at) - begun, float(value)) for at, value in series["values"]]
                name = target["legendFormat"]
                for label, value in series["metric"].items():
                    name = name.replace(f"{{{{{label}}}}}", value)
                axis.plot(*zip(*points, strict=True), label=name, linewidth=1.4)
                drawn = drawn or any(value == value for _, value in points)
        unit = panel["fieldConfig"]["defaults"].get("unit", "short")
        axis.set_title(f"{panel['title']} ({unit})", loc="left", fontsize=10)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.25)
        axis.tick_params(labelsize=8)
        if drawn:
            axis.legend(fontsize=7, loc="upper left", frameon=False)
        else:
            empty.append(panel["title"])
    for axis in list(axes.flat)[len(panels) :]:
        axis.set_axis_off()
    figure.suptitle(
        "deploy/grafana/gateway.json: answers of Prometheus to each panel's queries; seconds of "
        "the run",
        fontsize=11,
    )
    _PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(_PICTURE, dpi=70)
    sys.stdout.write(f"{_PICTURE}: {len(panels)} panels, without data: {empty or 'none'}\n")


def _series(url: str, query: str, begun: float, ended: float) -> list[Any]:
    answer = httpx.get(
        f"{url}/api/v1/query_range",
        params={"query": query, "start": begun, "end": ended, "step": _STEP},
        timeout=30,
        trust_env=False,
    )
    return list(answer.raise_for_status().json()["data"]["result"])


if __name__ == "__main__":
    os.chdir(_ROOT)
    main()
