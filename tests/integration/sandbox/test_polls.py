"""Votes in polls: opened by the library on one side and by the phone on the other."""

from __future__ import annotations

import base64
import os
from collections.abc import Awaitable, Callable

import pytest
from library_device import LibraryDevice

from cluster.domain.poll import VOTE, chosen
from sandbox.phone.phone import Phone

Link = Callable[[Phone], Awaitable[LibraryDevice]]
OPTIONS = ["here", "there"]


async def test_votes_are_opened_on_both_sides(alice: Phone, bob: Phone, link: Link) -> None:
    device = await link(alice)
    chat = f"{bob.number}@s.whatsapp.net"
    poll = {
        "kind": "poll",
        "text": "Where?",
        "options": OPTIONS,
        "selectable": 1,
        "_secret": base64.b64encode(os.urandom(32)).decode(),
    }
    asked = "3EB0AAAAAAAAAAAAAAAAAA"
    send = "client.send(chat=chat, content=content, message_id=id)"
    await device.eval(send, chat=chat, content=poll, id=asked)
    assert await bob.wait_inbox(0, 30)
    await bob.vote(asked, ["there"])
    reported = await device.event("Received", 60, content="poll_vote")
    assert reported["reply_to"] == asked
    assert chosen(OPTIONS, reported["payload"][VOTE]) == ["there"]

    question = await bob.send_poll(alice.number, "Lunch?", ["pizza", "pasta"])
    received = await device.event("Received", 60, content="poll")
    payload = received["payload"]
    key = {
        "id": question,
        "chat": payload["chat_address"],
        "from_me": False,
        "sender": payload["sender_address"].partition(":")[0].partition("@")[0] + "@lid",
    }
    before = bob.inbox()[-1]["seq"]
    vote = {"kind": "poll_vote", "options": ["pasta"], "key": key}
    await device.eval(send, chat=chat, content=vote, id="3EB0BBBBBBBBBBBBBBBBBB")
    assert await bob.wait_inbox(before, 30)
    assert bob.votes(question) == [{"by": alice.number, "options": ["pasta"]}]


async def test_a_content_that_cannot_be_built_is_refused(alice: Phone, link: Link) -> None:
    device = await link(alice)
    send = "client.send(chat='4915100002@s.whatsapp.net', content=content, message_id='3EB0' * 5)"
    for content in ({"kind": "nothing"}, {"kind": "poll"}, {"kind": "poll_vote", "key": {}}):
        with pytest.raises(RuntimeError, match="Invalid"):
            await device.eval(send, content=content)
