"""What happens besides messages, in WAHA's shapes: groups, calls, presence. Pure.

Labels and archived chats are in `actors.whatsapp.app_state_seen`: neonize 0.5.2 has no events of
them. It has none of requests to join a group either.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message as Protobuf
from neonize.proto import Neonize_pb2 as pb

from actors.whatsapp.incoming import chat_of, person, timestamp
from actors.whatsapp.jids import to_text
from actors.whatsapp.port import SideEvents
from cluster.domain.chat_timer import ChatTimer
from cluster.domain.jid import bare_jid
from cluster.domain.waha_id import waha_id

__all__ = ["SUBSCRIBED", "engine_event", "side_events_of"]

#: The library's number of an event → its type.
SUBSCRIBED: dict[int, type[Any]] = {
    21: pb.JoinedGroup,
    22: pb.GroupInfoEvent,
    36: pb.CallOffer,
    37: pb.CallAccept,
    40: pb.CallOfferNotice,
    42: pb.CallTerminate,
}

#: What people are after a change.
_ROLES = {"leave": "left", "promote": "admin"}


def side_events_of(event: Protobuf, own: frozenset[str]) -> SideEvents | None:
    """What to emit for an event; None when there is nothing. `own`: this account's bare JIDs."""
    match event:
        case pb.Presence():
            events = [_presence(event)]
        case pb.ChatPresence():
            events = [_chat_presence(event)]
        case pb.JoinedGroup():
            events = [("group.v2.join", _joined(event))]
        case pb.GroupInfoEvent():
            events = _group_changes(event, own)
        case pb.CallOffer():
            video = any(node.Tag == "video" for node in event.data.Nodes)
            events = [("call.received", _call(event, video=video, group=False))]
        case pb.CallOfferNotice():
            events = [
                (
                    "call.received",
                    _call(event, video=event.media == "video", group=event.type == "group"),
                )
            ]
        case pb.CallAccept():
            events = [("call.accepted", _call(event, video=False, group=False))]
        case pb.CallTerminate():
            events = [("call.rejected", _call(event, video=False, group=False))]
        case _:
            events = []
    timers = _timers(event)
    return SideEvents(events=tuple(events), timers=timers) if events or timers else None


def _timers(event: Protobuf) -> tuple[ChatTimer, ...]:
    """After how long messages of the group disappear, where the event has it."""
    match event:
        case pb.JoinedGroup():
            group, timer, at = event.GroupInfo.JID, event.GroupInfo.GroupEphemeral, time.time()
        case pb.GroupInfoEvent() if event.HasField("Ephemeral"):
            group, timer = event.JID, event.Ephemeral
            at = timestamp(event.Timestamp).timestamp()
        case _:
            return ()
    seconds = int(timer.DisappearingTimer) if timer.IsEphemeral else 0
    found = ChatTimer.of(to_text(group), seconds, datetime.fromtimestamp(int(at), UTC))
    return (found,) if found is not None else ()


def engine_event(said: Protobuf) -> SideEvents:
    """What the library said, as it is (WAHA's `EnginePayload`)."""
    payload = {"event": said.DESCRIPTOR.name, "data": MessageToDict(said)}
    return SideEvents(events=(("engine.event", payload),))


def _presence(event: pb.Presence) -> tuple[str, dict[str, Any]]:
    jid = waha_id(bare_jid(to_text(event.From)))
    return _presences(
        jid, jid, "offline" if event.Unavailable else "online", max(0, event.LastSeen) or None
    )


def _chat_presence(event: pb.ChatPresence) -> tuple[str, dict[str, Any]]:
    source, state = event.MessageSource, "paused"
    if event.State == pb.ChatPresence.COMPOSING:
        state = "recording" if event.Media == pb.ChatPresence.AUDIO else "typing"
    who = bare_jid(person(source.Sender, source.SenderAlt))
    return _presences(waha_id(bare_jid(chat_of(source))), waha_id(who), state, None)


def _presences(
    chat: str, participant: str, state: str, last_seen: int | None
) -> tuple[str, dict[str, Any]]:
    return "presence.update", {
        "id": chat,
        "presences": [
            {"participant": participant, "lastKnownPresence": state, "lastSeen": last_seen}
        ],
    }


def _joined(event: pb.JoinedGroup) -> dict[str, Any]:
    info = event.GroupInfo
    return {
        # The event has no time; the group's own is when it was made, rounded to minutes.
        "timestamp": int(time.time()),
        "group": {
            "id": to_text(info.JID),
            "subject": info.GroupName.Name,
            "description": info.GroupTopic.Topic,
            "invite": None,
            # neonize 0.5.2 does not report it; on is what WhatsApp's apps make groups with.
            "membersCanAddNewMember": True,
            "membersCanSendMessages": not info.GroupAnnounce.IsAnnounce,
            "newMembersApprovalRequired": False,
            "participants": [_member(one) for one in info.Participants],
        },
        "_data": MessageToDict(event),
    }


def _member(one: pb.GroupParticipant) -> dict[str, Any]:
    role = "participant"
    if one.IsSuperAdmin:
        role = "superadmin"
    elif one.IsAdmin:
        role = "admin"
    phone = bare_jid(to_text(one.PhoneNumber))
    return {
        "id": waha_id(bare_jid(to_text(one.JID))),
        "pn": waha_id(phone) if phone else None,
        "role": role,
    }


def _group_changes(
    event: pb.GroupInfoEvent, own: frozenset[str]
) -> list[tuple[str, dict[str, Any]]]:
    common = {
        "timestamp": int(timestamp(event.Timestamp).timestamp()),
        "_data": MessageToDict(event),
    }
    group = {"id": to_text(event.JID)}
    events: list[tuple[str, dict[str, Any]]] = []
    for kind, people in (
        ("join", event.Join),
        ("leave", event.Leave),
        ("promote", event.Promote),
        ("demote", event.Demote),
    ):
        if not people:
            continue
        if kind == "leave" and _jids(people) & own:
            events.append(("group.v2.leave", common | {"group": group}))
        events.append(
            (
                "group.v2.participants",
                common
                | {
                    "type": kind,
                    "group": group,
                    "participants": [
                        {
                            "id": waha_id(jid),
                            "role": _ROLES.get(kind, "participant"),
                        }
                        for jid in sorted(_jids(people))
                    ],
                },
            )
        )
    changed = _settings(event)
    if changed:
        events.append(("group.v2.update", common | {"group": group | changed}))
    return events


def _settings(event: pb.GroupInfoEvent) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if event.HasField("Name"):
        found["subject"] = event.Name.Name
    if event.HasField("Topic"):
        found["description"] = event.Topic.Topic
    if event.HasField("Announce"):
        found["membersCanSendMessages"] = not event.Announce.IsAnnounce
    if event.NewInviteLink:
        found["invite"] = event.NewInviteLink
    return found


def _jids(people: Iterable[pb.JID]) -> set[str]:
    return {bare_jid(to_text(one)) for one in people}


def _call(event: Any, *, video: bool, group: bool) -> dict[str, Any]:
    meta = event.basicCallMeta
    caller = bare_jid(person(meta.callCreator, meta.callCreatorAlt)) or bare_jid(
        to_text(getattr(meta, "from"))
    )
    return {
        "id": meta.callID,
        "from": waha_id(caller),
        "timestamp": int(timestamp(meta.timestamp).timestamp()),
        "isVideo": video,
        "isGroup": group,
        "_data": MessageToDict(event),
    }
