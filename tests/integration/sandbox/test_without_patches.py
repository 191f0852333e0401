"""What still holds where the library cannot be changed: docs/promises.md, the last column."""

from __future__ import annotations

import pytest
from conftest import Link
from test_both_ways_at_once import test_what_is_received_meanwhile_does_not_take_a_session_back

from sandbox.phone.phone import Phone

#: Here with the field set in each client, not in the code.
test_decryption_is_one_transaction_by_data = (
    test_what_is_received_meanwhile_does_not_take_a_session_back
)
del test_what_is_received_meanwhile_does_not_take_a_session_back


@pytest.fixture(autouse=True)
def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHATSAPP_LIBRARY_PATCHES_OFF", "all")


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
        "client.send(chat=chat, content=content, message_id=client.new_message_id())",
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


async def test_what_cannot_be_done_is_refused(alice: Phone, link: Link) -> None:
    device = await link(alice)
    with pytest.raises(RuntimeError, match="NotSupported"):
        await device.eval("verb('profile.picture', jpeg='')")
