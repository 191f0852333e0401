"""Posts of a channel, pushed to a follower's device: through the unmodified library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from library_device import LibraryDevice

from sandbox.app import Sandbox
from sandbox.crypto.protobuf import wa
from sandbox.phone.phone import Phone
from sandbox.server import newsletters

Link = Callable[[Phone], Awaitable[LibraryDevice]]


async def test_a_follower_hears_what_is_posted(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link
) -> None:
    server = sandbox.server
    channel = newsletters.create(server, bob.number, "Weather")
    device = await link(alice)
    channel.followers[alice.number] = False
    newsletters.save(server, channel)
    text = wa.Message(conversation="Rain").SerializeToString()
    post = newsletters.post(server, channel, text)
    await newsletters.publish(server, channel, post, by=("", 0))
    heard = await device.event("Received", body="Rain")
    assert heard["chat"] == str(channel.jid)
    await newsletters.publish(server, channel, post, by=("", 0))
    await device.send(f"{bob.number}@s.whatsapp.net", "still here")
    post.views = 7
    newsletters.change(server, channel, post)
    await newsletters.notify_change(server, channel, post)
    seen = await device.eval(
        "verb('channels.messages', channel_id=jid, limit=5)", jid=str(channel.jid)
    )
    assert [(one["body"], one["views"]) for one in seen] == [("Rain", 7)]
