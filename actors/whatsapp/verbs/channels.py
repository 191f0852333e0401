"""Channels (newsletters): looking, creating, following, muting."""

from __future__ import annotations

import base64

from neonize.proto.Neonize_pb2 import (
    NewsletterMetadata,
    NewsletterMuteState,
    NewsletterRole,
    NewsletterThreadMetadata,
)

from actors.whatsapp.incoming import as_json, describe
from actors.whatsapp.jids import from_text, to_text
from actors.whatsapp.verbs.asking import ask
from actors.whatsapp.verbs.registry import Device
from cluster.domain.channel import Channel, ChannelMessage
from cluster.domain.errors import NotFound
from cluster.domain.verbs import channels

_LINK = "https://whatsapp.com/channel/"


@channels.List.handler
async def list_channels(device: Device, verb: channels.List) -> list[Channel]:
    return [
        channel(one)
        for one in await ask(device, lambda library: library.get_subscribed_newletters())
    ]


@channels.Get.handler
async def get(device: Device, verb: channels.Get) -> Channel:
    return _known(
        await ask(device, lambda library: library.get_newsletter_info(from_text(verb.channel_id)))
    )


@channels.ByInvite.handler
async def by_invite(device: Device, verb: channels.ByInvite) -> Channel:
    return _known(
        await ask(device, lambda library: library.get_newsletter_info_with_invite(verb.code))
    )


@channels.Create.handler
async def create(device: Device, verb: channels.Create) -> Channel:
    picture = base64.b64decode(verb.jpeg)
    return _known(
        await ask(
            device, lambda library: library.create_newsletter(verb.name, verb.description, picture)
        )
    )


@channels.Follow.handler
async def follow(device: Device, verb: channels.Follow) -> None:
    jid = from_text(verb.channel_id)
    if verb.following:
        await ask(device, lambda library: library.follow_newsletter(jid))
    else:
        await ask(device, lambda library: library.unfollow_newsletter(jid))


@channels.Mute.handler
async def mute(device: Device, verb: channels.Mute) -> None:
    jid = from_text(verb.channel_id)
    await ask(device, lambda library: library.newsletter_toggle_mute(jid, verb.muted))


@channels.Messages.handler
async def messages(device: Device, verb: channels.Messages) -> list[ChannelMessage]:
    jid = from_text(verb.channel_id)
    found = await ask(device, lambda library: library.get_newsletter_messages(jid, verb.limit, 0))
    posts = []
    for one in found:
        payload = as_json(one.Message)
        kind, body, _ = describe(payload)
        posts.append(
            ChannelMessage(
                server_id=one.MessageServerID,
                kind=kind,
                body=body,
                views=one.ViewsCount,
                reactions={r.type: r.count for r in one.ReactionCounts},
                payload=payload,
            )
        )
    return posts


@channels.React.handler
async def react(device: Device, verb: channels.React) -> None:
    jid = from_text(verb.channel_id)
    await ask(
        device,
        lambda library: library.newsletter_send_reaction(
            jid, verb.server_id, verb.emoji, verb.message_id
        ),
    )


def _known(found: NewsletterMetadata) -> Channel:
    # WhatsApp answers "no such channel" with an empty result.
    if not found.ID.User:
        raise NotFound("there is no such channel, or it is not to be seen by this account")
    return channel(found)


def channel(found: NewsletterMetadata) -> Channel:
    thread = found.ThreadMeta
    viewer = found.ViewerMeta if found.HasField("ViewerMeta") else None
    return Channel(
        jid=to_text(found.ID),
        name=thread.Name.Text,
        description=thread.Description.Text,
        invite=f"{_LINK}{thread.InviteCode}" if thread.InviteCode else "",
        picture=thread.Picture.URL or thread.Picture.DirectPath,
        preview=thread.Preview.URL or thread.Preview.DirectPath,
        verified=thread.VerificationState == NewsletterThreadMetadata.VERIFIED,
        subscribers=thread.SubscriberCount,
        role=NewsletterRole.Name(viewer.Role) if viewer else "GUEST",
        muted=viewer is not None and viewer.Mute == NewsletterMuteState.ON,
    )
