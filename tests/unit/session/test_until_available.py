"""What arrives waits for PostgreSQL, but one message that it never finishes holds up no other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from actors.session.recorder import Recorder
from cluster.domain.errors import NotOwner, TooSlow, Unavailable, Unstorable


class _Database:
    """Answers a ping, or not."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers

    async def ping(self) -> None:
        if not self.answers:
            raise Unavailable("away")


class _Write:
    """Raises these, one after the other; then it is done."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.tries = 0

    async def __call__(self) -> str:
        self.tries += 1
        if self._errors:
            raise self._errors.pop(0)
        return "done"


def _recorder(*, answers: bool) -> Recorder:
    stores = cast(Any, SimpleNamespace(db=_Database(answers=answers)))
    return Recorder(stores=stores, session_id=1, epoch=1)


async def test_it_is_written_when_postgresql_is_back() -> None:
    write = _Write(Unavailable("away"), TooSlow("slow"), Unavailable("away"))
    assert await _recorder(answers=True).until_available(write) == "done"


async def test_what_takes_too_long_again_and_again_is_not_stored() -> None:
    write = _Write(*(TooSlow("slow") for _ in range(99)))
    with pytest.raises(Unstorable):
        await _recorder(answers=True).until_available(write)
    assert write.tries == 5


async def test_all_being_slow_is_not_the_messages_fault() -> None:
    write = _Write(*(TooSlow("slow") for _ in range(5)))
    assert await _recorder(answers=False).until_available(write) == "done"


async def test_a_newer_owner_ends_it_at_once() -> None:
    write = _Write(NotOwner("fenced"))
    with pytest.raises(NotOwner):
        await _recorder(answers=True).until_available(write)
    assert write.tries == 1
