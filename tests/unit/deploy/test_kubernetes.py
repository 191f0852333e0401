"""The Kubernetes manifests: core kinds by the published schemas of Kubernetes, the RayService by
that of KubeRay. No cluster was at hand: docs/kubernetes.md says what was not run."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator
from ray.serve.schema import ServeDeploySchema

import serve_app

FOLDER = Path(__file__).parents[3] / "deploy" / "kubernetes"
SCHEMA = Path(__file__).parent / "schemas" / "kuberay-rayservice-v1.json"
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())
_VERSION = "1.33"
_OPEN = "x-kubernetes-preserve-unknown-fields"


def _closed(schema: Any, name: str = "") -> Any:
    """As the API server prunes: a field that the schema does not know is a mistake."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed(value, key) for key, value in schema.items()}
    known = schema.get("properties")
    if isinstance(known, dict) and name != "properties" and not schema.get(_OPEN):
        found.setdefault("additionalProperties", False)
    return found


def _documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((FOLDER / "base").glob("*.yaml")):
        if file.name != "kustomization.yaml":
            for document in yaml.safe_load_all(file.read_text()):
                yield f"{document['kind']}/{document['metadata']['name']}", document


BASE = dict(_documents())


def _validate(document: dict[str, Any]) -> None:
    if document["kind"] == "RayService":
        schema = _closed(json.loads(SCHEMA.read_text()))
        # `metadata` is Kubernetes' own.
        schema["properties"]["metadata"] = {"type": "object"}
        Draft202012Validator(schema).validate(document)
        for pod in _pods(document):
            kubernetes_validate.validate(pod, _VERSION, strict=True)
    else:
        kubernetes_validate.validate(document, _VERSION, strict=True)


def _pods(service: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cluster = service["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        template = group["template"]
        metadata = {"name": "pod", **template.get("metadata", {})}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.mark.parametrize("name", BASE)
def test_every_manifest_is_as_published(name: str) -> None:
    _validate(BASE[name])


def test_the_check_notices_a_misspelt_field() -> None:
    service = json.loads(json.dumps(BASE["RayService/gateway"]))
    service["spec"]["rayClusterConfig"]["autoscalerOptions"]["idleTimeOut"] = 1
    with pytest.raises(Exception, match="idleTimeOut"):
        _validate(service)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_build_and_are_as_published(overlay: str, tmp_path: Path) -> None:
    copy = tmp_path / "kubernetes"
    shutil.copytree(FOLDER, copy)
    target = copy / "overlays" / overlay
    shutil.copy(copy / "secrets.env.example", target / "secrets.env")
    built = subprocess.run(
        ["kubectl", "kustomize", str(target)], capture_output=True, text=True, check=True
    )
    documents = list(yaml.safe_load_all(built.stdout))
    assert {one["kind"] for one in documents} >= {
        *("RayService", "ConfigMap", "Secret", "Ingress"),
        *("NetworkPolicy", "PodDisruptionBudget"),
    }
    for document in documents:
        assert document["metadata"].get("namespace", "whatsapp-gateway") == "whatsapp-gateway"
        _validate(document)


def test_serve_takes_the_configuration_and_finds_the_application() -> None:
    config = ServeDeploySchema(
        **yaml.safe_load(BASE["RayService/gateway"]["spec"]["serveConfigV2"])
    )
    (application,) = config.applications
    module, _, name = str(application.import_path).partition(":")
    assert callable(getattr(__import__(module), name))
    assert application.route_prefix == "/"


def test_it_is_safe_by_its_own_words() -> None:
    spec = BASE["RayService/gateway"]["spec"]
    assert spec["upgradeStrategy"] == {"type": "None"}, "never two supervisors on the same stores"
    cluster = spec["rayClusterConfig"]
    assert cluster["enableInTreeAutoscaling"]
    assert cluster["gcsFaultToleranceOptions"]["redisAddress"].startswith("redis://")
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] >= 2, "a takeover needs a second node"
    slots = json.loads(json.loads(workers["rayStartParams"]["resources"].strip("'")))
    assert slots["session_slots"] > 0, "the autoscaler grows by session slots"
    for pod in _pods(BASE["RayService/gateway"]):
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        for container in pod["spec"]["containers"]:
            assert container["resources"]["limits"]["memory"]
            assert not container["securityContext"]["allowPrivilegeEscalation"]
    (worker,) = workers["template"]["spec"]["containers"]
    asked = {worker[f"{name}Probe"]["httpGet"]["path"] for name in ("readiness", "liveness")}
    assert asked == {"/health/ready", "/api/local_raylet_healthz"}, "none needs the head"
    assert worker["livenessProbe"]["timeoutSeconds"] > 5, "its question to the head may take that"
    own = {one["name"]: one.get("value") for one in worker["env"]}
    settings = BASE["ConfigMap/gateway-settings"]["data"]
    # KubeRay looks at the container's own environment alone.
    waits = "RAY_gcs_rpc_server_reconnect_timeout_s"
    assert own[waits] == settings[waits]
    secret = (FOLDER / "secrets.env.example").read_text()
    assert all("…" in line for line in secret.splitlines() if not line.startswith("#"))


def test_the_front_is_on_the_nodes_of_the_service_one_on_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """KubeRay declares it before the workers are there, and leaves the head out of the service."""
    spec = BASE["RayService/gateway"]["spec"]
    assert spec["excludeHeadPodFromServeSvc"]
    replicas = BASE["ConfigMap/gateway-settings"]["data"]["HTTP_REPLICAS"]
    monkeypatch.setenv("HTTP_REPLICAS", replicas)
    deployment = serve_app.application({})._bound_deployment
    assert deployment.num_replicas == int(replicas)
    assert deployment._replica_config.max_replicas_per_node == 1
    assert deployment.ray_actor_options is not None
    (slots,) = deployment.ray_actor_options["resources"]
    (workers,) = spec["rayClusterConfig"]["workerGroupSpecs"]
    assert slots in workers["rayStartParams"]["resources"]
    assert slots not in spec["rayClusterConfig"]["headGroupSpec"]["rayStartParams"].get(
        "resources", ""
    )
    assert workers["minReplicas"] >= int(replicas), "none waits for a node"
