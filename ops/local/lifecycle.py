"""The gateway's life on one machine: start all parts in order, keep them up, end them."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from cluster.domain.errors import Conflict, GatewayError, Invalid
from cluster.settings import StoreSettings
from ops.embedded.process import ProcessId, free_ports
from ops.ingress import haproxy
from ops.local.apart import apart
from ops.local.background import HostOptions
from ops.local.generated_secrets import ray_token
from ops.local.layout import ROOT, Layout
from ops.local.orphans import RUN_VARIABLE, end_orphans
from ops.local.part import Part
from ops.local.ports import is_free
from ops.local.ray_cluster import RAY_SETTINGS, RayCluster, access
from ops.local.restarts import Restarts
from ops.local.sandbox import SandboxAddresses, SandboxPart
from ops.local.state import Phase, State
from ops.local.steps import Step
from ops.local.stores import StorePart, needed_stores
from ops.local.user_settings import UserSettings

__all__ = ["LocalGateway"]

log = structlog.get_logger(__name__)

_STEP_SECONDS = 120.0
_STOP_SESSIONS_SECONDS = 60
_STOP_STEP_SECONDS = 30.0
_POLL_SECONDS = 1.0
#: How much it yields to others what is loaded before its time (nice(2)).
_BESIDE = 19
#: Families are recorded this often: looking costs a walk through all processes.
_RECORD_SECONDS = 30.0


class LocalGateway:
    """Use it from the main thread only: children end with the thread that started them."""

    def __init__(self, options: HostOptions) -> None:
        self._options = options
        self._layout = Layout.at(options.data)
        host = ProcessId.of(os.getpid())
        assert host is not None  # noqa: S101 - we are it
        self._state = State(
            run=secrets.token_hex(8), host=host, sandboxed=options.sandbox, nodes=options.nodes
        )
        # Before the first record of this run takes its place.
        self._earlier = State.read(self._layout.state)
        self._stores: list[StorePart] = []
        self._sandbox: SandboxPart | None = None
        self._ray: RayCluster | None = None
        self._supervised = False
        self._served = False
        self._steps: list[Step] = []
        self._recorded = 0.0

    def start(self) -> None:
        """Start everything. Raises `GatewayError`; call `stop` in any case."""
        with self._phase(Phase.CLEANING):
            self._layout.claim(sandbox=self._options.sandbox)
            if self._earlier is not None:
                end_orphans(self._earlier)
        own = UserSettings.read()
        token_file, token = ray_token(self._layout.secrets)
        os.environ.update(self._environment(own, token))
        # All begin before the first is waited for. What Ray starts finds the others' addresses in
        # its environment; the sandbox says its own last.
        if self._options.sandbox:
            self._sandbox = SandboxPart(self._layout.sandbox, self._note_sandbox)
            os.environ["WHATSAPP_SANDBOX_CONTROL_FILE"] = str(self._sandbox.port_file)
            self._sandbox.begin()
        with self._phase(Phase.STORES):
            self._stores = needed_stores(own, self._layout)
            for store in self._stores:
                store.begin()
                os.environ.update(store.env())
                self._record()
        if self._sandbox is not None:
            with self._phase(Phase.SANDBOX):
                self._sandbox.wait()
        os.environ.update(access(token_file))
        self._ray = self._cluster(own)
        self._ray.begin()
        with self._phase(Phase.MIGRATING):
            apart(self._migrate)
        with self._phase(Phase.RAY):
            self._ray.wait()
        self._start_application()
        self._check_closed()
        self._state.phase = Phase.UP
        self._record()
        log.info("local.up", url=self._state.url, seconds=self._state.seconds)

    def watch(self) -> None:
        """Keep the parts up, for ever."""
        restarts = Restarts()
        while True:
            time.sleep(_POLL_SECONDS)
            for part in self._lone_parts():
                if part.ended and restarts.due(part.name, rest=part.rest):
                    log.warning("local.part_ended", part=part.name)
                    restarts.attempt(part.name, part.start)
                    self._record()
            if self._ray is not None and self._ray.head.ended and restarts.due("ray"):
                log.warning("local.ray_head_ended")
                restarts.attempt("ray", self._restart_ray)
            if time.monotonic() - self._recorded > _RECORD_SECONDS:
                self._record()

    def stop(self) -> None:
        """End everything: front and sessions, then the nodes, then what they use. Each step is
        bounded and none stops the others."""
        failed = self._state.phase is Phase.FAILED
        if not failed:
            self._state.phase = Phase.STOPPING
            self._record()
        began = time.monotonic()
        self._cancel_steps()
        if self._ray is not None and not self._ray.head.ended:
            self._stop_application()
        self._stop_parts(self._ray.nodes if self._ray else [])
        self._stop_parts([*self._stores, *([self._sandbox] if self._sandbox else [])])
        self._state.parts = []
        if not failed:
            self._state.phase = Phase.DOWN
        self._state.write(self._layout.state)
        log.info("local.down", seconds=round(time.monotonic() - began, 1))

    def fail(self, reason: str) -> None:
        """Note why it cannot start or go on."""
        self._state.error = reason
        self._state.phase = Phase.FAILED
        self._record()

    def _migrate(self) -> None:
        """Once the stores answer."""
        for store in self._stores:
            store.wait()
        from cluster.stores.migrate import migrate

        migrate(StoreSettings().database_url.get_secret_value())

    def _cluster(self, own: UserSettings) -> RayCluster:
        found = RayCluster(
            self._layout,
            nodes=self._options.nodes,
            slots=own.settings.placement.session_slots_per_node,
            dashboard=self._options.dashboard,
            fronts=own.fronts(self._options.nodes) if sys.platform == "linux" else 0,
        )
        os.environ["RAY_ADDRESS"] = self._state.ray_address = found.head.address
        self._state.dashboard_url = found.head.dashboard_url
        return found

    def _environment(self, own: UserSettings, token: str) -> dict[str, str]:
        """What every process of this run finds in its environment, but for the parts' addresses."""
        port = own.http_port or self._options.http_port or free_ports(1)[0]
        if not is_free(own.settings.http.host, port):
            raise Conflict(f"port {port} is taken by another program: set HTTP_PORT to a free one")
        found = {
            RUN_VARIABLE: self._state.run,
            "PYTHONPATH": str(ROOT),
            "GATEWAY_DATA_DIR": str(self._layout.node("node-1")),
            "HTTP_PORT": str(port),
            "WEBHOOK_ALLOW": own.webhook_networks,
            "WEBHOOK_ALLOW_TENANTS": own.webhook_tenants,
            "WEBHOOK_DISPATCHERS": str(own.dispatchers(self._options.nodes)),
            **own.secrets(self._layout.secrets),
            **{name: os.environ.get(name, value) for name, value in RAY_SETTINGS.items()},
            **self._ingress(own, token),
        }
        self._state.url = own.settings.http.own_url(port)
        self._state.api_key = found["HTTP_API_KEY"]
        return found

    def _ingress(self, own: UserSettings, token: str) -> dict[str, str]:
        """HAProxy in front of Serve, where there is one. Raises `Invalid` when it must be there."""
        ingress = own.settings.http.ingress
        # Ray's configuration of it ends no TLS.
        without = ingress == "serve" or bool(own.settings.http.tls_cert_file)
        found = "" if without else haproxy.binary()
        if ingress == "haproxy" and not found:
            raise Invalid("HTTP_INGRESS is haproxy: none is installed, or it would have to end TLS")
        if not found:
            return {"RAY_SERVE_ENABLE_HA_PROXY": "0"}
        (fallback,) = free_ports(1)
        return haproxy.environment(found, self._layout.haproxy, fallback=fallback, token=token)

    def _prepared(self, module: str, *arguments: str, nice: int = 0) -> Step:
        """Loaded while what it needs starts; forked, where Serve's processes are."""
        node = self._ray.head.forking if self._ray else None
        step = Step(module, *arguments, output=self._layout.log, nice=nice, node=node)
        self._steps.append(step)
        return step

    def _start_application(self) -> None:
        """The front first: it accepts texts for sessions that have no owner yet, whose starts would
        take the processor from it. The supervisor's program loads beside it, of what is left."""
        front = self._prepared("serve_app")
        supervisor = self._prepared("actors.bootstrap", nice=_BESIDE)
        with self._phase(Phase.HTTP):
            self._served = True
            front.run(timeout=_STEP_SECONDS)
        with self._phase(Phase.SUPERVISOR):
            self._supervised = True
            supervisor.run(timeout=_STEP_SECONDS)
        self._steps.clear()

    def _cancel_steps(self) -> None:
        for step in self._steps:
            step.cancel()
        self._steps.clear()

    def _check_closed(self) -> None:
        """Whether others of this machine are kept out, now that everything has made its files.
        Raises `Conflict` where they reach the sockets: who does so takes over the gateway."""
        found = self._layout.exposures()
        for one in found:
            log.error("local.open_to_others", path=str(one.path), how=one.how)
        reached = [one for one in found if one.path.is_relative_to(self._layout.short)]
        if reached:
            raise Conflict(f"open to other users of this machine: {reached[0]}")

    def _restart_ray(self) -> None:
        """A new cluster in place of one that lost its head; sessions come back from PostgreSQL."""
        if self._ray is not None:
            self._supervised = self._served = False
            self._cancel_steps()
            self._ray.stop()
            self._ray.begin()
            self._ray.wait()
            self._start_application()
            self._check_closed()
            self._state.phase = Phase.UP
            self._record()

    def _stop_application(self) -> None:
        """The front and the sessions at once: what the front still answers, texts that it accepts
        among it, needs the stores alone."""
        ends: list[tuple[Step, float]] = []
        if self._served:
            ends.append((self._prepared("serve_app", "--stop"), _STOP_STEP_SECONDS))
        if self._supervised:
            patience = str(_STOP_SESSIONS_SECONDS)
            step = self._prepared("actors.bootstrap", "--stop", "--timeout", patience)
            ends.append((step, _STOP_SESSIONS_SECONDS + _STOP_STEP_SECONDS))
        for step, _ in ends:
            step.begin()
        for step, timeout in ends:
            self._try(partial(step.wait, timeout=timeout))

    def _stop_parts(self, parts: Sequence[Part]) -> None:
        def stop(part: Part) -> None:
            asked = time.monotonic()
            self._try(part.stop)
            seconds = round(time.monotonic() - asked, 1)
            log.info("local.part_stopped", part=part.name, seconds=seconds)

        with ThreadPoolExecutor(max_workers=max(1, len(parts))) as each:
            list(each.map(stop, parts))

    def _note_sandbox(self, addresses: SandboxAddresses) -> None:
        """Ports and root key stay over restarts, the token does not."""
        os.environ.update(addresses.env())
        self._state.sandbox_control_url = addresses.control_url
        self._state.sandbox_control_token = addresses.control_token.get_secret_value()

    def _lone_parts(self) -> list[Part]:
        """All that can be restarted without the others."""
        parts: list[Part] = [*self._stores]
        if self._sandbox is not None:
            parts.append(self._sandbox)
        if self._ray is not None and not self._ray.head.ended:
            parts += self._ray.others
        return parts

    def _record(self) -> None:
        parts = self._lone_parts()
        if self._ray is not None:
            parts = [*(p for p in parts if p not in self._ray.others), *self._ray.nodes]
        self._state.parts = [part.report() for part in parts]
        self._state.write(self._layout.state)
        self._recorded = time.monotonic()

    @contextlib.contextmanager
    def _phase(self, phase: Phase) -> Iterator[None]:
        self._state.phase = phase
        self._record()
        log.info("local.phase", phase=phase.value)
        began = time.monotonic()
        yield
        self._state.seconds[phase.name.lower()] = round(time.monotonic() - began, 1)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (GatewayError, OSError) as error:
            log.warning("local.stop_failed", reason=str(error))
