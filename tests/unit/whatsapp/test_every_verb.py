"""Each verb is done by somebody, and both ends of the seam over Ray understand each other."""

from __future__ import annotations

import inspect
import pickle
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from actors.whatsapp import verbs as handlers
from cluster.domain.contact import Contact
from cluster.domain.errors import NotSupported
from cluster.domain.group import Group, GroupMember, GroupRole, MemberAction
from cluster.domain.message_ref import LastMessage
from cluster.domain.verbs import chats, contacts, groups, lids
from cluster.domain.verbs.verb import Verb, plain, verb_of

assert handlers


def _every() -> list[type[Verb[Any]]]:
    return [one for one in Verb.__subclasses__() if one.__module__ != __name__]


@pytest.mark.parametrize("kind", _every(), ids=lambda kind: str(kind.wire_name))
def test_each_is_done_by_a_handler_of_its_answer(kind: type[Verb[Any]]) -> None:
    assert kind._handler is not None
    done_by = inspect.signature(kind._handler, eval_str=True)
    (declared,) = get_args(vars(kind)["__orig_bases__"][0])
    answer = done_by.return_annotation
    assert answer == declared or (answer is None and declared is type(None))
    assert kind.wire_name.partition(".")[0] == kind.__module__.rpartition(".")[2]


async def test_one_that_nobody_does_is_not_supported() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Undone(Verb[None], name="tests.undone"):
        pass

    with pytest.raises(NotSupported):
        await Undone().perform(None)
    with pytest.raises(NotSupported):
        verb_of("tests.unheard_of", {})


_LAST = LastMessage(id="3EB0", chat="1@g.us", from_me=False, sender="2@lid", timestamp=5)


@pytest.mark.parametrize(
    "asked",
    [
        groups.List(),
        groups.Members(group="1@g.us", participants=["2@lid"], action=MemberAction.PROMOTE),
        chats.Archive(chat="1@g.us", archived=True, last=_LAST),
        chats.Archive(chat="1@g.us", archived=True),
        contacts.Names(jids=["2@lid"]),
    ],
)
def test_what_is_asked_goes_over_ray_without_classes_of_ours(asked: Verb[Any]) -> None:
    sent = plain(asked)
    assert b"cluster" not in pickle.dumps(sent)
    assert verb_of(asked.wire_name, sent) == asked
    # Of a version that knows more.
    assert verb_of(asked.wire_name, sent | {"of_tomorrow": 1}) == asked


def test_what_is_asked_otherwise_is_not_supported() -> None:
    with pytest.raises(NotSupported):
        verb_of("groups.get", {"group": None})
    with pytest.raises(NotSupported):
        verb_of("groups.get", {})


_GROUP = Group(
    jid="1@g.us",
    subject="Friends",
    subject_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    members=(GroupMember(jid="2@lid", role=GroupRole.ADMIN),),
)


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        (groups.List, [_GROUP]),
        (groups.Get, _GROUP),
        (groups.Join, "1@g.us"),
        (groups.Leave, None),
        (contacts.About, None),
        (contacts.All, [Contact(jid="1@s.whatsapp.net", name="A")]),
        (lids.All, [("2@lid", "1@s.whatsapp.net")]),
        (lids.All, []),
    ],
)
def test_what_is_answered_goes_over_ray_without_classes_of_ours(
    verb: type[Verb[Any]], answer: object
) -> None:
    sent = plain(answer)
    assert b"cluster" not in pickle.dumps(sent)
    assert verb.read_answer(sent) == answer


def test_an_answer_of_another_version_may_have_more_or_less() -> None:
    read = groups.Get.read_answer({"jid": "1@g.us", "subject": "x", "of_tomorrow": 1})
    assert read == Group(jid="1@g.us", subject="x")
