"""The load, the same for both: sessions paired, texts sent, texts received."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import httpx

from benchmarks.contest.receiver import Receiver
from benchmarks.contest.stacks import Stack

__all__ = ["Load", "each", "percentile"]

_AT_ONCE = 4
_READY_SECONDS = 120.0
#: For what is under way when the time is over.
_LATE_SECONDS = 20.0
#: A gateway makes its spare process a minute and a quarter after its start.
_SETTLED_SECONDS = 100.0
#: What comes once in ten seconds comes in it some times.
_RESTING_SECONDS = 40.0
_FRIENDS = 4


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many are not above; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def each(before: dict[str, float], after: dict[str, float], times: int) -> dict[str, float]:
    """Processor milliseconds of each part per operation, and of all together."""
    found = {
        part: round(1e3 * (used - before.get(part, 0.0)) / max(1, times), 2)
        for part, used in after.items()
    }
    return {**found, "all": round(sum(found.values()), 2)}


class Load:
    """One stack under load. Use it in the order: `pair`, `idle`, `resting`, `send`, `receive`."""

    def __init__(self, stack: Stack, receiver: Receiver, *, sessions: int, seconds: float) -> None:
        self._stack = stack
        self._receiver = receiver
        self._seconds = seconds
        self._names = [f"s{number}" for number in range(sessions)]
        self._numbers = [f"49170{number:07d}" for number in range(sessions)]
        self._friends = [f"49171{number:07d}" for number in range(_FRIENDS)]
        self._texts = itertools.count()
        many = httpx.Limits(max_connections=200)
        self._api = httpx.AsyncClient(
            base_url=stack.url, headers=stack.headers, timeout=60, limits=many
        )
        self._control = httpx.AsyncClient(
            base_url=stack.control_url,
            headers={"Authorization": f"Bearer {stack.control_token}"},
            timeout=60,
            limits=many,
        )

    async def close(self) -> None:
        await self._api.aclose()
        await self._control.aclose()

    async def pair(self) -> dict[str, float]:
        """Pair and connect every session."""
        for number in (*self._numbers, *self._friends):
            await self._steer("/phones", number=number, name=number)
        free = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str, number: str) -> None:
            async with free:
                body = self._stack.session(name, self._receiver.url)
                (await self._api.post("/api/sessions", json=body)).raise_for_status()
                qr = await self._until(lambda: self._qr(name), f"QR code of {name}")
                await self._steer(f"/phones/{number}/scan", qr=qr)
                await self._until(lambda: self._works(name), f"{name} connected")

        began = time.monotonic()
        await asyncio.gather(*map(one, self._names, self._numbers))
        took = time.monotonic() - began
        return {"seconds": took, "per_second": len(self._names) / took}

    async def idle(self) -> dict[str, dict[str, float]]:
        """Memory once nothing happens any more."""
        await asyncio.sleep(_SETTLED_SECONDS)
        return await asyncio.to_thread(self._stack.memory)

    async def resting(self) -> dict[str, float]:
        """Processor milliseconds a second of each part while nobody asks for anything."""
        before = await asyncio.to_thread(self._stack.processor)
        began = time.monotonic()
        await asyncio.sleep(_RESTING_SECONDS)
        after = await asyncio.to_thread(self._stack.processor)
        seconds = time.monotonic() - began
        return {
            part: round(1e3 * (used - before.get(part, 0.0)) / seconds, 1)
            for part, used in after.items()
        }

    async def send(self, workers: int) -> dict[str, Any]:
        """Texts by HTTP until the time is over, each worker one after the other."""
        for name in self._names:
            await self._first_texts(name)
        asked: dict[str, float] = {}
        answers: list[float] = []

        async def work(worker: int) -> None:
            turns = itertools.cycle(range(worker, worker + len(self._names)))
            while time.time() < end:
                turn = next(turns)
                name = self._names[turn % len(self._names)]
                began = time.time()
                asked[await self._send(name, self._friends[worker % _FRIENDS])] = began
                answers.append(time.time() - began)

        before = await asyncio.to_thread(self._stack.processor)
        end = time.time() + self._seconds
        await asyncio.gather(*map(work, range(workers)))
        after = await asyncio.to_thread(self._stack.processor)
        found: dict[str, Any] = await self._outcome(asked, answers)
        found["processor_ms"] = each(before, after, len(asked))
        return found

    async def levels(self, rates: Sequence[float]) -> list[dict[str, float]]:
        """Texts at so many a second, one rate after the other, whether answered or not."""
        await asyncio.gather(*map(self._first_texts, self._names))
        found = []
        for rate in rates:
            asked: dict[str, float] = {}
            answers: list[float] = []

            async def one(number: int, asked: dict[str, float], answers: list[float]) -> None:
                name = self._names[number % len(self._names)]
                began = time.time()
                text = await self._send(name, self._friends[number % _FRIENDS])
                asked[text] = began
                answers.append(time.time() - began)

            begun = time.monotonic()
            under_way = []
            for number in range(int(rate * self._seconds)):
                await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
                under_way.append(asyncio.create_task(one(number, asked, answers)))
            await asyncio.gather(*under_way)
            found.append({"rate": rate, **await self._outcome(asked, answers)})
        return found

    async def _first_texts(self, name: str) -> None:
        for friend in self._friends:
            await self._send(name, friend)

    async def _outcome(self, asked: dict[str, float], answers: list[float]) -> dict[str, float]:
        seen = await self._all_seen(asked)
        took = [seen[text] - began for text, began in asked.items() if text in seen]
        span = max(seen.values(), default=0.0) - min(asked.values(), default=0.0)
        return {
            "sent": len(asked),
            "arrived": len(took),
            "per_second": len(took) / span if took else 0.0,
            "answer_p50_ms": 1e3 * percentile(answers, 0.5),
            "answer_p99_ms": 1e3 * percentile(answers, 0.99),
            "phone_p50_ms": 1e3 * percentile(took, 0.5),
            "phone_p99_ms": 1e3 * percentile(took, 0.99),
        }

    async def receive(self, workers: int) -> dict[str, Any]:
        """Texts from phones until the time is over."""
        # The first one of a pair of accounts may have to be asked for again.
        await asyncio.gather(*map(self._receive_one, self._numbers))
        asked: dict[str, float] = {}

        async def work(worker: int) -> None:
            turns = itertools.cycle(range(worker, worker + len(self._numbers)))
            while time.time() < end:
                number = self._numbers[next(turns) % len(self._numbers)]
                text = f"in {next(self._texts)}"
                asked[text] = time.time()
                friend = self._friends[worker % _FRIENDS]
                await self._steer(f"/phones/{friend}/messages", to=number, text=text)

        before = await asyncio.to_thread(self._stack.processor)
        end = time.time() + self._seconds
        await asyncio.gather(*map(work, range(workers)))
        heard = self._receiver.heard
        with suppress(TimeoutError):
            await self._heard(asked, _LATE_SECONDS)
        after = await asyncio.to_thread(self._stack.processor)
        took = [heard[text] - began for text, began in asked.items() if text in heard]
        last = max((heard[text] for text in asked if text in heard), default=0.0)
        return {
            "sent": len(asked),
            "arrived": len(took),
            "per_second": len(took) / (last - min(asked.values())) if took else 0.0,
            "processor_ms": each(before, after, len(asked)),
            "webhook_p50_ms": 1e3 * percentile(took, 0.5),
            "webhook_p99_ms": 1e3 * percentile(took, 0.99),
        }

    async def _receive_one(self, number: str) -> None:
        texts = {f"in {next(self._texts)}": friend for friend in self._friends}
        for text, friend in texts.items():
            await self._steer(f"/phones/{friend}/messages", to=number, text=text)
        await self._heard(texts, _READY_SECONDS)

    async def _heard(self, texts: Iterable[str], seconds: float) -> None:
        async def all_there() -> bool:
            return all(text in self._receiver.heard for text in texts)

        await self._until(all_there, "what phones sent at the webhook", seconds)

    async def _send(self, name: str, friend: str) -> str:
        text = f"out {next(self._texts)}"
        body = {"session": name, "chatId": f"{friend}@c.us", "text": text}
        (await self._api.post("/api/sendText", json=body)).raise_for_status()
        return text

    async def _all_seen(self, asked: dict[str, float]) -> dict[str, float]:
        """When the friends' phones had decrypted each text."""
        deadline = time.monotonic() + _LATE_SECONDS
        while True:
            seen: dict[str, float] = {}
            for friend in self._friends:
                answer = await self._control.get(f"/phones/{friend}/inbox")
                for entry in answer.raise_for_status().json()["entries"]:
                    if entry["text"] in asked:
                        seen.setdefault(entry["text"], entry["received_at"])
            if len(seen) == len(asked) or time.monotonic() > deadline:
                return seen
            await asyncio.sleep(0.5)

    async def _qr(self, name: str) -> str:
        answer = await self._api.get(f"/api/{name}/auth/qr", params={"format": "raw"})
        return str(answer.json()["value"]) if answer.is_success else ""

    async def _works(self, name: str) -> bool:
        answer = await self._api.get(f"/api/sessions/{name}")
        return answer.is_success and answer.json()["status"] == "WORKING"

    async def _steer(self, path: str, **body: Any) -> None:
        (await self._control.post(path, json=body)).raise_for_status()

    async def _until(
        self, ask: Callable[[], Awaitable[Any]], what: str, seconds: float = _READY_SECONDS
    ) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := await ask():
                return found
            await asyncio.sleep(0.1)
        raise TimeoutError(what)
