"""Sending messages, and what else one does while chatting."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response

from api.file_route import FORM, FileRoute
from api.files import FilesUrl
from api.models import chatting as bodies
from api.models.contacts import WANumberExistResult
from api.models.files import FileBody, attachment
from api.models.files import given as given_file
from api.models.messages import WAMessage
from api.params import GatewayDep, SessionName, SessionPath, every_chat_or
from api.ports import SessionClient
from api.problems import responses
from api.references import optional_reference, reference
from api.routers.contacts import number_status
from api.routers.history_page import PAGED, Page, history
from api.vcards import card_of
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.errors import (
    BodyTooLarge,
    Conflict,
    Invalid,
    NotFound,
    NotOnWhatsApp,
    NotSupported,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
    WhatsAppRefused,
)
from cluster.domain.message import SentMessage
from cluster.domain.session import Me

__all__ = ["IdempotencyKey", "router"]

router = APIRouter(
    prefix="/api",
    tags=["📤 Chatting"],
    route_class=FileRoute,
    responses=responses(Invalid, SessionNotFound, Unauthorized, Unavailable),
)

_Session = Annotated[SessionName, Query(description="Session name")]
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255)]
_SENDING: dict[str, Any] = {
    "status_code": 201,
    "responses": responses(
        Invalid, SessionNotWorking, NotOnWhatsApp, BodyTooLarge, Conflict, WhatsAppRefused
    ),
}
_ASKING: dict[str, Any] = {"responses": responses(Invalid, SessionNotWorking, WhatsAppRefused)}
_DURABLE = (
    "Answers when WhatsApp has taken the message, or when it is durably accepted (`ack` 0) and "
    "will be sent. The same `Idempotency-Key`, or `id`, is the same message."
)
_FILES = f"The file by URL, as base64, or uploaded before. {_DURABLE}"


class _Sender:
    """One request to send: the session, who it is, and how the answer is made."""

    def __init__(self, session: SessionClient, me: Me | None, files: str) -> None:
        self.session = session
        self._me = me
        self._files = files

    @classmethod
    async def of(cls, gateway: GatewayDep, name: str, files: FilesUrl) -> _Sender:
        session = gateway.session(name)
        # Before the send: nothing that can fail may stand between an accepted message and its
        # answer.
        return cls(session, await session.me(), files(name))

    def answer(self, sent: SentMessage) -> WAMessage:
        return WAMessage.of_send(sent, self._me, files=self._files)


@router.post(
    "/sendText",
    operation_id="ChattingController_sendText",
    summary="Send a text message",
    description=_DURABLE,
    **_SENDING,
)
async def send_text(
    gateway: GatewayDep,
    request: bodies.MessageTextRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    chat = parse_chat_id(request.chatId)
    reply_to = optional_reference(request.reply_to)
    mentions = [
        m if m == "all" else parse_chat_id(m, "mentions").jid for m in request.mentions or ()
    ]
    sender = await _Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.send_text(
            chat.jid,
            request.text,
            reply_to=reply_to,
            mentions=mentions,
            link_preview=request.linkPreview is not False,
            link_preview_high_quality=bool(request.linkPreviewHighQuality),
            idempotency_key=idempotency_key,
            message_id=request.id,
        )
    )


@router.get(
    "/sendText",
    operation_id="ChattingController_sendTextGet",
    summary="Send a text message",
    description="DEPRECATED by WAHA: it changes something and must not be cached or prefetched.",
    deprecated=True,
    responses=_SENDING["responses"],
)
async def send_text_get(
    gateway: GatewayDep,
    files: FilesUrl,
    phone: Annotated[str, Query(max_length=128, examples=["11111111111@c.us"])],
    text: Annotated[bodies.MessageText, Query(examples=["Hi there!"])],
    session: _Session = "default",
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    request = bodies.MessageTextRequest(session=session, chatId=phone, text=text)
    return await send_text(gateway, request, files, idempotency_key)


@router.post(
    "/reply",
    operation_id="ChattingController_reply",
    summary="Reply to a message",
    description="DEPRECATED by WAHA: `reply_to` of the other requests does it.",
    deprecated=True,
    **_SENDING,
)
async def reply(
    gateway: GatewayDep,
    request: bodies.MessageTextRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    if not request.reply_to:
        raise Invalid("reply_to is needed", field="reply_to")
    return await send_text(gateway, request, files, idempotency_key)


@router.post(
    "/sendImage",
    openapi_extra=FORM,
    operation_id="ChattingController_sendImage",
    summary="Send an image",
    description=f"{_FILES} What is neither JPEG nor PNG is sent as JPEG.",
    **_SENDING,
)
async def send_image(
    gateway: GatewayDep,
    request: bodies.ImageRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await _Sender.of(gateway, request.session, files)
    return await _send_file(
        sender, "image", request, request.file, idempotency_key, caption=request.caption or ""
    )


@router.post(
    "/sendFile",
    openapi_extra=FORM,
    operation_id="ChattingController_sendFile",
    summary="Send a file",
    description=_FILES,
    **_SENDING,
)
async def send_file(
    gateway: GatewayDep,
    request: bodies.FileRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await _Sender.of(gateway, request.session, files)
    return await _send_file(
        sender, "document", request, request.file, idempotency_key, caption=request.caption or ""
    )


@router.post(
    "/sendVoice",
    openapi_extra=FORM,
    operation_id="ChattingController_sendVoice",
    summary="Send an voice message",
    description=f"{_FILES} It should be OGG with Opus; `convert` makes it that.",
    **_SENDING,
)
async def send_voice(
    gateway: GatewayDep,
    request: bodies.VoiceRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await _Sender.of(gateway, request.session, files)
    return await _send_file(
        sender,
        "audio",
        request,
        request.file,
        idempotency_key,
        convert=request.convert,
        extra={"voice": True},
    )


@router.post(
    "/sendVideo",
    openapi_extra=FORM,
    operation_id="ChattingController_sendVideo",
    summary="Send a video",
    description=f"{_FILES} It should be MP4 with H.264; `convert` makes it that.",
    **_SENDING,
)
async def send_video(
    gateway: GatewayDep,
    request: bodies.VideoRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await _Sender.of(gateway, request.session, files)
    return await _send_file(
        sender,
        "video",
        request,
        request.file,
        idempotency_key,
        caption=request.caption or "",
        convert=request.convert,
        extra={"as_note": True} if request.asNote else None,
    )


@router.post(
    "/sendSticker",
    openapi_extra=FORM,
    operation_id="ChattingController_sendSticker",
    summary="Send a sticker",
    description=f"{_FILES} Any image becomes a WebP of 512 × 512 pixels.",
    **_SENDING,
)
async def send_sticker(
    gateway: GatewayDep,
    request: bodies.StickerRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await _Sender.of(gateway, request.session, files)
    return await _send_file(sender, "sticker", request, request.file, idempotency_key)


@router.post(
    "/send/link-custom-preview",
    operation_id="ChattingController_sendLinkCustomPreview",
    summary="Send a text message with a CUSTOM link preview.",
    description=_DURABLE,
    **_SENDING,
)
async def send_link_custom_preview(
    gateway: GatewayDep,
    request: bodies.LinkCustomPreviewRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    given = request.preview
    if given.url not in request.text:
        raise Invalid("text must hold the preview's url", field="text")
    image = None
    if given.image is not None and (given.image.url or given.image.data):
        image = given_file(given.image.url, given.image.data)
    sender = await _Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.send_text(
            request.chatId,
            request.text,
            reply_to=optional_reference(request.reply_to),
            link_preview_high_quality=request.linkPreviewHighQuality is not False,
            preview={
                "url": given.url,
                "title": given.title,
                "description": given.description,
                "image": image,
            },
            idempotency_key=idempotency_key,
            message_id=request.id,
        )
    )


@router.post(
    "/sendLinkPreview",
    operation_id="ChattingController_sendLinkPreview_DEPRECATED",
    summary="Send a link with a title",
    description="DEPRECATED by WAHA: `linkPreview` of `sendText` does it.",
    deprecated=True,
    **_SENDING,
)
async def send_link_preview(
    gateway: GatewayDep,
    request: bodies.LinkPreviewRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await _Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.send_text(
            request.chatId,
            f"{request.title}\n{request.url}",
            reply_to=optional_reference(request.reply_to),
            preview={"url": request.url, "title": request.title, "description": ""},
            idempotency_key=idempotency_key,
            message_id=request.id,
        )
    )


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
    description=_DURABLE,
    **_SENDING,
)
async def send_list(
    gateway: GatewayDep,
    request: bodies.ListRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    listing = {
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
    sender = await _Sender.of(gateway, request.session, files)
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
    description=_DURABLE,
    **_SENDING,
)
async def send_buttons_reply(
    gateway: GatewayDep,
    request: bodies.ButtonReplyRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await _Sender.of(gateway, request.session, files)
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
    description=f"You can use it as buttons or list replacement. {_DURABLE}",
    **_SENDING,
)
async def send_poll(
    gateway: GatewayDep,
    request: bodies.PollRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await _Sender.of(gateway, request.session, files)
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
    description=_DURABLE,
    status_code=201,
    responses=_SENDING["responses"] | responses(NotFound, NotSupported),
)
async def send_poll_vote(
    gateway: GatewayDep,
    request: bodies.PollVoteRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    chat = parse_chat_id(request.chatId)
    sender = await _Sender.of(gateway, request.session, files)
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
    description=f"An invitation to something that happens at a time. {_DURABLE}",
    tags=["📅 Events"],
    **_SENDING,
)
async def send_event(
    gateway: GatewayDep,
    session: Annotated[SessionName, Path(description="Session name")],
    request: bodies.EventMessageRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await _Sender.of(gateway, session, files)
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
    description=_DURABLE,
    **_SENDING,
)
async def send_location(
    gateway: GatewayDep,
    request: bodies.LocationRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    sender = await _Sender.of(gateway, request.session, files)
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
    description=_DURABLE,
    **_SENDING,
)
async def send_contact_vcard(
    gateway: GatewayDep,
    request: bodies.ContactVcardRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    cards = [
        card_of(
            vcard=contact.vcard,
            name=contact.fullName,
            organization=contact.organization,
            phone=contact.phoneNumber,
            whatsapp_id=contact.whatsappId,
        )
        for contact in request.contacts
    ]
    sender = await _Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.chatting.send_contacts(
            request.chatId,
            cards,
            reply_to=optional_reference(request.reply_to),
            idempotency_key=idempotency_key,
            message_id=request.id,
        )
    )


@router.post(
    "/forwardMessage",
    operation_id="ChattingController_forwardMessage",
    summary="Forward a message",
    description=_DURABLE,
    status_code=201,
    responses=_SENDING["responses"] | responses(NotFound),
)
async def forward_message(
    gateway: GatewayDep,
    request: bodies.ForwardRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    message = reference(request.messageId, "messageId")
    sender = await _Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.chatting.forward(
            request.chatId, message, idempotency_key=idempotency_key, message_id=request.id
        )
    )


@router.put(
    "/reaction",
    operation_id="ChattingController_setReaction",
    summary="React to a message with an emoji",
    responses=_SENDING["responses"] | responses(NotFound),
)
async def set_reaction(
    gateway: GatewayDep,
    request: bodies.ReactionRequest,
    files: FilesUrl,
    idempotency_key: IdempotencyKey = None,
) -> WAMessage:
    message = reference(request.messageId, "messageId")
    sender = await _Sender.of(gateway, request.session, files)
    return sender.answer(
        await sender.session.chatting.react(
            message, request.reaction, idempotency_key=idempotency_key
        )
    )


@router.put(
    "/star",
    operation_id="ChattingController_setStar",
    summary="Star or unstar a message",
    responses=_ASKING["responses"] | responses(NotFound),
)
async def set_star(gateway: GatewayDep, request: bodies.StarRequest) -> bodies.Result:
    chat = parse_chat_id(request.chatId)
    message = reference(request.messageId, "messageId", chat=chat.jid)
    await gateway.session(request.session).chatting.star(message, request.star)
    return bodies.Result()


@router.post(
    "/sendSeen",
    operation_id="ChattingController_sendSeen",
    summary="Send read receipts",
    description="For the messages named; without any for all unread ones of the chat.",
    status_code=201,
    **_ASKING,
)
async def send_seen(gateway: GatewayDep, request: bodies.SeenRequest) -> bodies.Result:
    chat = parse_chat_id(request.chatId)
    named = [*(request.messageIds or ()), *([request.messageId] if request.messageId else ())]
    participant = (
        parse_chat_id(request.participant, "participant").jid if request.participant else ""
    )
    await gateway.session(request.session).chatting.seen(
        chat.jid,
        [reference(text, "messageIds", chat=chat.jid) for text in named],
        participant=participant,
    )
    return bodies.Result()


@router.post(
    "/startTyping",
    operation_id="ChattingController_startTyping",
    summary="Show as typing",
    status_code=201,
    **_ASKING,
)
async def start_typing(gateway: GatewayDep, request: bodies.ChatRequest) -> bodies.Result:
    await gateway.session(request.session).chatting.typing(request.chatId, typing=True)
    return bodies.Result()


@router.post(
    "/stopTyping",
    operation_id="ChattingController_stopTyping",
    summary="Stop showing as typing",
    status_code=201,
    **_ASKING,
)
async def stop_typing(gateway: GatewayDep, request: bodies.ChatRequest) -> bodies.Result:
    await gateway.session(request.session).chatting.typing(request.chatId, typing=False)
    return bodies.Result()


@router.get(
    "/messages",
    operation_id="ChattingController_getMessages",
    summary="Get messages in a chat",
    description="DEPRECATED by WAHA in favour of `GET /api/{session}/chats/{chatId}/messages`.",
    responses=PAGED,
)
async def get_messages(
    gateway: GatewayDep,
    page: Page,
    files: FilesUrl,
    response: Response,
    chat_id: Annotated[
        str, Query(alias="chatId", description="Chat ID, or `all`", examples=["11111111111@c.us"])
    ],
    session: _Session = "default",
) -> list[WAMessage]:
    chat = every_chat_or(chat_id)
    return await history(
        gateway.session(session), chat, page, files=files(session), response=response
    )


@router.get(
    "/checkNumberStatus",
    operation_id="ChattingController_DEPRECATED_checkNumberStatus",
    summary="Check number status",
    deprecated=True,
    **_ASKING,
)
async def deprecated_check_number_status(
    gateway: GatewayDep,
    phone: Annotated[str, Query(max_length=64, examples=["1213213213"])],
    session: _Session = "default",
) -> WANumberExistResult:
    return await number_status(gateway.session(session), phone)


@router.get(
    "/{session}/new-message-id",
    operation_id="ChattingController_getNewMessageId",
    summary="Generate a message id to send under",
)
async def get_new_message_id(session: SessionPath) -> bodies.NewMessageId:
    return bodies.NewMessageId(id=await session.chatting.new_message_id())


async def _send_file(
    sender: _Sender,
    kind: str,
    request: bodies.SendRequest,
    file: FileBody,
    idempotency_key: str | None,
    **more: Any,
) -> WAMessage:
    mentions = [
        m if m == "all" else parse_chat_id(m, "mentions").jid
        for m in getattr(request, "mentions", None) or ()
    ]
    return sender.answer(
        await sender.session.media.send(
            request.chatId,
            kind,
            attachment(file),
            reply_to=optional_reference(request.reply_to),
            mentions=mentions,
            idempotency_key=idempotency_key,
            message_id=request.id,
            **more,
        )
    )
