"""A session's webhooks: how they do, what they were sent, dead letters, tests."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Response

from api.models.events import (
    DeadLetterInfo,
    DeadLetterReplay,
    DeliveryInfo,
    Replayed,
    TestAnswer,
    WebhookInfo,
    WebhookTest,
)
from api.paging import at_most
from api.params import MOST, SessionPath
from api.problems import responses
from api.router import Router
from api.strict_json import StrictJsonRoute
from cluster.domain.config_secrets import unmasked
from cluster.domain.errors import Invalid, NotFound, SessionNotFound, Unauthorized, Unavailable

__all__ = ["router"]

router = Router(
    prefix="/api/{session}/webhooks",
    tags=["🔄 Events"],
    route_class=StrictJsonRoute,
    responses=responses(Invalid, SessionNotFound, Unauthorized, Unavailable),
)

_Webhook = Annotated[str | None, Query(max_length=128, description="Only of this webhook.")]
_Limit = Annotated[int, Query(ge=0), at_most(1000)]


@router.get(
    "",
    operation_id="WebhooksController_list",
    summary="Webhooks and how they are doing",
    description="Webhooks are set in the session's `config.webhooks`.",
)
async def list_webhooks(session: SessionPath) -> list[WebhookInfo]:
    return [WebhookInfo.of(state) for state in await session.webhooks.states()]


@router.post(
    "/test",
    operation_id="WebhooksController_test",
    summary="Send a test event to a webhook",
    description="One `webhook.test` event, once, now: answers what the receiver answered.",
    responses=responses(NotFound),
)
async def test_webhook(session: SessionPath, request: WebhookTest) -> TestAnswer:
    config = None
    if request.config:
        given = {"webhooks": [request.config.model_dump(exclude_none=True)]}
        (config,) = unmasked(given, (await session.info()).config)["webhooks"]
    return TestAnswer.of(await session.webhooks.test(webhook=request.webhook, config=config))


@router.get(
    "/deliveries",
    operation_id="WebhooksController_deliveries",
    summary="The log of deliveries",
    description="Every try, newest first.",
)
async def list_deliveries(
    session: SessionPath,
    webhook: _Webhook = None,
    before: Annotated[int | None, Query(ge=1, le=MOST, description="Ids below this.")] = None,
    limit: _Limit = 100,
) -> list[DeliveryInfo]:
    found = await session.webhooks.deliveries(webhook=webhook, before=before, limit=limit)
    return [DeliveryInfo.of(delivery) for delivery in found]


@router.get(
    "/dead-letters",
    operation_id="WebhooksController_deadLetters",
    summary="Events that were not taken",
    description="Oldest first.",
)
async def list_dead_letters(
    session: SessionPath,
    webhook: _Webhook = None,
    resolved: Annotated[bool, Query(description="Those that a replay delivered since.")] = False,
    after: Annotated[int, Query(ge=0, le=MOST, description="Ids above this.")] = 0,
    limit: _Limit = 100,
) -> list[DeadLetterInfo]:
    found = await session.webhooks.dead_letters(
        webhook=webhook, resolved=resolved, after=after, limit=limit
    )
    return [DeadLetterInfo.of(letter) for letter in found]


@router.post(
    "/dead-letters/replay",
    operation_id="WebhooksController_replayDeadLetters",
    summary="Try dead letters again",
    status_code=202,
    responses=responses(NotFound),
)
async def replay_dead_letters(
    session: SessionPath, request: DeadLetterReplay | None = None
) -> Replayed:
    wanted = request or DeadLetterReplay()
    count = await session.webhooks.replay_dead_letters(ids=wanted.ids, webhook=wanted.webhook)
    return Replayed(count=count)


@router.delete(
    "/dead-letters/{id}",
    operation_id="WebhooksController_deleteDeadLetter",
    summary="Give a dead letter up",
    responses=responses(NotFound),
)
async def delete_dead_letter(
    session: SessionPath, letter_id: Annotated[int, Path(alias="id", ge=1, le=MOST)]
) -> Response:
    await session.webhooks.delete_dead_letter(letter_id)
    return Response(status_code=200)
