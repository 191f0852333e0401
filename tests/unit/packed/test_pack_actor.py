"""A pack is called like a session's own actor, with the session in front."""

from __future__ import annotations

import inspect

import pytest

from actors.packed.pack_actor import PackActor
from actors.session_actor import SessionActor

#: Asked of the process, not of a session.
_OF_THE_PROCESS = {"describe"}
_VERBS = sorted(
    name
    for name, _ in inspect.getmembers(SessionActor, inspect.iscoroutinefunction)
    if not name.startswith("_") and name not in _OF_THE_PROCESS
)


def _arguments(of: type, name: str) -> list[inspect.Parameter]:
    """Ours: Ray adds `_ray_trace_ctx` to classes that a test of this process made actors of."""
    found = inspect.signature(getattr(of, name)).parameters.values()
    return [one for one in found if not one.name.startswith("_ray")]


@pytest.mark.parametrize("name", _VERBS)
def test_every_call_of_a_session_is_one_of_a_pack_with_the_same_arguments(name: str) -> None:
    alone, packed = _arguments(SessionActor, name), _arguments(PackActor, name)
    assert packed[1].name == "session_id"
    assert [(p.name, p.kind) for p in packed[2:]] == [(p.name, p.kind) for p in alone[1:]]
