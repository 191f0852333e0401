"""The control API of groups, channels and calls: what phones do, and what they then see."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from sandbox.control.api import Chosen, Here, authorise
from sandbox.crypto.protobuf import wa
from sandbox.server import groups, newsletters, notifications
from sandbox.server.directory import jid_of
from sandbox.server.errors import SandboxError
from sandbox.server.newsletters import Newsletter
from sandbox.wire.jid import GROUP, GROUP_SERVER_JID, NEWSLETTER, Jid
from sandbox.wire.node import Node

__all__ = ["routes"]

routes = APIRouter(dependencies=[Depends(authorise)])


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewGroup(_Body):
    """A group to make."""

    subject: str
    members: list[str] = Field(default_factory=list, description="Numbers.")


class GroupChange(_Body):
    """What a phone changes about a group."""

    approval: bool | None = Field(None, description="Admins approve new members.")
    locked: bool | None = Field(None, description="Only admins edit.")
    subject: str | None = None


class InviteCode(_Body):
    code: str


class NewChannel(_Body):
    name: str


class NewPost(_Body):
    text: str
    views: int = 0
    reactions: dict[str, int] = Field(default_factory=dict)


class NewCall(_Body):
    to: str
    video: bool = False


class CallAnswer(_Body):
    """What a phone does about a call."""

    to: str = Field(description="The other side.")
    caller: str = Field(description="Number of who called.")
    answer: Literal["accept", "terminate"]


class LabelChange(_Body):
    """A label, as a phone makes, changes or deletes it."""

    name: str
    color: int = 0
    deleted: bool = False


class LabeledChat(_Body):
    chat: str
    labeled: bool = True


@routes.get("/phones/{number}/groups")
async def list_groups(here: Here, one: Chosen) -> list[dict[str, Any]]:
    """The groups of a phone, with everything there is about them."""
    return [asdict(group) for group in groups.all_of(here.server, one.number)]


@routes.post("/phones/{number}/groups", status_code=201)
async def add_group(one: Chosen, body: NewGroup) -> dict[str, str]:
    people = [Node.make("participant", jid=one.address(member)) for member in body.members]
    create = Node.make("create", people, subject=body.subject, key=notifications.new_id())
    answer = await one.iq("w:g2", "set", GROUP_SERVER_JID, create)
    found = answer.child("group")
    return {"id": f"{found.get('id')}@{GROUP}" if found else ""}


@routes.post("/phones/{number}/groups/join", status_code=204)
async def join_group(one: Chosen, body: InviteCode) -> None:
    code = body.code.rpartition("/")[2]
    await one.iq("w:g2", "set", GROUP_SERVER_JID, Node.make("invite", code=code))


@routes.patch("/phones/{number}/groups/{group}", status_code=204)
async def change_group(one: Chosen, group: str, body: GroupChange) -> None:
    jid = one.address(group)
    if body.approval is not None:
        join = Node.make("group_join", state="on" if body.approval else "off")
        await one.iq("w:g2", "set", jid, Node.make("membership_approval_mode", [join]))
    if body.locked is not None:
        await one.iq("w:g2", "set", jid, Node.make("locked" if body.locked else "unlocked"))
    if body.subject is not None:
        await one.iq("w:g2", "set", jid, Node.make("subject", body.subject))


@routes.get("/phones/{number}/blocked")
async def blocked(here: Here, one: Chosen) -> list[str]:
    """Numbers that an account blocks."""
    return list(here.server.store.document("blocklist", one.number) or [])


@routes.get("/pictures/{number}")
async def picture(here: Here, one: Chosen) -> dict[str, str]:
    """Id of an account's picture; empty: none."""
    return {"id": one.account.picture_id}


@routes.post("/phones/{number}/channels", status_code=201)
async def add_channel(here: Here, one: Chosen, body: NewChannel) -> dict[str, Any]:
    return asdict(newsletters.create(here.server, one.number, body.name))


@routes.get("/channels/{channel}")
async def get_channel(here: Here, channel: str) -> dict[str, Any]:
    return asdict(_channel(here, channel))


@routes.post("/channels/{channel}/posts", status_code=201)
async def post(here: Here, channel: str, body: NewPost) -> dict[str, Any]:
    found = _channel(here, channel)
    message = wa.Message(conversation=body.text).SerializeToString()
    written = newsletters.post(here.server, found, message)
    found.posts[-1] |= {"views": body.views, "reactions": body.reactions}
    newsletters.save(here.server, found)
    await newsletters.publish(here.server, found, written, by=("", 0))
    return asdict(written)


@routes.post("/phones/{number}/calls", status_code=201)
async def call(one: Chosen, body: NewCall) -> dict[str, str]:
    """Ring; gives the call's id."""
    call_id = notifications.new_id().upper()
    own = jid_of(one.account, lid=False)
    media = [Node.make("audio", enc="opus", rate="16000")]
    if body.video:
        media.append(Node.make("video", enc="vp8"))
    offer = Node.make("offer", media)
    offer.attrs |= {"call-id": call_id, "call-creator": own}
    to = one.address(body.to)
    await one.send_stanza(Node.make("call", [offer], to=to, id=notifications.new_id()))
    return {"id": call_id, "from": str(own)}


@routes.post("/phones/{number}/calls/{call_id}", status_code=204)
async def answer_call(here: Here, one: Chosen, call_id: str, body: CallAnswer) -> None:
    """Accept a call, or end it."""
    caller = here.phones.get(body.caller)
    part = Node.make(body.answer)
    part.attrs |= {"call-id": call_id, "call-creator": jid_of(caller.account, lid=False)}
    to = one.address(body.to)
    await one.send_stanza(Node.make("call", [part], to=to, id=notifications.new_id()))


@routes.put("/phones/{number}/labels/{label}", status_code=204)
async def change_label(one: Chosen, label: str, body: LabelChange) -> None:
    await one.settings.label(label, name=body.name, color=body.color, deleted=body.deleted)


@routes.put("/phones/{number}/labels/{label}/chats", status_code=204)
async def label_chat(one: Chosen, label: str, body: LabeledChat) -> None:
    await one.settings.label_chat(label, str(one.address(body.chat)), labeled=body.labeled)


def _channel(here: Here, channel: Annotated[str, "with or without @newsletter"]) -> Newsletter:
    found = newsletters.find(here.server, Jid(channel.partition("@")[0], NEWSLETTER))
    if found is None:
        raise SandboxError(f"there is no channel {channel}", status=404)
    return found
