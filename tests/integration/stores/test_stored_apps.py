"""Apps go with their sessions, and their keys with them."""

from __future__ import annotations

import pytest

from client.apps import Apps
from client.keys import Keys
from cluster.domain.errors import Conflict, NotFound
from cluster.domain.principal import Action
from cluster.domain.session import SessionRecord
from cluster.stores import Stores

READ = frozenset({Action.READ})


def of(stores: Stores) -> tuple[Apps, Keys]:
    async def opened() -> Stores:
        return stores

    return Apps(opened, "default"), Keys(opened, "default")


async def test_a_key_goes_with_its_app_and_the_app_with_its_session(
    stores: Stores, record: SessionRecord
) -> None:
    apps, keys = of(stores)
    made, secret = await apps.create(record.name, "mcp", {}, key_actions=READ)
    other, of_other = await apps.create(record.name, "mcp", {"a": 1}, key_actions=READ)
    assert [one.id for one in await apps.list(record.name)] == [made.id, other.id]
    found = await keys.find(secret)
    assert found is not None
    assert (found.id, found.session, found.actions) == (made.key_id, record.name, READ)

    locked = await apps.update(made.id, {"b": 2}, enabled=False, key_actions=frozenset())
    assert (locked.enabled, locked.config) == (False, {"b": 2})
    found = await keys.find(secret)
    assert found is not None
    assert not found.active

    await apps.delete(made.id)
    assert await keys.find(secret) is None
    with pytest.raises(NotFound):
        await apps.get(made.id)
    await stores.sessions.delete(record.id)
    assert await keys.find(of_other) is None
    with pytest.raises(NotFound):
        await apps.get(other.id)


async def test_ids_are_a_tenants_and_some_kinds_are_alone(
    stores: Stores, record: SessionRecord
) -> None:
    apps, keys = of(stores)
    name = f"mine-{record.id}"
    made, _ = await apps.create(record.name, "chatwoot", {}, app_id=name, key_actions=READ)
    with pytest.raises(Conflict, match="already"):
        await apps.create(record.name, "mcp", {}, app_id=name)
    with pytest.raises(Conflict, match="a chatwoot app"):
        await apps.create(record.name, "chatwoot", {})
    await keys.delete(made.key_id or "")
    with pytest.raises(Conflict, match="key is gone"):
        await apps.update(made.id, {}, key_actions=READ)
