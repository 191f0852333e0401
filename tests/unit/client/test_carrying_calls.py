"""What the router tries again while a session changes its owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from waiting import until

from client import routing
from client.routing import Ping, Router
from cluster.domain.errors import NotOwner, Unavailable
from cluster.domain.reply import Reply
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus
from cluster.settings import Settings

NOW = datetime.now(UTC)
RECORD = SessionRecord(
    id=1,
    tenant="default",
    name="alice",
    desired=DesiredState.RUNNING,
    status=SessionStatus.WORKING,
    created_at=NOW,
    updated_at=NOW,
)
REFUSED = Reply(error=NotOwner("moving").to_payload())
BROKEN = Reply(error=Unavailable("in the middle of it").to_payload())
DONE = Reply(value="done")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Reply | None]:
    """What the actor answers, call by call; None: there is no actor at that time."""
    left: list[Reply | None] = []

    def get_actor(name: str, namespace: str) -> object:
        if left[0] is None:
            del left[0]
            raise ValueError(name)
        return object()

    monkeypatch.setattr("client.routing.ray.get_actor", get_actor)
    monkeypatch.setattr(routing, "_PAUSE", 0.01)
    return left


def _invoke(answers: list[Reply | None]) -> Callable[[Any], Any]:
    async def answer() -> Reply:
        given = answers.pop(0)
        assert given is not None
        return given

    return lambda handle: answer()


@pytest.mark.parametrize("repeatable", [True, False])
async def test_what_was_not_done_for_sure_is_tried_again(
    answers: list[Reply | None], repeatable: bool
) -> None:
    answers += [REFUSED, None, None, REFUSED, DONE]
    router = Router(Settings())
    done = await router.call(RECORD, _invoke(answers), timeout=5, repeatable=repeatable)
    assert done == "done"


async def test_what_may_have_been_done_is_tried_again_only_if_that_does_no_harm(
    answers: list[Reply | None],
) -> None:
    router = Router(Settings())
    answers += [BROKEN, DONE]
    assert await router.call(RECORD, _invoke(answers), timeout=5, repeatable=True) == "done"
    answers += [BROKEN, DONE]
    with pytest.raises(Unavailable, match="in the middle"):
        await router.call(RECORD, _invoke(answers), timeout=5)


async def test_patience_ends(answers: list[Reply | None]) -> None:
    answers += [None] * 1000
    with pytest.raises(Unavailable, match="no owner yet"):
        await Router(Settings()).call(RECORD, _invoke(answers), timeout=0.2, repeatable=True)


async def test_the_supervisor_may_be_on_its_way_to_another_node(
    answers: list[Reply | None],
) -> None:
    answers += [None, BROKEN, DONE]
    assert await Router(Settings()).supervise(_invoke(answers), timeout=5) == "done"


async def test_a_session_that_moved_is_asked_in_its_new_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routing, "_PAUSE", 0.01)
    asked: list[tuple[str, int, str]] = []

    class Shared:
        """A shared process's handle, of which only `host:2` has the session."""

        def __init__(self, name: str) -> None:
            self.name = name
            self.greet = self

        async def remote(self, text: str, *, session_id: int) -> Reply:
            asked.append((self.name, session_id, text))
            return DONE if self.name == "host:2" else REFUSED

    monkeypatch.setattr("client.routing.ray.get_actor", lambda name, namespace: Shared(name))

    async def find(session_id: int) -> SessionRecord:
        return replace(RECORD, host=2)

    router = Router(Settings(), find)
    call = router.call(
        replace(RECORD, host=1), lambda a: a.greet.remote("hello", session_id=RECORD.id), timeout=5
    )
    assert await call == "done"
    assert asked == [("host:1", 1, "hello"), ("host:2", 1, "hello")]


async def test_another_epoch_may_have_another_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that did not have it made anew itself calls no handle of the one before."""
    looked_up: list[str] = []

    def get_actor(name: str, namespace: str) -> str:
        looked_up.append(name)
        return f"handle {len(looked_up)}"

    called: list[Any] = []

    def invoke(handle: Any) -> Any:
        async def answer() -> Reply:
            called.append(handle)
            return DONE

        return answer()

    monkeypatch.setattr("client.routing.ray.get_actor", get_actor)
    router = Router(Settings())
    for epoch in (1, 1, 2, 2):
        await router.call(replace(RECORD, epoch=epoch), invoke, timeout=5)
    assert called == ["handle 1", "handle 1", "handle 2", "handle 2"]
    # One that hosts many goes on when one of its sessions does not.
    for epoch in (3, 4):
        await router.call(replace(RECORD, epoch=epoch, host=7), invoke, timeout=5)
    assert len(called) == 6
    assert len(looked_up) == 3


async def test_a_process_is_asked_once_by_all_who_wait_and_not_again_while_it_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[asyncio.Future[None]] = []

    class Described:
        def remote(self) -> asyncio.Future[None]:
            asked.append(asyncio.get_running_loop().create_future())
            return asked[-1]

    actors: dict[str, Any] = {}
    # Raises what Ray does for one that is not there.
    monkeypatch.setattr("client.routing.ray.get_actor", lambda name, _: _found(actors, name))
    router = Router(Settings())
    assert (await _ended(router.ping(RECORD))).answered is False
    actors[RECORD.actor_name] = SimpleNamespace(describe=Described())
    first = router.ping(RECORD, 0.0)
    await until(lambda: bool(asked))
    assert router.ping(RECORD, 0.0) is first
    assert len(asked) == 1
    assert first.answered is None
    asked[0].set_result(None)
    assert (await _ended(first)).answered
    assert router.ping(RECORD) is first, "an answer of just now will do"
    assert router.ping(RECORD, 0.0) is not first


def _found(actors: dict[str, Any], name: str) -> Any:
    if name not in actors:
        raise ValueError(name)
    return actors[name]


async def _ended(ping: Ping) -> Ping:
    assert ping.task is not None
    await ping.task
    return ping
