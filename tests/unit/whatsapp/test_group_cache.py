"""The list of groups is asked for once, and never shows what was before a change."""

from __future__ import annotations

from actors.whatsapp.group_cache import GroupCache
from cluster.domain.group import Group


def _group(number: int) -> Group:
    return Group(jid=f"{number}@g.us", subject="")


async def test_asked_once_until_something_changes() -> None:
    asked: list[int] = []

    async def fetch() -> list[Group]:
        asked.append(1)
        return [_group(len(asked))]

    cache = GroupCache()
    assert await cache.get(fetch) == await cache.get(fetch) == [_group(1)]
    cache.forget()
    assert await cache.get(fetch) == [_group(2)]


async def test_a_change_during_the_asking_is_not_missed() -> None:
    cache = GroupCache()

    async def changed_meanwhile() -> list[Group]:
        cache.forget()
        return [_group(1)]

    async def fetch() -> list[Group]:
        return [_group(2)]

    await cache.get(changed_meanwhile)
    assert await cache.get(fetch) == [_group(2)]


async def test_a_list_does_not_stay_for_ever() -> None:
    cache = GroupCache(lifetime=0)
    answers = iter([[_group(1)], [_group(2)]])

    async def fetch() -> list[Group]:
        return next(answers)

    assert await cache.get(fetch) != await cache.get(fetch)
