"""A session is called in the same way, whether its process is its own or hosts others, too."""

from __future__ import annotations

import inspect

import pytest

from actors.hosts.session_actor import SessionActor

#: Asked of the process, not of a session.
_OF_THE_PROCESS = {"describe", "look", "stop_all", "wake"}
_VERBS = sorted(
    name
    for name, _ in inspect.getmembers(SessionActor, inspect.iscoroutinefunction)
    if not name.startswith("_") and name not in _OF_THE_PROCESS
)


@pytest.mark.parametrize("name", _VERBS)
def test_every_call_of_a_session_names_it_and_need_not_where_there_is_one(name: str) -> None:
    named = inspect.signature(getattr(SessionActor, name)).parameters["session_id"]
    assert named.kind is inspect.Parameter.KEYWORD_ONLY
    assert named.default == 0
