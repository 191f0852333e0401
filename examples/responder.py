"""A bot for one session: each text is answered by what `answer` says; an agent fits there, too.

    ./gateway run -- python examples/responder.py support

It goes on where it was: its place in the session's events is in a file, written after each answer,
and an answer has the event's id as idempotency key, so that no message is answered twice or never.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from cluster import connect

#: From a chat and a text to an answer; empty: none.
Answer = Callable[[str, str], Awaitable[str]]


async def echo(chat: str, text: str) -> str:
    """Your agent. `chat` names the conversation, for its memory."""
    return f"You said: {text}"


async def respond(session: Any, answer: Answer, place: Path) -> None:
    """Answer the texts of a session until cancelled."""
    async for event in session.events.follow(after=read(place), types=["message"]):
        if event is None:
            continue
        payload, number = event["payload"], event["gateway"]["seq"]
        chat, text = payload["from"], payload["body"]
        # Groups are left alone: a bot that answers everybody there is thrown out.
        if text and chat.endswith(("@c.us", "@lid")):
            reply = await answer(chat, text)
            if reply:
                await session.send_text(chat, reply, idempotency_key=event["id"])
        write(place, number)


def read(place: Path) -> int | None:
    """Number of the last event that was answered; None: begin with the next one."""
    return int(place.read_text()) if place.exists() else None


def write(place: Path, number: int) -> None:
    part = place.with_suffix(".new")
    part.write_text(str(number))
    part.replace(place)


async def main(answer: Answer = echo) -> None:
    """Run for the session that the command line names."""
    name = sys.argv[1]
    async with connect() as gateway:
        await respond(gateway.session(name), answer, Path(f"{name}.place"))


if __name__ == "__main__":
    asyncio.run(main())
