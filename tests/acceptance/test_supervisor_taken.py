"""The supervisor lives on where a node's agent took it, and does its work there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from running_gateway import RunningGateway

_PROGRAM = """
import json, os, time
import ray
from cluster.domain.session import SUPERVISOR
from cluster.settings import Settings

space = Settings().placement.namespace
ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), namespace=space, log_to_driver=False)

def where():
    from ray.util.state import list_actors
    found = list_actors(filters=[("name", "=", SUPERVISOR), ("state", "=", "ALIVE")])
    return [one.node_id for one in found]

(first,) = where()
agents = [a["name"] for a in ray.util.list_named_actors(all_namespaces=True)]
name = next(a for a in agents if a.startswith("node-agent:") and not a.endswith(first))
ray.get(ray.get_actor(name, space).take_supervisor.remote(first), timeout=90)
print(json.dumps([first, where()]))
"""


def test_another_node_takes_the_supervisor_and_sessions_start(
    gateway: RunningGateway, session_name: Callable[[], str], tmp_path: Path
) -> None:
    program = tmp_path / "take.py"
    program.write_text(_PROGRAM)
    said = gateway.command("run", "python", str(program))
    printed = next(line for line in said.splitlines() if line.startswith("["))
    before, after = json.loads(printed)
    assert len(after) == 1, "one supervisor"
    assert after != [before], "and it is on the other node"
    name = session_name()
    gateway.paired(name, gateway.phone("After"))
    gateway.api.delete(f"/api/sessions/{name}").raise_for_status()
