"""Answers by any API like OpenAI's: OpenAI itself, Ollama, vLLM, LiteLLM, OpenRouter …

export OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_API_KEY=none OPENAI_MODEL=llama3.2
./gateway run -- python examples/openai_bot.py support
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict, deque

import httpx
from responder import main

SYSTEM = "You answer customers of a shop on WhatsApp, in their language, in a few sentences."
#: The last turns of each chat; the gateway's history has the rest.
memory: defaultdict[str, deque[dict[str, str]]] = defaultdict(lambda: deque(maxlen=20))


async def answer(chat: str, text: str) -> str:
    memory[chat].append({"role": "user", "content": text})
    async with httpx.AsyncClient(timeout=120) as http:
        found = await http.post(
            f"{os.environ['OPENAI_BASE_URL']}/chat/completions",
            headers={"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"},
            json={
                "model": os.environ["OPENAI_MODEL"],
                "messages": [{"role": "system", "content": SYSTEM}, *memory[chat]],
            },
        )
    reply = str(found.raise_for_status().json()["choices"][0]["message"]["content"])
    memory[chat].append({"role": "assistant", "content": reply})
    return reply


if __name__ == "__main__":
    asyncio.run(main(answer))
