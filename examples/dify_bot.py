"""Answers by an app of Dify (chat, agent or chatflow).

export DIFY_URL=https://api.dify.ai/v1 DIFY_API_KEY=app-…
./gateway run -- python examples/dify_bot.py support
"""

from __future__ import annotations

import asyncio
import os

import httpx
from responder import main

#: Dify's name of each chat's conversation; without one it begins a new one.
conversations: dict[str, str] = {}


async def answer(chat: str, text: str) -> str:
    async with httpx.AsyncClient(timeout=120) as http:
        found = await http.post(
            f"{os.environ['DIFY_URL']}/chat-messages",
            headers={"Authorization": f"Bearer {os.environ['DIFY_API_KEY']}"},
            json={
                "inputs": {},
                "query": text,
                "response_mode": "blocking",
                "conversation_id": conversations.get(chat, ""),
                "user": chat,
            },
        )
    reply = found.raise_for_status().json()
    conversations[chat] = reply["conversation_id"]
    return str(reply["answer"])


if __name__ == "__main__":
    asyncio.run(main(answer))
