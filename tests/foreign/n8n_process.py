"""n8n with its WAHA node, by its own command line: workflows run once, or wait for webhooks."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from foreign.installing import node_packages

__all__ = ["N8n", "N8nError", "waha"]

NODE = "@devlikeapro/n8n-nodes-waha"
_HERE = Path(__file__).parent
_CREDENTIALS = "gatewaygateway01"
_SECONDS = 180.0


class N8nError(Exception):
    """A command of n8n failed: its own words."""


def waha(name: str, resource: str, operation: str, /, **parameters: Any) -> dict[str, Any]:
    """A WAHA node of a workflow. Parameters that are not given are the node's own defaults."""
    return {
        "name": name,
        "type": f"{NODE}.WAHA",
        "typeVersion": 202409,
        "parameters": {"resource": resource, "operation": operation, **parameters},
        "credentials": {"wahaApi": {"id": _CREDENTIALS, "name": "gateway"}},
        # What one node cannot is its own result, and no end of the workflow.
        "onError": "continueRegularOutput",
    }


def _workflow(
    key: str, nodes: list[dict[str, Any]], connections: dict[str, Any], *, active: bool = False
) -> dict[str, Any]:
    for at, node in enumerate(nodes):
        # Branches of one output run from the top down.
        node.update(id=f"{key}-{at}", position=[200 * at, 100 * at])
    return {
        "id": key,
        "name": key,
        "nodes": nodes,
        "connections": connections,
        "settings": {"executionOrder": "v1"},
        "active": active,
    }


@dataclass
class N8n:
    """An installation with a database of its own."""

    folder: Path
    environment: dict[str, str]
    port: int
    program: list[str]

    @classmethod
    async def installed(cls, folder: Path, url: str, key: str, database: str) -> N8n:
        """Made ready in `folder`: WAHA's node, the credentials of a gateway. Raises
        `NotInstalled`, `N8nError`."""
        packages = await asyncio.to_thread(node_packages, "n8n")
        home = folder / "n8n"
        node = home / ".n8n" / "nodes" / "node_modules" / NODE
        node.mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        of = urlsplit(database)
        environment = {
            **os.environ,
            "NODE_PATH": str(packages / "node_modules"),
            "N8N_USER_FOLDER": str(home),
            "N8N_ENCRYPTION_KEY": secrets.token_hex(16),
            "N8N_PORT": str(port),
            "N8N_LISTEN_ADDRESS": "127.0.0.1",
            "N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS": "true",
            "N8N_DIAGNOSTICS_ENABLED": "false",
            "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
            "N8N_TEMPLATES_ENABLED": "false",
            "N8N_RUNNERS_ENABLED": "false",
            # The other one is a native module for a newer Node.js than this suite asks for.
            "N8N_EXPRESSION_ENGINE": "legacy",
            "DB_TYPE": "postgresdb",
            "DB_POSTGRESDB_HOST": str(of.hostname),
            "DB_POSTGRESDB_PORT": str(of.port),
            "DB_POSTGRESDB_USER": str(of.username),
            "DB_POSTGRESDB_PASSWORD": str(of.password),
            "DB_POSTGRESDB_DATABASE": of.path.lstrip("/"),
        }
        n8n = str(packages / "node_modules/n8n/bin/n8n")
        found = cls(home, environment, port, [shutil.which("node") or "node", n8n])
        build = str(packages / "build.mjs")
        await found._run([found.program[0], build, str(_HERE / "n8n" / "waha"), str(node)])
        credentials = {"id": _CREDENTIALS, "name": "gateway", "type": "wahaApi"}
        await found._import("credentials", [{**credentials, "data": {"url": url, "apiKey": key}}])
        return found

    async def execute(self, first: dict[str, Any], nodes: list[dict[str, Any]]) -> dict[str, Any]:
        """Run nodes once, each with the item `first`, from the first to the last (`n8n execute`).
        What each gave: its items, or None if it did not run. Raises `N8nError`."""
        start = {"name": "start", "type": "n8n-nodes-base.manualTrigger", "typeVersion": 1}
        item = {"mode": "raw", "jsonOutput": json.dumps(first)}
        given = {"name": "given", "type": "n8n-nodes-base.set", "typeVersion": 3.4}
        every = [{"node": node["name"], "type": "main", "index": 0} for node in nodes]
        workflow = _workflow(
            "once",
            [{**start, "parameters": {}}, {**given, "parameters": item}, *nodes],
            {
                "start": {"main": [[{"node": "given", "type": "main", "index": 0}]]},
                "given": {"main": [every]},
            },
        )
        await self._import("workflow", [workflow])
        output = await self._run([*self.program, "execute", "--id", "once", "--rawOutput"])
        # Some line for people may stand before it.
        runs = json.loads(output[output.index("\n{") if not output.startswith("{") else 0 :])
        runs = runs["data"]["resultData"]["runData"]
        return {node["name"]: _items(runs.get(node["name"])) for node in nodes}

    @asynccontextmanager
    async def answering(self, event: str, node: dict[str, Any]) -> AsyncIterator[str]:
        """n8n waiting (`n8n start`): the WAHA Trigger's items of `event` go to `node`. The URL that
        the gateway is to deliver to."""
        document = _HERE / "n8n/waha/nodes/WAHA/v202409/openapi.json"
        schemas = json.loads(document.read_text())["components"]["schemas"]
        events = schemas["WAHAWebhookSessionStatus"]["properties"]["event"]["enum"]
        trigger = {
            "name": "trigger",
            "type": f"{NODE}.wahaTrigger",
            "typeVersion": 202409,
            "parameters": {},
            "webhookId": "5e55105e-0000-4000-8000-000000000001",
        }
        outputs: list[list[dict[str, Any]]] = [[] for _ in events]
        outputs[events.index(event)] = [{"node": node["name"], "type": "main", "index": 0}]
        workflow = _workflow("waits", [trigger, node], {"trigger": {"main": outputs}}, active=True)
        await self._import("workflow", [workflow])
        activated = [*self.program, "update:workflow", "--id", "waits", "--active", "true"]
        await self._run(activated)
        log = self.folder / "start.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *self.program, "start", env=self.environment, stdout=output, stderr=output
            )
        try:
            # Its readiness is reported before its webhooks are there.
            for _ in range(int(_SECONDS)):
                if "Activated workflow" in log.read_text():
                    break
                await asyncio.sleep(1)
            yield f"http://127.0.0.1:{self.port}/webhook/{trigger['webhookId']}/waha"
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            await process.wait()

    async def _import(self, kind: str, content: list[dict[str, Any]]) -> None:
        file = self.folder / f"{kind}.json"
        file.write_text(json.dumps(content))
        file.chmod(0o600)
        await self._run([*self.program, f"import:{kind}", f"--input={file}"])

    async def _run(self, command: list[str]) -> str:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_SECONDS):
                output, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            said = (output[-1500:] + errors[-1500:]).decode(errors="replace")
            raise N8nError(f"{command[2:]}: {said}")
        return output.decode()


def _items(runs: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """The items of a node's first run. Raises `N8nError` when it failed."""
    if not runs:
        return None
    if "error" in runs[0]:
        raise N8nError(str(runs[0]["error"])[:300])
    return [item["json"] for item in (runs[0]["data"]["main"] or [[]])[0] or []]
