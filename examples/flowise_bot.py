"""Answers by a chatflow of Flowise, which keeps the memory of each chat itself.

export FLOWISE_URL=http://127.0.0.1:3001 FLOWISE_FLOW=… FLOWISE_API_KEY=…
./gateway run -- python examples/flowise_bot.py support
"""

from __future__ import annotations

import asyncio
import os

import httpx
from responder import main


async def answer(chat: str, text: str) -> str:
    async with httpx.AsyncClient(timeout=120) as http:
        found = await http.post(
            f"{os.environ['FLOWISE_URL']}/api/v1/prediction/{os.environ['FLOWISE_FLOW']}",
            headers={"Authorization": f"Bearer {os.environ['FLOWISE_API_KEY']}"},
            json={"question": text, "overrideConfig": {"sessionId": chat}},
        )
    return str(found.raise_for_status().json()["text"])


if __name__ == "__main__":
    asyncio.run(main(answer))
