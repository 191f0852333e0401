"""Bodies of the chatting group."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.models import WahaModel
from api.models.files import FileBody
from api.params import SessionName

__all__ = [
    "ButtonReplyRequest",
    "CallerMessageId",
    "ChatRequest",
    "ContactVcardRequest",
    "EventMessageRequest",
    "FileRequest",
    "ForwardRequest",
    "ImageRequest",
    "LinkCustomPreviewRequest",
    "LinkPreviewRequest",
    "ListRequest",
    "LocationRequest",
    "MessageText",
    "MessageTextRequest",
    "NewMessageId",
    "PollRequest",
    "PollVoteRequest",
    "ReactionRequest",
    "Result",
    "SeenRequest",
    "SendButtonsRequest",
    "SendRequest",
    "StarRequest",
    "StickerRequest",
    "VideoRequest",
    "VoiceRequest",
]

#: WhatsApp takes texts of up to 65,536 characters; NUL is what PostgreSQL cannot keep.
MessageText = Annotated[
    str, StringConstraints(min_length=1, max_length=65_536, pattern=r"^[^\x00]*$")
]
#: The same as `cluster.domain.message_id.check_message_id`, for OpenAPI.
CallerMessageId = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{16,40}$")]
Line = Annotated[str, StringConstraints(max_length=1024)]
Caption = Annotated[str, StringConstraints(max_length=65_536)]


class ChatRequest(WahaModel):
    """What every request about a chat has."""

    session: SessionName = "default"
    chatId: str = Field(max_length=128, examples=["11111111111@c.us"])


class _Reply(ChatRequest):
    reply_to: str | None = Field(
        None,
        max_length=256,
        description="Id of the message to reply to: false_11111111111@c.us_AAAAAAAAAAAAAAAAAAAA",
    )


class SendRequest(_Reply):
    id: CallerMessageId | None = Field(
        None,
        description="Message id of the caller's own making; the same id is sent once.",
        examples=["3EB0AAAAAAAAAAAAAAAAAA"],
    )


class _Mentioning(SendRequest):
    mentions: list[Annotated[str, StringConstraints(max_length=128)]] | None = Field(
        None,
        max_length=1024,
        description="Chat ids to mention; `all` is everybody in the group.",
    )


class MessageTextRequest(_Mentioning):
    text: MessageText = Field(examples=["Hi there!"])
    linkPreview: bool | None = True
    linkPreviewHighQuality: bool | None = False


class ImageRequest(_Mentioning):
    file: FileBody
    caption: Caption | None = None


class FileRequest(_Mentioning):
    file: FileBody
    caption: Caption | None = None


class VoiceRequest(SendRequest):
    file: FileBody
    convert: bool = Field(False, description="Make it OGG with Opus first.")


class VideoRequest(_Mentioning):
    file: FileBody
    caption: Caption | None = None
    asNote: bool | None = Field(False, description="As a round video note.")
    convert: bool = Field(False, description="Make it MP4 with H.264 first.")


class StickerRequest(SendRequest):
    file: FileBody


class _PreviewImage(WahaModel):
    url: str | None = Field(None, max_length=4096)
    data: str | None = None


class _Preview(WahaModel):
    url: str = Field(min_length=1, max_length=4096)
    title: Line
    description: Line = ""
    image: _PreviewImage | None = None


class LinkCustomPreviewRequest(SendRequest):
    text: MessageText = Field(description="It must hold the preview's URL.")
    linkPreviewHighQuality: bool | None = True
    preview: _Preview


class LinkPreviewRequest(SendRequest):
    url: str = Field(min_length=1, max_length=4096)
    title: Line


class _Button(WahaModel):
    type: Literal["reply", "url", "call", "copy"]
    text: Line
    id: str | None = None
    url: str | None = None
    phoneNumber: str | None = None
    copyCode: str | None = None


class SendButtonsRequest(ChatRequest):
    header: Line | None = None
    headerImage: FileBody | None = None
    body: Caption | None = None
    footer: Line | None = None
    buttons: list[_Button] = Field(min_length=1, max_length=10)


class _Row(WahaModel):
    title: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    description: Line | None = None
    rowId: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class _Section(WahaModel):
    title: Line
    rows: list[_Row] = Field(min_length=1, max_length=100)


class _List(WahaModel):
    title: Line
    description: Line | None = None
    footer: Line | None = None
    button: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    sections: list[_Section] = Field(min_length=1, max_length=20)


class ListRequest(SendRequest):
    message: _List


class ForwardRequest(ChatRequest):
    id: CallerMessageId | None = None
    messageId: str = Field(max_length=256, examples=["false_11111111111@c.us_AAAAAAAAAAAAAAAAAAAA"])


class SeenRequest(ChatRequest):
    messageId: Annotated[str, StringConstraints(max_length=256)] | None = Field(
        None, deprecated=True
    )
    messageIds: list[Annotated[str, StringConstraints(max_length=256)]] | None = Field(
        None, max_length=500
    )
    participant: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        None, description="Who sent the messages, in groups."
    )


class ReactionRequest(WahaModel):
    session: SessionName = "default"
    messageId: str = Field(max_length=256, examples=["false_11111111111@c.us_AAAAAAAAAAAAAAAAAAAA"])
    reaction: Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00]*$")] = Field(
        description="An emoji; empty takes the reaction back.", examples=["👍"]
    )


class StarRequest(ChatRequest):
    messageId: str = Field(max_length=256, examples=["false_11111111111@c.us_AAAAAAAAAAAAAAAAAAAA"])
    star: bool


class _Poll(WahaModel):
    name: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        examples=["How are you?"]
    )
    options: list[Annotated[str, StringConstraints(min_length=1, max_length=100)]] = Field(
        min_length=2, max_length=12, examples=[["Awesome!", "Good!", "Not bad!"]]
    )
    multipleAnswers: bool = False


class PollRequest(SendRequest):
    poll: _Poll


class PollVoteRequest(ChatRequest):
    pollMessageId: str = Field(
        max_length=256, examples=["false_11111111111@c.us_AAAAAAAAAAAAAAAAAAAA"]
    )
    pollServerId: float | None = Field(
        None, ge=0, le=1e18, description="For channels, which are not supported."
    )
    votes: list[Annotated[str, StringConstraints(max_length=100)]] = Field(
        max_length=12, description="The options chosen; none takes the vote back."
    )


class LocationRequest(SendRequest):
    latitude: float = Field(ge=-90, le=90, examples=[38.8937255])
    longitude: float = Field(ge=-180, le=180, examples=[-77.0969763])
    title: Line | None = Field("", examples=["Our office"])


class _EventLocation(WahaModel):
    name: Line = Field(examples=["Luxe Nail Studio"])


class _Event(WahaModel):
    name: Line = Field(min_length=1, examples=["John's Nail Appointment"])
    description: Annotated[str, StringConstraints(max_length=4096)] | None = None
    startTime: int = Field(ge=0, lt=2**40, description="Unix seconds.", examples=[2063137000])
    endTime: int | None = Field(None, ge=0, lt=2**40, description="Unix seconds.")
    location: _EventLocation | None = None
    extraGuestsAllowed: bool | None = False


class EventMessageRequest(WahaModel):
    chatId: str = Field(max_length=128, examples=["11111111111@c.us"])
    reply_to: str | None = Field(None, max_length=256, description="Id of the message to reply to.")
    event: _Event


class _Contact(WahaModel):
    """Either a vCard, or what one is made of."""

    vcard: Annotated[str, StringConstraints(max_length=65_536)] | None = None
    fullName: Line | None = Field(None, examples=["John Doe"])
    organization: Line | None = Field(None, examples=["Company Name"])
    phoneNumber: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None, examples=["+91 11111 11111"]
    )
    whatsappId: Annotated[str, StringConstraints(max_length=32)] | None = Field(
        None, examples=["911111111111"]
    )


class ContactVcardRequest(SendRequest):
    contacts: list[_Contact] = Field(min_length=1, max_length=100)


class ButtonReplyRequest(ChatRequest):
    replyTo: Annotated[str, StringConstraints(max_length=256)] | None = None
    selectedDisplayText: Line
    selectedButtonID: Line


class NewMessageId(WahaModel):
    id: str = Field(examples=["3EB0AAAAAAAAAAAAAAAAAA"])


class Result(WahaModel):
    result: bool = True
