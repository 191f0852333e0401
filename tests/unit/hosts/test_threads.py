"""Calls into the library may hang for as long as it likes: whose they are, theirs is the harm."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from actors.hosts.host import threads
from actors.hosts.slot import CALLS
from actors.whatsapp.neonize_client import NeonizeClient
from cluster.settings import WhatsAppSettings


def test_sessions_whose_every_call_hangs_leave_the_others_their_threads() -> None:
    never = threading.Event()
    sessions = 5
    with ThreadPoolExecutor(threads(sessions)) as pool:
        try:
            for _ in range((sessions - 1) * (1 + CALLS)):
                pool.submit(never.wait)
            others = [pool.submit(lambda: 7) for _ in range(1 + CALLS)]
            assert [one.result(10) for one in others] == [7] * (1 + CALLS)
        finally:
            never.set()


async def test_a_fence_disconnects_while_every_thread_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    never, disconnected = threading.Event(), list[bytes]()
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(2)
    loop.set_default_executor(pool)
    hung = [loop.run_in_executor(None, never.wait) for _ in range(4)]
    monkeypatch.setattr("actors.whatsapp.neonize_client.gocode.Disconnect", disconnected.append)
    client = NeonizeClient.__new__(NeonizeClient)
    client._key = "1.1.1"
    client._settings = WhatsAppSettings()
    try:
        await asyncio.wait_for(client._disconnect_now(), 10)
    finally:
        never.set()
        await asyncio.gather(*hung)
    assert disconnected == [b"1.1.1"]
