"""Buttons, lists, polls, events, places and contacts."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from api.file_route import FileRoute
from api.files import FilesUrl
from api.models import chatting as bodies
from api.models.messages import WAMessage
from api.params import GatewayDep, SessionName
from api.problems import responses
from api.references import optional_reference, reference
from api.router import Router
from api.routers.chatting.sending import (
    DURABLE,
    SENDING,
    IdempotencyKey,
    Sender,
)
from api.vcards import cards_of
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.content import Listing
from cluster.domain.errors import (
    NotFound,
    NotSupported,
)

__all__ = ["router"]

router = Router(prefix="/api", route_class=FileRoute)


@router.post(
    "/sendButtons",
    operation_id="ChattingController_sendButtons",
    summary="Send buttons (interactive message)",
    description="Not possible: WhatsApp's apps do not show buttons of unofficial clients any more "
    "(WAHA marks them as not working too). Polls and lists do the job.",
    responses=responses(NotSupported),
    status_code=201,
)
async def send_buttons(gateway: GatewayDep, request: bodies.SendButtonsRequest) -> WAMessage:
    await gateway.session(request.session).info()
    raise NotSupported(
        "WhatsApp's apps do not show buttons that linked devices send any more; send a poll "
        "(POST /api/sendPoll) or a list (POST /api/sendList)"
    )


@router.post(
    "/sendList",
    operation_id="ChattingController_sendList",
    summary="Send a list message (interactive)",
    description=DURABLE,
    **SENDING,
)
async def send_list(
    gateway: GatewayDep,
    request: bodies.ListRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    listing: Listing = {
        "text": request.message.title,
        "description": request.message.description or "",
        "footer": request.message.footer or "",
        "button": request.message.button,
        "sections": [
            {
                "title": section.title,
                "rows": [
                    {"id": row.rowId, "title": row.title, "description": row.description or ""}
                    for row in section.rows
                ],
            }
            for section in request.message.sections
        ],
    }
    sender = await Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.chatting.send_list(
            request.chatId,
            listing,
            reply_to=optional_reference(request.reply_to),
            idempotency_key=idempotency_key,
            message_id=request.id,
        )
    )


@router.post(
    "/send/buttons/reply",
    operation_id="ChattingController_sendButtonsReply",
    summary="Reply on a button message",
    description=DURABLE,
    **SENDING,
)
async def send_buttons_reply(
    gateway: GatewayDep,
    request: bodies.ButtonReplyRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.chatting.reply_button(
            request.chatId,
            request.selectedButtonID,
            request.selectedDisplayText,
            optional_reference(request.replyTo, "replyTo"),
            idempotency_key=idempotency_key,
        )
    )


@router.post(
    "/sendPoll",
    operation_id="ChattingController_sendPoll",
    summary="Send a poll with options",
    description=f"You can use it as buttons or list replacement. {DURABLE}",
    **SENDING,
)
async def send_poll(
    gateway: GatewayDep,
    request: bodies.PollRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.chatting.send_poll(
            request.chatId,
            request.poll.name,
            request.poll.options,
            multiple=request.poll.multipleAnswers,
            reply_to=optional_reference(request.reply_to),
            idempotency_key=idempotency_key,
            message_id=request.id,
        )
    )


@router.post(
    "/sendPollVote",
    operation_id="ChattingController_sendPollVote",
    summary="Vote on a poll",
    description=DURABLE,
    status_code=201,
    responses=SENDING["responses"] | responses(NotFound, NotSupported),
)
async def send_poll_vote(
    gateway: GatewayDep,
    request: bodies.PollVoteRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    chat = parse_chat_id(request.chatId)
    if request.pollServerId is not None:
        raise NotSupported("the library cannot vote in polls of channels", field="pollServerId")
    sender = await Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.chatting.vote(
            chat.jid,
            reference(request.pollMessageId, "pollMessageId", chat=chat.jid),
            request.votes,
            idempotency_key=idempotency_key,
        )
    )


@router.post(
    "/{session}/events",
    operation_id="EventsController_sendEvent",
    summary="Send an event message",
    description=f"An invitation to something that happens at a time. {DURABLE}",
    tags=["📅 Events"],
    **SENDING,
)
async def send_event(
    gateway: GatewayDep,
    session: Annotated[SessionName, Path(description="Session name")],
    request: bodies.EventMessageRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await Sender.of(gateway, session, files)
    event = request.event
    return sender.answer(
        await sender.session.chatting.send_event(
            request.chatId,
            event.name,
            event.startTime,
            description=event.description or "",
            end=event.endTime,
            place=event.location.name if event.location else "",
            guests=bool(event.extraGuestsAllowed),
            reply_to=optional_reference(request.reply_to),
            idempotency_key=idempotency_key,
        )
    )


@router.post(
    "/sendLocation",
    operation_id="ChattingController_sendLocation",
    summary="Send a location",
    description=DURABLE,
    **SENDING,
)
async def send_location(
    gateway: GatewayDep,
    request: bodies.LocationRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.chatting.send_location(
            request.chatId,
            request.latitude,
            request.longitude,
            request.title or "",
            reply_to=optional_reference(request.reply_to),
            idempotency_key=idempotency_key,
            message_id=request.id,
        )
    )


@router.post(
    "/sendContactVcard",
    operation_id="ChattingController_sendContactVcard",
    summary="Send contact cards",
    description=DURABLE,
    **SENDING,
)
async def send_contact_vcard(
    gateway: GatewayDep,
    request: bodies.ContactVcardRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    cards = [
        card
        for contact in request.contacts
        for card in cards_of(
            vcard=contact.vcard,
            name=contact.fullName,
            organization=contact.organization,
            phone=contact.phoneNumber,
            whatsapp_id=contact.whatsappId,
        )
    ]
    sender = await Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.chatting.send_contacts(
            request.chatId,
            cards,
            reply_to=optional_reference(request.reply_to),
            idempotency_key=idempotency_key,
            message_id=request.id,
        )
    )
