"""Channels (newsletters): looking, creating, following, muting."""

from __future__ import annotations

import base64
from typing import Any

from neonize.proto.Neonize_pb2 import (
    NewsletterMetadata,
    NewsletterMuteState,
    NewsletterRole,
    NewsletterThreadMetadata,
)

from actors.whatsapp.incoming import as_json, describe
from actors.whatsapp.jids import from_text, to_text
from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.registry import Device, verb
from cluster.domain.errors import NotFound

_LINK = "https://whatsapp.com/channel/"


@verb("channels.list")
async def list_channels(device: Device) -> list[dict[str, Any]]:
    """The channels this account follows or owns."""
    return [
        channel(one)
        for one in await ask(device, lambda library: library.get_subscribed_newletters())
    ]


@verb("channels.get")
async def get(device: Device, *, channel_id: str) -> dict[str, Any]:
    """By JID."""
    return _known(
        await ask(device, lambda library: library.get_newsletter_info(from_text(channel_id)))
    )


@verb("channels.by_invite")
async def by_invite(device: Device, *, code: str) -> dict[str, Any]:
    """By invite code, followed or not."""
    return _known(await ask(device, lambda library: library.get_newsletter_info_with_invite(code)))


@verb("channels.create")
async def create(
    device: Device, *, name: str, description: str = "", jpeg: str = ""
) -> dict[str, Any]:
    """`jpeg`: base64, or empty."""
    picture = base64.b64decode(jpeg)
    return _known(
        await ask(device, lambda library: library.create_newsletter(name, description, picture))
    )


@verb("channels.follow")
async def follow(device: Device, *, channel_id: str, following: bool) -> None:
    jid = from_text(channel_id)
    if following:
        await ask(device, lambda library: library.follow_newsletter(jid))
    else:
        await ask(device, lambda library: library.unfollow_newsletter(jid))


@verb("channels.mute")
async def mute(device: Device, *, channel_id: str, muted: bool) -> None:
    jid = from_text(channel_id)
    await ask(device, lambda library: library.newsletter_toggle_mute(jid, muted))


@verb("channels.messages")
async def messages(device: Device, *, channel_id: str, limit: int) -> list[dict[str, Any]]:
    """The newest messages. The library has no message ids and times, only server ids."""
    jid = from_text(channel_id)
    found = await ask(device, lambda library: library.get_newsletter_messages(jid, limit, 0))
    posts = []
    for one in found:
        payload = as_json(one.Message)
        kind, body, _ = describe(payload)
        posts.append(
            {
                "server_id": one.MessageServerID,
                "kind": kind,
                "body": body,
                "views": one.ViewsCount,
                "reactions": {r.type: r.count for r in one.ReactionCounts},
                "payload": payload,
            }
        )
    return posts


@verb("channels.react")
async def react(
    device: Device, *, channel_id: str, server_id: int, emoji: str, message_id: str
) -> None:
    """React to a post, by the number that the channel has it under; no emoji takes it back."""
    jid = from_text(channel_id)
    await ask(
        device,
        lambda library: library.newsletter_send_reaction(jid, server_id, emoji, message_id),
    )


def _known(found: NewsletterMetadata) -> dict[str, Any]:
    # WhatsApp answers "no such channel" with an empty result.
    if not found.ID.User:
        raise NotFound("there is no such channel, or it is not to be seen by this account")
    return channel(found)


def channel(found: NewsletterMetadata) -> dict[str, Any]:
    """The fields of `cluster.domain.channel.Channel`."""
    thread = found.ThreadMeta
    viewer = found.ViewerMeta if found.HasField("ViewerMeta") else None
    return {
        "jid": to_text(found.ID),
        "name": thread.Name.Text,
        "description": thread.Description.Text,
        "invite": f"{_LINK}{thread.InviteCode}" if thread.InviteCode else "",
        "picture": thread.Picture.URL or thread.Picture.DirectPath,
        "preview": thread.Preview.URL or thread.Preview.DirectPath,
        "verified": thread.VerificationState == NewsletterThreadMetadata.VERIFIED,
        "subscribers": thread.SubscriberCount,
        "role": NewsletterRole.Name(viewer.Role) if viewer else "GUEST",
        "muted": viewer is not None and viewer.Mute == NewsletterMuteState.ON,
    }
