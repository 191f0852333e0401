"""Pods of the `RayService` in deploy/kubernetes, each in a machine of its own: the commands,
settings, probes and hooks that its containers get from KubeRay 1.7, without Kubernetes.

What KubeRay makes of a manifest is in its sources (controllers/ray/common/pod.go): the `ray start`
command, `RAY_ADDRESS`, the token, GCS fault tolerance, probes.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psutil
import yaml

from machines.debian import PATH
from machines.hosts import STOP_SECONDS, SystemdHost
from machines.shell import run
from ops.local.layout import ROOT

if TYPE_CHECKING:
    from machines.bed import Bed

__all__ = ["PodHost"]

_BASE = ROOT / "deploy" / "kubernetes" / "base"
_SERVICE = yaml.safe_load((_BASE / "rayservice.yaml").read_text())["spec"]
_SETTINGS: dict[str, str] = yaml.safe_load((_BASE / "configmap.yaml").read_text())["data"]
_CLUSTER = _SERVICE["rayClusterConfig"]
(_WORKERS,) = _CLUSTER["workerGroupSpecs"]
#: KubeRay's probes of a head: of the raylet by its agent, of the control store.
_OF_HEAD = ["localhost:52365/api/local_raylet_healthz", "localhost:8265/api/gcs_healthz"]
#: Set for each container of a `RayService`.
_OF_A_SERVICE = {
    "RAY_timeout_ms_task_wait_for_death_info": "0",
    "RAY_gcs_server_request_timeout_seconds": "5",
    "RAY_SERVE_KV_TIMEOUT_S": "5",
    "RAY_USAGE_STATS_KUBERAY_IN_USE": "1",
}
#: Of workers with GCS fault tolerance, unless the container says another one itself.
_RECONNECTS = {"RAY_gcs_rpc_server_reconnect_timeout_s": "600"}


def _declare(bed: Bed) -> None:
    """What KubeRay does when the head is there: declare the application. Raises `OSError`."""
    head = bed.head
    assert isinstance(head, PodHost)
    config = json.dumps(yaml.safe_load(_SERVICE["serveConfigV2"]))
    run(
        *("ip", "netns", "exec", bed.clients.namespace, "curl", "--fail-with-body", "--silent"),
        *("--max-time", "60", "--request", "PUT", "--header", "Content-Type: application/json"),
        *("--header", f"Authorization: Bearer {head.settings()['RAY_AUTH_TOKEN']}"),
        *("--data", config, f"http://{head.address}:8265/api/serve/applications/"),
    )


def _image() -> dict[str, str]:
    """The environment that the Dockerfile's last stage gives."""
    last = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    (block,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", last, re.MULTILINE)
    found = dict(one.split("=", 1) for one in block.replace("\\\n", " ").split())
    return found | {"PATH": found["PATH"].replace("$PATH", PATH)}


class PodHost(SystemdHost):
    """A node of Kubernetes with one pod."""

    http_port = int(_SETTINGS["HTTP_PORT"])

    @property
    def _is_head(self) -> bool:
        return self is self.bed.head

    @property
    def _group(self) -> dict[str, Any]:
        return dict(_CLUSTER["headGroupSpec"] if self._is_head else _WORKERS)

    @property
    def _container(self) -> dict[str, Any]:
        (container,) = self._group["template"]["spec"]["containers"]
        return dict(container)

    def settings(self) -> dict[str, str]:
        """Of the container: the image's, those of ConfigMap and Secret, and KubeRay's."""
        of_bed = {
            line.partition("=")[0]: shlex.split(line.partition("=")[2])[0]
            for line in self.bed.settings.read_text().splitlines()
        }
        redis, password = of_bed.pop("RAY_REDIS_ADDRESS"), of_bed.pop("RAY_REDIS_PASSWORD")
        found = _image() | _SETTINGS | of_bed | {"GCS_REDIS_PASSWORD": password} | _OF_A_SERVICE
        found["HOME"] = found["GATEWAY_DATA_DIR"]
        # The bed's has no certificate.
        found["S3_SECURE"] = "false"
        found["RAY_AUTH_MODE"] = _CLUSTER["authOptions"]["mode"]
        found["RAY_CLOUD_INSTANCE_ID"] = self.name
        if self._is_head:
            found["RAY_ADDRESS"] = "127.0.0.1:6379"
            found["RAY_REDIS_ADDRESS"] = f"redis://{redis}"
            found["REDIS_PASSWORD"] = password
        else:
            found["RAY_ADDRESS"] = f"{self.bed.head.address}:6379"
            found |= _RECONNECTS
        found["RAY_external_storage_namespace"] = _CLUSTER["gcsFaultToleranceOptions"][
            "externalStorageNamespace"
        ]
        # Its own go before all others.
        for one in self._container.get("env", []):
            found[one["name"]] = one.get("value", self.name)
        return found

    def boot(self) -> None:
        """The machine, and a new pod in it: its volumes are empty."""
        self.boot_alone()
        self._give_files()
        self.start_node()

    def start_node(self) -> None:
        for one in ("/var/lib/gateway", "/tmp/ray"):  # noqa: S108 - the pod's
            self.shell(f"rm -rf {one} && install -d -m 2770 -o root -g 10001 {one}")
        if self._is_head:
            (migrate,) = self._group["template"]["spec"]["initContainers"]
            self.run_inside(shlex.join(migrate["command"]))
        else:
            self.run_inside(_wait_for_gcs(self.bed.head.address))
        parameters = dict(self._group["rayStartParams"])
        if self._is_head:
            parameters["redis-password"] = "$REDIS_PASSWORD"
        else:
            parameters["address"] = f"{self.bed.head.address}:6379"
        limit = self._container["resources"]["limits"]["memory"]
        parameters["memory"] = str(int(limit.removesuffix("Gi")) << 30)
        parameters |= {"metrics-export-port": "8080", "dashboard-agent-listen-port": "52365"}
        words = "".join(f" --{name}={value}" for name, value in parameters.items())
        head = "--head " * self._is_head
        self.run(*self._as_user(f"ulimit -n 65536; ray start {head}--block{words}"))
        if self._is_head:
            (started,) = self._container["lifecycle"]["postStart"].values()
            self.run_inside(shlex.join(started["command"]))
            _declare(self.bed)

    def stop_node(self) -> None:
        """As a pod is deleted: its hook, SIGTERM, and SIGKILL when its time is over."""
        grace = self._group["template"]["spec"]["terminationGracePeriodSeconds"]
        deadline = time.monotonic() + grace
        if stop := self._container.get("lifecycle", {}).get("preStop"):
            self.run_inside(shlex.join(stop["exec"]["command"]))
        process = self._terminate()
        try:
            process.wait(max(1.0, deadline - time.monotonic()))
        finally:
            for one in self._of_the_pod():
                one.kill()
        process.wait(STOP_SECONDS)
        if stop:
            # The next pod has a name of its own, which nobody drained.
            self.run_inside(f"python -m ops.cli undrain {self.name}")

    def is_up(self) -> bool:
        """Whether it is ready, and alive, by its probes."""
        asked = _OF_HEAD
        if not self._is_head:
            probes = [
                self._container[f"{name}Probe"]["httpGet"] for name in ("readiness", "liveness")
            ]
            asked = [f"localhost:{one['port']}{one['path']}" for one in probes]
        try:
            self.run_inside(
                " && ".join(f"wget --tries 1 -T 2 -q -O- http://{one}" for one in asked)
            )
        except OSError:
            return False
        return True

    def run_inside(self, command: str) -> None:
        """In the container, as `kubectl exec` does. Raises `OSError` when it fails."""
        words = self._as_user(command)
        self.shell(shlex.join(words))

    def _as_user(self, command: str) -> list[str]:
        pod = self._group["template"]["spec"]["securityContext"]
        user, group = str(pod["runAsUser"]), str(pod["fsGroup"])
        assert self._container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        return [
            *("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"),
            *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"),
            *("env", "-i", "-C", "/opt/gateway"),
            *(f"{name}={value}" for name, value in self.settings().items()),
            *("bash", "-c", command),
        ]

    def _of_the_pod(self) -> Iterator[psutil.Process]:
        user = self._group["template"]["spec"]["securityContext"]["runAsUser"]
        for one in psutil.Process(self.first).children(recursive=True):
            if one.uids().real == user:
                yield one


def _wait_for_gcs(address: str) -> str:
    return f"until ray health-check --address {address}:6379; do sleep 5; done"
