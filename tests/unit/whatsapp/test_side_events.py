"""Groups, calls and presence in WAHA's shapes, judged by the models made from its OpenAPI."""

from __future__ import annotations

from neonize.proto import Neonize_pb2 as pb
from waha.generated import models as waha

from actors.whatsapp.jids import from_text
from actors.whatsapp.side_events import side_events_of

ME = "4915100001@s.whatsapp.net"
OTHER = "4915100002@s.whatsapp.net"
GROUP = "120363000000000001@g.us"


def emitted(event: object) -> list[tuple[str, dict[str, object]]]:
    found = side_events_of(event, frozenset({ME}))  # type: ignore[arg-type]
    return list(found.events) if found else []


def test_changes_of_a_group_become_one_event_each() -> None:
    event = pb.GroupInfoEvent(JID=from_text(GROUP), Timestamp=1_700_000_000, Notify="x")
    event.Name.Name = "New name"
    event.Announce.IsAnnounce = True
    event.Join.append(from_text(OTHER))
    event.Leave.append(from_text(ME))
    found = emitted(event)
    assert [name for name, _ in found] == [
        "group.v2.participants",
        "group.v2.leave",
        "group.v2.participants",
        "group.v2.update",
    ]
    joined, left, _, updated = (payload for _, payload in found)
    waha.GroupV2ParticipantsEvent.model_validate(joined)
    waha.GroupV2LeaveEvent.model_validate(left)
    waha.GroupV2UpdateEvent.model_validate(updated)
    assert joined["type"] == "join"
    assert joined["participants"] == [{"id": "4915100002@c.us", "role": "participant"}]
    assert updated["group"] == {
        "id": GROUP,
        "subject": "New name",
        "membersCanSendMessages": False,
    }


def test_joining_a_group_emits_it_as_a_whole() -> None:
    event = pb.JoinedGroup()
    event.GroupInfo.JID.CopyFrom(from_text(GROUP))
    event.GroupInfo.GroupName.Name = "Friends"
    event.GroupInfo.GroupCreated = 1_700_000_000
    event.GroupInfo.Participants.append(
        pb.GroupParticipant(
            JID=from_text("1234@lid"), PhoneNumber=from_text(OTHER), IsAdmin=True, IsSuperAdmin=True
        )
    )
    ((name, payload),) = emitted(event)
    assert name == "group.v2.join"
    group = waha.GroupV2JoinEvent.model_validate(payload).group
    assert group.subject == "Friends"
    assert (group.participants[0].id, group.participants[0].pn) == ("1234@lid", "4915100002@c.us")


def test_calls_and_presence_have_wahas_shapes() -> None:
    call = pb.CallOffer()
    meta = call.basicCallMeta
    meta.callCreator.CopyFrom(from_text("1234@lid"))
    meta.callCreatorAlt.CopyFrom(from_text(OTHER))
    meta.callID, meta.timestamp = "CALL", 1_700_000_000
    call.data.Nodes.append(pb.Node(Tag="video"))
    ((name, payload),) = emitted(call)
    assert name == "call.received"
    data = waha.CallData.model_validate(payload)
    assert (data.from_, data.isVideo, data.id) == ("4915100002@c.us", True, "CALL")

    ((name, payload),) = emitted(pb.Presence(From=from_text(OTHER), Unavailable=True, LastSeen=5))
    assert name == "presence.update"
    presences = waha.WAHAChatPresences.model_validate(payload)
    assert presences.presences[0].lastKnownPresence.value == "offline"
    assert presences.presences[0].lastSeen == 5
