"""The control API. Loopback only, and with a token: tests and people steer phones with it."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from google.protobuf.message import DecodeError

from sandbox.control import models
from sandbox.crypto.media import MediaError
from sandbox.crypto.protobuf import wa
from sandbox.phone.phone import Phone
from sandbox.phone.phones import Phones
from sandbox.server import login, privacy_tokens
from sandbox.server.errors import SandboxError
from sandbox.server.faults import Fault
from sandbox.server.server import Server
from sandbox.wire.node import Node

__all__ = ["Chosen", "Here", "authorise", "control_application"]

_MAX_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the routes work on."""

    server: Server
    phones: Phones
    token: str


def _parts(request: Request) -> _Parts:
    found: _Parts = request.app.state.parts
    return found


Here = Annotated[_Parts, Depends(_parts)]
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


def authorise(here: Here, credentials: _Bearer) -> None:
    given = credentials.credentials if credentials else ""
    if not secrets.compare_digest(given.encode(), here.token.encode()):
        raise HTTPException(401, "the token is missing or wrong")


def _chosen(here: Here, number: str) -> Phone:
    return here.phones.get(number)


Chosen = Annotated[Phone, Depends(_chosen)]
_routes = APIRouter(dependencies=[Depends(authorise)])


def control_application(server: Server, phones: Phones, token: str) -> FastAPI:
    """The application; every request needs `Authorization: Bearer <token>`."""
    app = FastAPI(
        title="WhatsApp sandbox",
        description="Virtual phones, faults, and what the server saw.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.parts = _Parts(server, phones, token)
    app.include_router(_routes)

    @app.exception_handler(SandboxError)
    async def refused(request: Request, error: SandboxError) -> JSONResponse:
        return JSONResponse({"detail": error.detail}, status_code=error.status)

    return app


def _info(server: Server, one: Phone) -> models.PhoneInfo:
    lengths = server.store.queue_lengths()
    linked = []
    for number, device in sorted(server.directory.devices(one.number).items()):
        peer = server.peers.get(one.number, number)
        if number:
            linked.append(
                models.DeviceInfo(
                    device=number,
                    platform=device.platform,
                    linked_at=device.linked_at,
                    connected=peer is not None,
                    active=peer is not None and peer.active,
                    queued=lengths.get((one.number, number), 0),
                    prekeys=server.store.count_prekeys(one.number, number),
                )
            )
    return models.PhoneInfo(
        number=one.number,
        name=one.account.name,
        lid=one.account.lid,
        about=one.account.about,
        devices=linked,
        waits_for_code=server.pairing.waits_for_code(one.number),
    )


@_routes.get("/phones")
async def list_phones(here: Here) -> list[models.PhoneInfo]:
    return [_info(here.server, one) for one in here.phones.all()]


@_routes.post("/phones", status_code=201)
async def add_phone(here: Here, body: models.NewPhone) -> models.PhoneInfo:
    return _info(here.server, await here.phones.add(body.number.lstrip("+"), body.name))


@_routes.get("/phones/{number}")
async def get_phone(here: Here, one: Chosen) -> models.PhoneInfo:
    return _info(here.server, one)


@_routes.patch("/phones/{number}")
async def change_phone(here: Here, one: Chosen, body: models.PhoneChange) -> models.PhoneInfo:
    if body.name is not None:
        await one.settings.rename(body.name)
    if body.sends_receipts is not None:
        one.sends_receipts = body.sends_receipts
    if body.spoils is not None:
        one.corrupts = body.spoils
    if body.addressing is not None:
        here.server.directory.set_lids(one.number, on=body.addressing == "lid")
    if body.restricted is not None:
        privacy_tokens.restrict(here.server, one.number, on=body.restricted)
    if body.available is not None:
        await one.show_presence(available=body.available)
    return _info(here.server, one)


@_routes.post("/phones/{number}/scan", status_code=204)
async def scan(one: Chosen, body: models.Scan) -> None:
    await one.scan(body.qr)


@_routes.post("/phones/{number}/link-code", status_code=204)
async def link_code(one: Chosen, body: models.Code) -> None:
    await one.enter_code(body.code)


@_routes.post("/phones/{number}/messages", status_code=201)
async def send(one: Chosen, body: models.NewMessage) -> models.Sent:
    if not body.media:
        if not body.text:
            raise SandboxError("a message needs a text or media", status=422)
        sent = await one.send_text(body.to, body.text, reply_to=body.reply_to)
        return models.Sent(id=sent)
    try:
        data = base64.b64decode(body.data, validate=True)
    except binascii.Error:
        raise SandboxError("data is not base64", status=422) from None
    sent = await one.send_media(
        body.to,
        body.media,
        data,
        mimetype=body.mimetype,
        caption=body.text,
        filename=body.filename,
    )
    return models.Sent(id=sent)


@_routes.post("/phones/{number}/messages/any", status_code=201)
async def send_any(one: Chosen, body: models.AnyMessage) -> models.Sent:
    try:
        message = wa.Message.FromString(base64.b64decode(body.data, validate=True))
    except (binascii.Error, DecodeError):
        raise SandboxError("data is no message as base64", status=422) from None
    word, becomes = body.word.encode(), bytes.fromhex(body.becomes)
    if len(word) != len(becomes):
        raise SandboxError("`becomes` must be as long as `word`", status=422)
    sent = await one.send_message(one.address(body.to), message, swapped=(word, becomes))
    return models.Sent(id=sent)


@_routes.get("/phones/{number}/inbox")
async def inbox(
    one: Chosen,
    after: int = 0,
    wait: Annotated[float, Query(ge=0, le=_MAX_WAIT)] = 0,
    kind: str = "message",
) -> models.Entries:
    found = await one.wait_inbox(after, wait, kind) if wait else one.inbox(after, kind)
    return models.Entries(entries=found)


@_routes.get("/phones/{number}/receipts")
async def receipts(
    one: Chosen, after: int = 0, wait: Annotated[float, Query(ge=0, le=_MAX_WAIT)] = 0
) -> models.Entries:
    return await inbox(one, after, wait, "receipt")


@_routes.get("/phones/{number}/inbox/{message_id}/media")
async def download(one: Chosen, message_id: str) -> Response:
    try:
        return Response(one.download(message_id), media_type="application/octet-stream")
    except MediaError as error:
        raise SandboxError(str(error), status=409) from error


@_routes.delete("/phones/{number}/inbox/{message_id}/media", status_code=204)
async def lose_media(one: Chosen, message_id: str) -> None:
    one.lose_media(message_id)


@_routes.post("/phones/{number}/polls", status_code=201)
async def send_poll(one: Chosen, body: models.NewPoll) -> models.Sent:
    return models.Sent(id=await one.send_poll(body.to, body.question, body.options))


@_routes.post("/phones/{number}/polls/{message_id}/votes", status_code=201)
async def vote(one: Chosen, message_id: str, body: models.NewVote) -> models.Sent:
    return models.Sent(id=await one.vote(message_id, body.options))


@_routes.get("/phones/{number}/polls/{message_id}/votes")
async def votes(one: Chosen, message_id: str) -> models.Entries:
    return models.Entries(entries=one.votes(message_id))


@_routes.post("/phones/{number}/events/{message_id}/answers", status_code=201)
async def answer_event(one: Chosen, message_id: str, body: models.EventAnswer) -> models.Sent:
    return models.Sent(id=await one.answer_event(message_id, body.response, body.guests))


@_routes.post("/phones/{number}/react", status_code=201)
async def react(one: Chosen, body: models.Reaction) -> models.Sent:
    return models.Sent(id=await one.react(body.message_id, body.emoji))


@_routes.post("/phones/{number}/edit", status_code=201)
async def edit(one: Chosen, body: models.Change) -> models.Sent:
    if body.text is None:
        return models.Sent(id=await one.revoke(body.message_id))
    return models.Sent(id=await one.edit(body.message_id, body.text))


@_routes.post("/phones/{number}/read", status_code=204)
async def read(one: Chosen, body: models.Messages) -> None:
    await one.read(body.message_ids)


@_routes.post("/phones/{number}/typing", status_code=204)
async def typing(one: Chosen, body: models.Typing) -> None:
    await one.type(body.to, state=body.state)


@_routes.post("/phones/{number}/settings", status_code=204)
async def change_setting(here: Here, one: Chosen, body: models.ChatSetting) -> None:
    jid = str(one.address(body.chat))
    if body.setting == "contact":
        account = here.server.directory.find(one.address(body.chat))
        if account is None:
            raise SandboxError("a contact is a person", status=422)
        await one.settings.contact(
            f"{account.number}@s.whatsapp.net", body.name, lid=f"{account.lid}@lid"
        )
    elif body.setting == "mute":
        await one.settings.mute(jid, muted=body.on)
    elif body.setting == "pin":
        await one.settings.pin(jid, pinned=body.on)
    else:
        await one.settings.archive(jid, archived=body.on)


@_routes.get("/phones/{number}/settings/{collection}")
async def settings(one: Chosen, collection: str) -> list[dict[str, Any]]:
    return one.settings.read(collection)


@_routes.delete("/phones/{number}/devices/{device}", status_code=204)
async def unlink(one: Chosen, device: int) -> None:
    await one.unlink(device)


@_routes.post("/phones/{number}/devices/{device}/stream-error", status_code=204)
async def stream_error(here: Here, one: Chosen, device: int, body: models.NewFault) -> None:
    peer = here.server.peers.get(one.number, device)
    if peer is None:
        raise SandboxError("the device is not connected", status=409)
    node: Node = login.stream_error(code=body.code or None, conflict=body.conflict)
    await peer.end(node)


@_routes.post("/phones/{number}/devices/{device}/prekeys", status_code=204)
async def prekeys(here: Here, one: Chosen, device: int, body: models.PrekeysLeft) -> None:
    here.server.store.drop_prekeys(one.number, device, body.keep)


@_routes.get("/faults")
async def list_faults(here: Here) -> list[dict[str, Any]]:
    return [_fault(fault) for fault in here.server.faults.all()]


@_routes.post("/faults", status_code=201)
async def add_fault(here: Here, body: models.NewFault) -> dict[str, Any]:
    fault = here.server.faults.add(Fault(**body.model_dump()))
    if fault.kind == "stream_error":
        here.server.faults.remove(fault.id)
        for peer in here.server.peers.all():
            if peer.device and fault.concerns(peer.number, peer.device):
                await peer.end(login.stream_error(code=fault.code or None, conflict=fault.conflict))
    return _fault(fault)


@_routes.delete("/faults", status_code=204)
async def clear_faults(here: Here) -> None:
    here.server.faults.clear()


@_routes.delete("/faults/{number}", status_code=204)
async def remove_fault(here: Here, number: int) -> None:
    if not here.server.faults.remove(number):
        raise SandboxError("there is no such fault", status=404)


@_routes.get("/state")
async def state(here: Here) -> models.State:
    connected = [f"{p.number}:{p.device}" for p in here.server.peers.all() if p.device]
    return models.State(
        **here.server.journal.state(), phones=len(here.phones.all()), connected=sorted(connected)
    )


@_routes.get("/journal")
async def journal(here: Here, after: int = 0, kind: str = "") -> models.Entries:
    return models.Entries(
        entries=[
            entry
            for entry in here.server.journal.entries
            if entry["number"] > after and kind in ("", entry["kind"])
        ]
    )


def _fault(fault: Fault) -> dict[str, Any]:
    shown = ("id", "kind", "number", "device", "seconds", "times", "code", "version", "struck")
    return {name: getattr(fault, name) for name in shown}
