"""A node of a cluster of many machines, run by `gateway node`: it owns the machine's Ray node as a
child, starts it again when it ends (after having been cut off, say), and on the head keeps
supervisor and HTTP front deployed."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import structlog
import yaml

from cluster.domain.errors import Conflict, GatewayError, Invalid, Unavailable
from cluster.security.cluster_token import cluster_token
from cluster.settings import HttpSettings, StoreSettings
from cluster.stores.migrate import migrate
from ops.embedded.process import ProcessId, free_ports, private_file
from ops.ingress import haproxy
from ops.local.layout import ROOT, Layout
from ops.local.orphans import RUN_VARIABLE, end_orphans
from ops.local.ray_cluster import RAY_SETTINGS
from ops.local.ray_node import RayNode
from ops.local.ray_state import node_names
from ops.local.restarts import Restarts
from ops.local.state import Phase, State
from ops.local.steps import run_module

__all__ = ["COMMANDS", "Machine", "NodeOptions"]

log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.5
_RECORD_SECONDS = 3.0
#: A node that is stopped waits so long for another one that takes sessions: the one that was
#: stopped before it, in an upgrade, may have come back a moment ago.
_PATIENCE_SECONDS = 15.0
_STEP_SECONDS = 180.0
#: A head's raylet is there after so long.
_START_SECONDS = 45.0
#: From one look at which nodes there are to the next, and how long they must be the same before the
#: front is spread over them again.
_NODES_SECONDS, _SETTLED_SECONDS = 5.0, 15.0
_FALLBACK_PORT = 8500
#: The command line, as a step.
COMMANDS = "ops.cli.__main__"
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeOptions:
    """What was asked for on the command line."""

    data: Path
    name: str
    #: Address of this machine in the cluster.
    host: str
    #: host:port of the head's control store; empty: this is the head.
    join: str = ""
    #: Of the head's control store, on the head; 0: 6379, or any on loopback.
    port: int = 0
    slots: int = 0
    #: What Ray's cluster launcher left on the head, for its autoscaler.
    autoscaling: Path | None = None
    #: Seconds that a stop may take to hand sessions over.
    drain_seconds: float = 240.0


class Machine:
    """Use it from the main thread only: children end with the thread that started them."""

    def __init__(self, options: NodeOptions) -> None:
        self._options = options
        self._layout = Layout.at(options.data)
        self._layout.prepare()
        self._lock = os.open(self._layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"another node runs with {self._layout.data}") from None
        me = ProcessId.of(os.getpid())
        assert me is not None  # noqa: S101 - we are it
        self._earlier = State.read(self._layout.state)
        self._state = State(run=secrets.token_hex(8), host=me)
        self._token = ""
        self._node: RayNode | None = None
        self._restarts = Restarts()
        self._recorded = self._polled = self._began = self._asked = 0.0
        #: Its raylet was there since it was started.
        self._joined = False
        #: Ids of nodes that the front was spread over, those seen last, and since when.
        self._served: set[str] | None = None
        self._seen: tuple[set[str], float] = (set(), 0.0)
        self._deployed = False

    @property
    def _head(self) -> bool:
        return not self._options.join

    def run(self) -> NoReturn:
        """Start the node and keep it up, for ever."""
        if self._earlier is not None:
            end_orphans(self._earlier)
        shutil.rmtree(self._layout.ray, ignore_errors=True)
        os.environ.update(self._environment())
        self._note(Phase.MIGRATING)
        self._prepare_stores()
        self._node = RayNode(
            self._options.name,
            self._layout,
            slots=self._options.slots,
            cluster=self._options.join,
            host=self._options.host,
            gcs_port=self._options.port,
            lasting=True,
            autoscaling=self._options.autoscaling,
            # Every node of the cluster has a replica of the front.
            forks_front=sys.platform == "linux",
        )
        os.environ["RAY_ADDRESS"] = self._state.ray_address = self._node.address
        self._state.dashboard_url = self._node.dashboard_url if self._head else ""
        self._note(Phase.RAY)
        self._node.start()
        self._began = time.monotonic()
        while True:
            self._poll()
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Hand the sessions over, as far as there is room elsewhere, and end everything."""
        self._note(Phase.STOPPING)
        node = self._node
        if node is not None and not node.ended and self._options.slots and not self._alone():
            private_file(self._drained, "")
            self._try(
                *(COMMANDS, "drain", node.name),
                *("--timeout", str(self._options.drain_seconds)),
                *("--patience", str(_PATIENCE_SECONDS)),
                timeout=self._options.drain_seconds + _PATIENCE_SECONDS + 30,
            )
        if node is not None:
            node.stop()
        self._state.parts = []
        self._note(Phase.DOWN)

    # -- one look -------------------------------------------------------------------------------

    def _poll(self) -> None:
        node = self._node
        assert node is not None  # noqa: S101 - made before
        if node.ended or self._hangs(node):
            if self._restarts.due("node"):
                log.warning("machine.node_ended", node=node.name)
                self._deployed = False
                self._note(Phase.RAY)
                if not node.ended:
                    node.stop()
                self._restarts.attempt("node", node.start)
                self._began, self._joined = time.monotonic(), False
            return
        if self._head:
            self._deploy(node)
        elif self._state.phase is not Phase.UP and self._joined:
            self._note(Phase.UP)
        if time.monotonic() - self._recorded > _RECORD_SECONDS:
            self._note(self._state.phase)

    def _hangs(self, node: RayNode) -> bool:
        """`ray start` waits for minutes for a raylet that ended while it started (on a machine that
        is too busy, say). A node that joins waits for its head meanwhile: that is no hang."""
        now = time.monotonic()
        if now - self._asked < _RECORD_SECONDS:
            return False
        self._asked = now
        if node.joined():
            self._joined = True
            return False
        return self._joined or (self._head and now - self._began > _START_SECONDS)

    def _deploy(self, node: RayNode) -> None:
        """Supervisor and front, when they are not there (any more), or nodes came or went."""
        if not self._deployed:
            # Before the cluster has the head's raylet there is none that programs could connect to.
            if node.node_id and node.answers() and self._restarts.due("application"):
                self._deployed = self._restarts.attempt("application", self._start_application)
                if self._deployed:
                    self._note(Phase.UP)
            return
        if time.monotonic() - self._polled < _NODES_SECONDS:
            return
        self._polled = time.monotonic()
        try:
            # By id: one that went and came while the front was deployed is another one.
            nodes = node_names(node.dashboard_url, self._token)
        except GatewayError:
            return
        before, since = self._seen
        if nodes.keys() != before:
            self._seen = set(nodes), time.monotonic()
            return
        settled = nodes.keys() != self._served and time.monotonic() - since > _SETTLED_SECONDS
        if settled and self._restarts.attempt("front", self._start_front):
            self._served = set(nodes)
            log.info("machine.front_spread", nodes=sorted(nodes.values()))

    def _start_application(self) -> None:
        self._note(Phase.SUPERVISOR)
        self._forked("actors.bootstrap")
        self._note(Phase.HTTP)
        self._start_front()

    def _start_front(self) -> None:
        self._forked("serve_app")

    def _forked(self, module: str) -> None:
        """Run it as a fork of this node's zygote (`Step`)."""
        node = self._node.forking if self._node else None
        run_module(module, timeout=_STEP_SECONDS, output=self._layout.log, node=node)

    # -- before it ------------------------------------------------------------------------------

    def _prepare_stores(self) -> None:
        """Migrations on the head; and a drain that this node's last stop made is over."""
        while True:
            try:
                if self._head:
                    migrate(StoreSettings().database_url.get_secret_value())
                break
            except Unavailable as error:
                log.warning("machine.stores_unreachable", error=error.detail)
                time.sleep(2)
        if self._drained.exists():
            self._try(COMMANDS, "undrain", self._options.name, timeout=60)
            self._drained.unlink()

    def _environment(self) -> dict[str, str]:
        """What every process of this node finds in its environment."""
        options, alone = self._options, self._alone()
        self._token = cluster_token({**os.environ, "RAY_AUTH_MODE": "token"})
        found = {
            RUN_VARIABLE: self._state.run,
            "PYTHONPATH": str(ROOT),
            "GATEWAY_DATA_DIR": str(self._layout.node(options.name)),
            "GATEWAY_ENV_FILE": os.devnull,
            "RAY_AUTH_MODE": "token",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_external_storage_namespace": "gateway",
            # As replicas (serve_app.py): a head that is cut off ends no HAProxy of another node.
            "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "300",
            # On a busy machine five seconds are too few for it to start, and it is begun anew.
            "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
            "HTTP_HOST": os.environ.get("HTTP_HOST") or (_LOOPBACK if alone else "0.0.0.0"),  # noqa: S104
            **{name: os.environ.get(name, value) for name, value in RAY_SETTINGS.items()},
            **self._autoscaler(),
        }
        http = HttpSettings()
        self._state.url, self._state.api_key = (
            http.own_url(http.port),
            http.api_key.get_secret_value(),
        )
        binary = "" if http.ingress == "serve" or http.tls_cert_file else haproxy.binary()
        if not binary:
            return found | {"RAY_SERVE_ENABLE_HA_PROXY": "0"}
        fallback = free_ports(1)[0] if alone else _FALLBACK_PORT
        return found | haproxy.environment(
            binary, self._layout.haproxy, fallback=fallback, token=self._token
        )

    def _autoscaler(self) -> dict[str, str]:
        """Ray's newer one takes a head of the provider `local` for one of its workers (2.60), and
        starts one too few of those."""
        path = self._options.autoscaling
        if path is None:
            return {}
        try:
            provider = yaml.safe_load(path.read_text())["provider"]["type"]
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            raise Invalid(f"{path} is no configuration of Ray's cluster launcher") from error
        return {"RAY_enable_autoscaler_v2": "0"} if provider == "local" else {}

    def _alone(self) -> bool:
        return self._options.host == _LOOPBACK

    @property
    def _drained(self) -> Path:
        """There while this node is drained because it was stopped."""
        return self._layout.data / "drained-by-stop"

    def _note(self, phase: Phase) -> None:
        self._state.phase = phase
        if self._node is not None and phase is not Phase.DOWN:
            self._state.parts = [self._node.report()]
        self._state.write(self._layout.state)
        self._recorded = time.monotonic()

    def _try(self, module: str, *arguments: str, timeout: float) -> None:
        try:
            run_module(module, *arguments, timeout=timeout, output=self._layout.log)
        except GatewayError as error:
            log.warning("machine.step_failed", module=module, reason=error.detail)
