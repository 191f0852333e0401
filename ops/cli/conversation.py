"""What the demo does once everything runs: two sessions pair and talk, judged by the phones."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import tenacity

from cluster.domain.errors import Unavailable
from ops.cli.http import JsonApi

__all__ = ["Account", "Conversation", "Delivery", "Participant"]

T = TypeVar("T")

_QR_SECONDS = 60.0
_PAIR_SECONDS = 60.0
_DELIVERY_SECONDS = 30.0


class _NotYet(Exception):
    """Ask again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A virtual phone and the session that is linked to it."""

    session: str
    number: str
    name: str

    @property
    def chat(self) -> str:
        return f"{self.number}@c.us"


@dataclass(kw_only=True, slots=True)
class Participant:
    """What is known of one side at the end."""

    account: Account
    status: str = ""
    #: Ray node (hex id) of the session's actor.
    node: str = ""
    actor: str = ""
    epoch: int = 0
    #: From the creation of the session to WORKING.
    pairing_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One text on its way from one session to the other."""

    sender: Account
    recipient: Account
    text: str
    message_id: str
    #: Until `sendText` answered.
    accepted_ms: float
    #: From the call until the recipient's history showed it.
    seen_ms: float


@dataclass(kw_only=True, slots=True)
class Conversation:
    """The steps, in the order they are called. Each raises `Unavailable` with the reason."""

    gateway: JsonApi
    sandbox: JsonApi
    show_qr: Callable[[Account, str], None]
    participants: list[Participant] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)

    def register(self, account: Account) -> None:
        """Give the sandbox the phone, unless it has it."""
        if not any(one["number"] == account.number for one in self.sandbox.get("/phones")):
            self.sandbox.post("/phones", {"number": account.number, "name": account.name})

    def pair(self, account: Account) -> None:
        """Create the session, let its phone scan the QR code, wait until it works."""
        began = time.monotonic()
        self.gateway.post("/api/sessions", {"name": account.session, "start": True})
        code = _until(lambda: self._qr(account), _QR_SECONDS, f"no QR code for {account.session}")
        self.show_qr(account, code)
        self.sandbox.post(f"/phones/{account.number}/scan", {"qr": code})
        info = _until(
            lambda: self._working(account), _PAIR_SECONDS, f"{account.session} is not WORKING"
        )
        own = info["gateway"]
        self.participants.append(
            Participant(
                account=account,
                status=info["status"],
                node=own["node"] or "",
                actor=own["actor"],
                epoch=own["epoch"],
                pairing_seconds=time.monotonic() - began,
            )
        )

    def send(self, sender: Account, recipient: Account, text: str) -> None:
        """Send over HTTP, and see it in the recipient's history and on the recipient's phone."""
        began = time.monotonic()
        body = {"session": sender.session, "chatId": recipient.chat, "text": text}
        sent = self.gateway.post("/api/sendText", body)
        accepted = time.monotonic()
        _until(
            lambda: self._received(sender, recipient, text),
            _DELIVERY_SECONDS,
            f"{recipient.session} did not receive the text of {sender.session}",
        )
        seen = time.monotonic()
        _until(
            lambda: self._in_inbox(recipient, text),
            _DELIVERY_SECONDS,
            f"the phone {recipient.number} did not receive the text of {sender.session}",
        )
        self.deliveries.append(
            Delivery(
                sender=sender,
                recipient=recipient,
                text=text,
                message_id=str(sent["id"]),
                accepted_ms=(accepted - began) * 1000,
                seen_ms=(seen - began) * 1000,
            )
        )

    def check_spread(self) -> None:
        """Raises `Unavailable` unless every session is on a node of its own."""
        nodes = [one.node for one in self.participants]
        if not all(nodes) or len(set(nodes)) < len(nodes):
            raise Unavailable("the sessions are not on different nodes: " + ", ".join(nodes))

    def _qr(self, account: Account) -> str:
        try:
            return str(self.gateway.get(f"/api/{account.session}/auth/qr", format="raw")["value"])
        except Unavailable as error:
            # Not there yet: its actor starts, or is connecting.
            if error.fields.get("status") in {422, 503}:
                raise _NotYet(error.detail) from error
            raise

    def _working(self, account: Account) -> dict[str, Any]:
        info: dict[str, Any] = self.gateway.get(f"/api/sessions/{account.session}")
        if info["status"] == "FAILED":
            raise Unavailable(f"{account.session} failed: {info['gateway']['reason']}")
        if info["status"] != "WORKING":
            raise _NotYet(f"its status is {info['status']}")
        return info

    def _received(self, sender: Account, recipient: Account, text: str) -> None:
        path = f"/api/{recipient.session}/chats/{sender.chat}/messages"
        messages = self.gateway.get(path, limit=20)
        if not any(one["body"] == text and not one["fromMe"] for one in messages):
            raise _NotYet(f"its history has {len(messages)} messages, not this one")

    def _in_inbox(self, recipient: Account, text: str) -> None:
        inbox = self.sandbox.get(f"/phones/{recipient.number}/inbox")
        if json.dumps(text) not in json.dumps(inbox):
            raise _NotYet("its inbox does not have it")


def _until(ask: Callable[[], T], seconds: float, otherwise: str) -> T:
    """Ask until it is there; `Unavailable` with the last reason when it takes too long."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_NotYet),
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_exponential(multiplier=0.01, max=0.25),
        reraise=True,
    )
    try:
        return retrying(ask)
    except _NotYet as error:
        raise Unavailable(f"{otherwise} after {seconds:.0f} s: {error}") from error
