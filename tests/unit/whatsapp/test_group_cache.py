"""The list of groups is asked for once, and never shows what was before a change."""

from __future__ import annotations

from typing import Any

from actors.whatsapp.group_cache import GroupCache


async def test_asked_once_until_something_changes() -> None:
    asked: list[int] = []

    async def fetch() -> list[dict[str, Any]]:
        asked.append(1)
        return [{"n": len(asked)}]

    cache = GroupCache()
    assert await cache.get(fetch) == await cache.get(fetch) == [{"n": 1}]
    cache.forget()
    assert await cache.get(fetch) == [{"n": 2}]


async def test_a_change_during_the_asking_is_not_missed() -> None:
    cache = GroupCache()

    async def changed_meanwhile() -> list[dict[str, Any]]:
        cache.forget()
        return [{"old": True}]

    async def fetch() -> list[dict[str, Any]]:
        return [{"new": True}]

    await cache.get(changed_meanwhile)
    assert await cache.get(fetch) == [{"new": True}]


async def test_a_list_does_not_stay_for_ever() -> None:
    cache = GroupCache(lifetime=0)
    answers = iter([[{"n": 1}], [{"n": 2}]])

    async def fetch() -> list[dict[str, Any]]:
        return next(answers)

    assert await cache.get(fetch) != await cache.get(fetch)
