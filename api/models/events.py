"""Bodies of events and webhooks beyond WAHA."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from api.models import WahaModel
from api.params import MOST
from cluster.domain.config_secrets import masked_url
from cluster.domain.outcome import Outcome
from cluster.domain.session_config import WebhookConfig
from cluster.stores.dead_letters import DeadLetter
from cluster.stores.quarantine import Quarantined
from cluster.stores.webhooks import Delivery, WebhookState

__all__ = [
    "DeadLetterInfo",
    "DeadLetterReplay",
    "DeliveryInfo",
    "EventsAnswer",
    "EventsReplay",
    "ReplayAnswer",
    "Replayed",
    "SessionDeadLetter",
    "TestAnswer",
    "WebhookInfo",
    "WebhookTest",
]

_WEBHOOK = Field(
    description="Id of the webhook, from `GET /api/{session}/webhooks`.",
    examples=["wh_5c5e1f4f0ef24a4b8c1d"],
)


class EventsAnswer(WahaModel):
    events: list[dict[str, Any]] = Field(
        description="Each as a webhook would get it; `gateway.seq` numbers them without gaps."
    )
    next: int = Field(description="Ask `after` this number for what follows.")
    cursor: str = Field(
        description="The same for `after`; 409 when the database has lost what was read.",
        examples=["12-7f3k9x2a"],
    )
    newest: int = Field(description="Number of the session's newest event.")


class EventsReplay(WahaModel):
    """A range of time or of numbers."""

    webhook: str = _WEBHOOK
    since: datetime | None = Field(None, alias="from", description="Events from this time on.")
    until: datetime | None = Field(None, alias="to", description="Events before this time.")
    after_seq: int | None = Field(None, alias="afterSeq", ge=0, le=MOST)
    until_seq: int | None = Field(None, alias="untilSeq", ge=1, le=MOST)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        times = self.since is not None or self.until is not None
        numbers = self.after_seq is not None or self.until_seq is not None
        if times == numbers:
            raise ValueError("give a range of time (from, to) or of numbers (afterSeq, untilSeq)")
        for moment in (self.since, self.until):
            if moment is not None and moment.tzinfo is None:
                raise ValueError("times need a time zone: 2026-01-31T12:00:00Z")
        return self


class ReplayAnswer(WahaModel):
    replay: str = Field(description="Told as `X-Webhook-Replay` with every event of it.")
    events: int = Field(description="Numbers in the range; the webhook gets those it wants.")


class WebhookInfo(WahaModel):
    """A webhook of the session, and how it is doing."""

    id: str
    origin: str = Field(description="`session`, `global` (the gateway's settings) or `replay`.")
    url: str
    events: list[str]
    cursor: int = Field(description="Number of the newest event it has dealt with.")
    behind: int = Field(description="Events that wait, wanted or not.")
    attempts: int = Field(description="Failed tries of the event whose turn it is.")
    nextTryAt: datetime | None
    lastError: str | None
    circuitOpenUntil: datetime | None = Field(
        description="Until then the URL is not tried, after many failures in a row."
    )
    deadLetters: int

    @classmethod
    def of(cls, state: WebhookState) -> Self:
        return cls(
            id=state.key,
            origin=state.origin,
            url=masked_url(state.url),
            events=list(state.events),
            cursor=state.cursor,
            behind=state.behind,
            attempts=state.attempts,
            nextTryAt=state.next_try_at,
            lastError=state.error or None,
            circuitOpenUntil=state.open_until,
            deadLetters=state.dead_letters,
        )


class DeliveryInfo(WahaModel):
    """One try of one event."""

    id: int
    webhook: str
    seq: int
    eventId: str
    event: str
    attempt: int
    status: int | None = Field(description="HTTP status; null when there was no answer.")
    error: str | None
    milliseconds: float
    at: datetime

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        return cls(
            id=delivery.id,
            webhook=delivery.key,
            seq=delivery.seq,
            eventId=delivery.event_id,
            event=delivery.type,
            attempt=delivery.attempt,
            status=delivery.status,
            error=delivery.error or None,
            milliseconds=_milliseconds(delivery.took.total_seconds()),
            at=delivery.tried_at,
        )


class DeadLetterInfo(WahaModel):
    """An event that a webhook did not take in all its tries."""

    id: int
    webhook: str
    url: str
    seq: int
    eventId: str
    event: str
    attempts: int
    status: int | None
    error: str
    diedAt: datetime
    resolvedAt: datetime | None = Field(description="When a replay delivered it after all.")

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        return cls(
            id=letter.id,
            webhook=letter.key,
            url=masked_url(letter.url),
            seq=letter.seq,
            eventId=letter.event_id,
            event=letter.type,
            attempts=letter.attempts,
            status=letter.status,
            error=letter.error,
            diedAt=letter.died_at,
            resolvedAt=letter.resolved_at,
        )


class QuarantinedInfo(WahaModel):
    """Something that arrived and could not be understood or recorded."""

    id: int
    kind: str = Field(description="What the library calls it: `Message`, `Receipt` …")
    error: str
    size: int = Field(description="Bytes of it as it came.")
    at: datetime

    @classmethod
    def of(cls, one: Quarantined) -> Self:
        return cls(id=one.id, kind=one.kind, error=one.error, size=one.size, at=one.at)


class SessionDeadLetter(DeadLetterInfo):
    session: str

    @classmethod
    def of_session(cls, session: str, letter: DeadLetter) -> Self:
        return cls(session=session, **DeadLetterInfo.of(letter).model_dump())


class DeadLetterReplay(WahaModel):
    """Which to try again; without anything all that wait."""

    ids: list[Annotated[int, Field(ge=1, le=MOST)]] | None = Field(None, max_length=1000)
    webhook: str | None = None


class Replayed(WahaModel):
    count: int


class WebhookTest(WahaModel):
    """A webhook of the session by its id, or one that is not configured yet."""

    webhook: str | None = None
    config: WebhookConfig | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.webhook is None) == (self.config is None):
            raise ValueError("give either webhook or config")
        return self


class TestAnswer(WahaModel):
    delivered: bool
    status: int | None
    error: str | None
    milliseconds: float

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        return cls(
            delivered=outcome.delivered,
            status=outcome.status,
            error=outcome.error or None,
            milliseconds=_milliseconds(outcome.took.total_seconds()),
        )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
