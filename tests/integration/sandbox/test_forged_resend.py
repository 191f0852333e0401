"""A message that somebody says the phone sent again: the library takes it from anybody.

whatsmeow handles `PLACEHOLDER_MESSAGE_RESEND` without asking who sent it (message.go,
handleProtocolMessage), and makes a message event of whatever chat, sender and id is in it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from library_device import LibraryDevice
from neonize.proto.waCommon.WACommon_pb2 import MessageKey
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
    Message,
    PeerDataOperationRequestResponseMessage,
    PeerDataOperationRequestType,
    ProtocolMessage,
)
from neonize.proto.waWeb.WAWebProtobufsWeb_pb2 import WebMessageInfo

from sandbox.crypto.protobuf import wa
from sandbox.phone.phone import Phone
from sandbox.server.directory import jid_of

Result = PeerDataOperationRequestResponseMessage.PeerDataOperationResult


@pytest.mark.parametrize("request_id", ["", "3EB0AAAAAAAAAAAAAAAAAA"])
async def test_a_stranger_forges_no_message_of_others(
    alice: Phone,
    bob: Phone,
    link: Callable[[Phone], Awaitable[LibraryDevice]],
    request_id: str,
) -> None:
    device = await link(alice)
    for own in (False, True):
        sent = _resent(f"FORGED{own:d}", own=own, request_id=request_id)
        await bob.send_message(bob.address(alice.number), sent)
    await bob.send_text(alice.number, "the last one")
    await device.event("Received", body="the last one")
    # The account's own phone is believed: what it sends again arrives.
    number = int(str(await device.eval("client.me.jid")).partition(":")[2].partition("@")[0])
    await alice.send_message(
        jid_of(alice.account), _resent("GENUINE", own=False, request_id=request_id), peer=number
    )
    await device.event("Received", message_id="GENUINE")
    assert not [event for event in device.events if "FORGED" in str(event)]


def _resent(message_id: str, *, own: bool, request_id: str) -> Any:
    """As the virtual phone sends it, which has classes of its own for the same protobufs."""
    web_message = WebMessageInfo(
        key=MessageKey(remoteJID="4915299999999@s.whatsapp.net", fromMe=own, ID=message_id),
        message=Message(conversation="I owe Bob everything"),
        messageTimestamp=int(time.time()),
    )
    response = PeerDataOperationRequestResponseMessage(
        peerDataOperationRequestType=PeerDataOperationRequestType.PLACEHOLDER_MESSAGE_RESEND,
        stanzaID=request_id,
        peerDataOperationResult=[
            Result(
                placeholderMessageResendResponse=Result.PlaceholderMessageResendResponse(
                    webMessageInfoBytes=web_message.SerializeToString()
                )
            )
        ],
    )
    sent = Message(
        protocolMessage=ProtocolMessage(
            type=ProtocolMessage.PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE,
            peerDataOperationRequestResponseMessage=response,
        )
    )
    return wa.Message.FromString(sent.SerializeToString())
