"""Ids of ours where the library chose others."""

from __future__ import annotations

import asyncio

from actors.whatsapp.library.wire_ids import WireIds


async def test_ids_are_translated_both_ways() -> None:
    ids = WireIds()
    ids.sent("OURS", "WIRE")
    ids.sent("SAME", "SAME")
    assert await ids.all_ours(["WIRE", "SAME", "OTHER"], chosen=False) == ("OURS", "SAME", "OTHER")
    content = {"kind": "reaction", "text": "x", "key": {"id": "OURS", "chat": "a"}}
    assert ids.outgoing(content)["key"] == {"id": "WIRE", "chat": "a"}
    assert content["key"] == {"id": "OURS", "chat": "a"}
    quoting = {"kind": "text", "quoted": {"id": "OURS", "sender": "b"}}
    assert ids.outgoing(quoting)["quoted"]["id"] == "WIRE"
    for other in ({"kind": "text"}, {"key": None}, {"quoted": {"id": "OTHER"}}):
        assert ids.outgoing(other) == other


async def test_old_ones_are_forgotten_on_both_sides() -> None:
    ids = WireIds(newest=2)
    for number in range(3):
        ids.sent(f"ours {number}", f"wire {number}")
    assert await ids.all_ours(["wire 0", "wire 1", "wire 2"], chosen=False) == (
        "wire 0",
        "ours 1",
        "ours 2",
    )
    assert ids.outgoing({"key": {"id": "ours 0"}}) == {"key": {"id": "ours 0"}}


async def test_a_receipt_waits_for_the_send_that_it_may_be_of() -> None:
    ids = WireIds()

    async def send() -> None:
        with ids.sending():
            await asyncio.sleep(0.05)
            ids.sent("ours", "wire")

    sending = asyncio.create_task(send())
    await asyncio.sleep(0)
    assert await ids.all_ours(["wire"], chosen=False) == ("ours",)
    await sending
    with ids.sending():
        # Not where ids are chosen, nor for what is known.
        async with asyncio.timeout(0.5):
            assert await ids.all_ours(["other"], chosen=True) == ("other",)
            assert await ids.all_ours(["wire"], chosen=False) == ("ours",)
