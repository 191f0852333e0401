"""Plays a bot of Typebot: its bubbles are texts, its buttons are numbered.

export TYPEBOT_URL=https://typebot.io TYPEBOT_ID=my-bot
./gateway run -- python examples/typebot_bot.py support
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import httpx
from responder import main

#: Typebot's session of each chat, and the buttons that it offered last.
sessions: dict[str, str] = {}
buttons: dict[str, list[str]] = {}


async def answer(chat: str, text: str) -> str:
    chosen = buttons.pop(chat, [])
    if text.strip().isdecimal() and 0 < int(text) <= len(chosen):
        text = chosen[int(text) - 1]
    base = f"{os.environ['TYPEBOT_URL']}/api/v1"
    message = {"type": "text", "text": text}
    async with httpx.AsyncClient(timeout=60) as http:
        if chat in sessions:
            found = await http.post(
                f"{base}/sessions/{sessions[chat]}/continueChat",
                json={"message": message, "textBubbleContentFormat": "markdown"},
            )
            if found.status_code != 404:  # it has not ended
                return _texts(chat, found.raise_for_status().json())
        found = await http.post(
            f"{base}/typebots/{os.environ['TYPEBOT_ID']}/startChat",
            json={"message": message, "textBubbleContentFormat": "markdown"},
        )
    reply = found.raise_for_status().json()
    sessions[chat] = reply["sessionId"]
    return _texts(chat, reply)


def _texts(chat: str, reply: dict[str, Any]) -> str:
    lines = [
        one["content"].get("markdown") or one["content"].get("url", "") for one in reply["messages"]
    ]
    asked = reply.get("input") or {}
    if asked.get("type") == "choice input":
        buttons[chat] = [one["content"] for one in asked["items"]]
        lines += [f"{n}. {label}" for n, label in enumerate(buttons[chat], 1)]
    if not asked:
        sessions.pop(chat, None)  # the flow is through
    return "\n\n".join(line for line in lines if line)


if __name__ == "__main__":
    asyncio.run(main(answer))
