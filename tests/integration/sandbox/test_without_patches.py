"""What still holds where the library cannot be changed: docs/promises.md, the last column."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from foreign.line_process import ForeignError
from linked import Link, Start, race_both_ways, until_acknowledged

from actors.checkpoint.forget import forget_sessions
from sandbox.app import Sandbox
from sandbox.phone.phone import Phone

_AGAIN = 24
_ATTEMPTS = 4


@pytest.fixture(autouse=True)
def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHATSAPP_LIBRARY_PATCHES_OFF", "all")


async def test_decryption_is_one_transaction_by_data(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link
) -> None:
    """Here with the field set in each client, not in the code."""
    await race_both_ways(sandbox, alice, bob, link)


async def test_ids_are_translated_where_the_library_chooses_them(
    alice: Phone, bob: Phone, link: Link
) -> None:
    device = await link(alice)
    chat = f"{bob.number}@s.whatsapp.net"
    ours = await device.send(chat, "hello")
    await bob.wait_inbox(0, 5)
    (arrived,) = [entry for entry in bob.inbox() if entry.get("text") == "hello"]
    assert arrived["id"] != ours
    receipt = await device.event("ReceiptSeen", kind="delivered")
    assert receipt["message_ids"] == [ours]
    await bob.send_text(alice.number, "an answer", reply_to=arrived["id"])
    answer = await device.event("Received", body="an answer")
    assert answer["reply_to"] == ours
    key = {"chat": chat, "id": ours, "from_me": True}
    await device.eval(
        "client.send(chat=chat, content=content, message_id=new_message_id())",
        chat=chat,
        content={"kind": "reaction", "text": "+", "key": key},
    )
    reactions = await bob.wait_inbox(arrived["seq"], 5, kind="")
    assert [entry for entry in reactions if arrived["id"] in str(entry) and "+" in str(entry)]


async def test_the_field_of_each_client_is_set(alice: Phone, bob: Phone, link: Link) -> None:
    for phone in (alice, bob):
        device = await link(phone)
        await device.eval("asyncio.sleep(0.1)")
        assert await device.eval(
            "ctypes.c_uint8.from_address(field_of(library.uuid.decode())).value"
        )


async def test_a_message_may_be_acknowledged_before_it_is_written_down(
    alice: Phone, bob: Phone, link: Link
) -> None:
    device = await link(alice)
    await device.eval("setattr(spool, 'held', True)")
    await until_acknowledged(bob, {await bob.send_text(alice.number, "hello")})
    await device.eval("setattr(spool, 'held', False)")
    await device.event("Received", body="hello")


@pytest.mark.parametrize(
    "verb",
    [
        "verb('profile.picture', jpeg='')",
        "verb('labels.edit', label='1001', name='Mine', color=2, deleted=False)",
    ],
)
async def test_what_cannot_be_done_is_refused(alice: Phone, link: Link, verb: str) -> None:
    device = await link(alice)
    with pytest.raises(RuntimeError, match="NotSupported"):
        await device.eval(verb)


async def test_what_others_set_is_not_reported_and_harms_nothing(
    alice: Phone, bob: Phone, link: Link
) -> None:
    device = await link(alice)
    await alice.settings.label("7", name="Lead", color=3)
    await bob.send_text(alice.number, "after it")
    await device.event("Received", body="after it")
    assert not [event for event in device.events if event["event"] == "LabelChanged"]


async def test_retries_beside_each_other_lose_nothing_elsewhere(
    alice: Phone, bob: Phone, link: Link, start: Start, tmp_path: Path
) -> None:
    """A device that forgot its sessions may not read all that it asks for again, nor a text that
    is sent just then; the phone, and another device, have everything."""
    sender, other = await link(alice), await link(bob)
    store = tmp_path / "forgets.db"
    device = await start(store)
    await device.connect()
    await bob.scan((await device.event("QrShown"))["text"])
    await device.event("Connected")
    chat = f"{bob.number}@s.whatsapp.net"
    await sender.send(chat, "begin")
    await device.event("Received", body="begin")
    await device.kill()
    texts = [f"again {number}" for number in range(_AGAIN)]
    await asyncio.gather(*(sender.send(chat, text) for text in texts))
    assert forget_sessions(store) > 0
    device = await start(store)
    await device.connect()
    for text in texts:
        await other.event("Received", body=text)
    for _ in range(300):
        if set(texts) <= {entry.get("text") for entry in bob.inbox()}:
            break
        await asyncio.sleep(0.1)
    assert set(texts) <= {entry.get("text") for entry in bob.inbox()}
    # Once the retries are through, sessions are whole again.
    for attempt in range(_ATTEMPTS):
        await sender.send(chat, f"afterwards {attempt}")
        try:
            await device.event("Received", 5, body=f"afterwards {attempt}")
        except ForeignError:
            continue
        break
    else:
        pytest.fail("nothing is read any more")
