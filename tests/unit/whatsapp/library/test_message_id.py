"""The id on the wire is the one that was chosen: the pinned library, patched, without a server."""

from __future__ import annotations

import asyncio
import ctypes
import re
import sqlite3
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from neonize._binder import gocode
from neonize.exc import SendMessageError
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message
from structlog.testing import capture_logs

from actors.whatsapp import jids
from actors.whatsapp.library import message_id
from actors.whatsapp.library.machines import AMD64, ARM64, Machine
from actors.whatsapp.library.patching import PAGE, Library, Refused
from actors.whatsapp.library.slots import Slots
from actors.whatsapp.library.symbols import Function, SymbolsNotFound, locate, read_functions
from cluster.domain.errors import Invalid
from cluster.domain.message_id import new_message_id

ID = "3EB0C0FFEE0123456789AB"
SEND = "go.mau.fi/whatsmeow.(*Client).SendMessage"
GENERATE = "go.mau.fi/whatsmeow.(*Client).GenerateMessageID"
LIBRARY = Path(gocode._name)


def test_a_fresh_id_has_the_form_of_whatsapp_webs() -> None:
    ids = {new_message_id("4915100001") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"3EB0[0-9A-F]{18}", text) for text in ids)


# -- the library's function table ------------------------------------------------------------------


def test_the_pinned_library_takes_the_patch(fresh: Callable[..., str]) -> None:
    assert (
        fresh(
            "from actors.whatsapp.library.message_id import PATCH;"
            "print(PATCH.made() is PATCH.made() is not None, PATCH.reason)"
        )
        == "True "
    )


def test_the_exported_entry_points_are_where_the_table_says() -> None:
    functions = read_functions(LIBRARY)
    exported = next(
        name for name in functions if name.endswith("_SendMessage") and "cgoexp" in name
    )
    (found,) = locate(gocode, functions, exported)
    assert found.start == ctypes.cast(getattr(gocode, exported), ctypes.c_void_p).value


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "not Go", "cut off"])
def test_a_wrong_file_is_refused(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "library.so"
    match kind:
        case "empty":
            file.touch()
        case "text":
            file.write_text("no library" * 100)
        case "not Go":
            file = Path(cast(Any, sys.modules["_ctypes"]).__file__)
        case "cut off":
            file.write_bytes(LIBRARY.read_bytes()[:1_000_000])
    with pytest.raises(SymbolsNotFound):
        read_functions(file)


def test_a_name_that_two_functions_share_is_left_out() -> None:
    functions = read_functions(LIBRARY)
    assert "runtime.gostring" in functions
    assert "runtime.cgocallbackg" not in functions  # called by assembly: it has a wrapper


def test_a_table_of_another_library_is_refused() -> None:
    functions = read_functions(LIBRARY)
    entry = next(name for name in functions if name.startswith("_cgoexp_"))
    moved = Function(functions[entry].start + 16, functions[entry].end)
    with pytest.raises(SymbolsNotFound, match="2 places"):
        locate(gocode, functions | {entry: moved}, SEND)
    with pytest.raises(SymbolsNotFound, match="not in the function table"):
        locate(gocode, functions, "main.NoSuchFunction")
    with pytest.raises(SymbolsNotFound, match="loaded library"):
        locate(gocode, {"_cgoexp_0_Nothing": Function(0, 1)}, SEND)


# -- the call and the stub -------------------------------------------------------------------------


def amd64_call(at: int, target: int) -> bytes:
    return b"\xe8" + struct.pack("<i", target - (at + 5))


def arm64_call(at: int, target: int) -> bytes:
    return struct.pack("<I", 0x94000000 | (target - at) // 4 & 0x3FFFFFF)


def test_calls_are_found_by_their_target() -> None:
    code = b"\x90" * 7 + amd64_call(0x1007, 0x9000) + amd64_call(0x100C, 0x8000) + b"\xe8\x00"
    assert AMD64.calls(code, 0x1000, 0x9000) == [8]
    code = arm64_call(0x9000, 0x8000) + arm64_call(0x9004, 0x1000) + arm64_call(0x9008, 0xA000)
    assert ARM64.calls(code, 0x9000, 0x1000) == [4]
    assert ARM64.calls(code, 0x9000, 0xA000) == [8]


def test_a_call_is_aimed_anew() -> None:
    old = amd64_call(0x1000, 0x9000)
    assert old[:1] + AMD64.aimed(0x1001, 0x500, old[1:]) == amd64_call(0x1000, 0x500)
    assert ARM64.aimed(0x9000, 0x500, arm64_call(0x9000, 0x8000)) == arm64_call(0x9000, 0x500)
    with pytest.raises(ValueError, match="reach"):
        ARM64.aimed(0, 2**27, b"")


def test_what_one_store_cannot_replace_is_not_atomic() -> None:
    assert [AMD64.atomic(site) for site in (8, 12, 13, 15)] == [True, True, False, False]
    assert [ARM64.atomic(site) for site in (8, 12, 14)] == [True, True, False]


class Calls:
    """Stands for a library with such code at address 0x1000."""

    machine = AMD64

    def __init__(self, code: bytes) -> None:
        self.code = code

    def text(self, _function: Function) -> bytes:
        return self.code


@pytest.mark.parametrize(
    "code",
    [
        b"\x90" * 32,
        amd64_call(0x1000, 0x9000) + amd64_call(0x1005, 0x9000),
        b"\x90" * 4 + amd64_call(0x1004, 0x9000),
    ],
    ids=["no call", "two calls", "an operand that no one store can replace"],
)
def test_code_that_is_not_as_expected_is_refused(code: bytes) -> None:
    with pytest.raises(Refused):
        Library.call(cast(Any, Calls(code)), Function(0x1000, 0), Function(0x9000, 0))


Stub = tuple[Callable[[], bytes | None], Slots]


@pytest.fixture
def stub(machine: Machine, pages: Callable[[int, dict[int, bytes]], int]) -> Stub:
    """The stub, callable: the id it would have copied, or None when it goes on to the original."""
    entry, original, gostring = 0, 64, 128
    if machine is AMD64:
        # C wants R12 and R13 back: push both; call stub; pop both; ret
        called = b"\x41\x54\x41\x55" + amd64_call(4, PAGE) + b"\x41\x5d\x41\x5c\xc3"
        base = pages(18, {entry: called, original: bytes.fromhex("31 c0 c3"), gostring: b"\xc3"})
    else:
        ret = struct.pack("<I", 0xD65F03C0)
        # b stub; mov x0, xzr, ret; ret
        goes = struct.pack("<I", 0x14000000 | PAGE // 4)
        nothing = struct.pack("<I", 0xAA1F03E0) + ret
        base = pages(18, {entry: goes, original: nothing, gostring: ret})
    slots = message_id.install(
        machine, base + PAGE, original=base + original, gostring=base + gostring
    )
    ask = ctypes.CFUNCTYPE(ctypes.c_char_p)(base + entry)

    return ask, slots


def test_an_id_serves_its_thread_once(stub: Stub) -> None:
    ask, slots = stub
    assert ask() is None
    slot = slots.take(message_id.content_of(ID))
    assert ask() == ID.encode()
    assert ask() is None
    slots.give_back(slot)
    slots.give_back(slots.take(message_id.content_of(ID)))
    assert ask() is None


def test_no_thread_gets_the_id_of_another(stub: Stub) -> None:
    ask, slots = stub
    everyone = threading.Barrier(65)
    wrong: list[tuple[str, bytes | None]] = []

    def one(number: int) -> None:
        everyone.wait()
        for round_ in range(200):
            wanted = f"3EB0{number:09X}{round_:09X}"
            slot = slots.take(message_id.content_of(wanted))
            if (got := ask()) != wanted.encode():
                wrong.append((wanted, got))
            slots.give_back(slot)
            if (got := ask()) is not None:
                wrong.append(("", got))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    everyone.wait()
    for thread in threads:
        thread.join()
    assert not wrong
    assert ask() is None


# -- the library, patched --------------------------------------------------------------------------

#: Prints the id that was wanted. There is no server: the library stores the secret of a message
#: under the message's id before it finds that it is not connected.
SEND_OFFLINE = f"""
import asyncio, contextlib, os, sqlite3, sys
from neonize._binder import ProxySettings
from neonize.aioze.client import NewAClient
from neonize.exc import NeonizeError, SendMessageError
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message
from actors.whatsapp import jids
from actors.whatsapp.library import message_id

async def open_client(uuid):
    client = NewAClient(sys.argv[1], uuid=uuid)
    with contextlib.suppress(NeonizeError):
        await (await client.connect(ProxySettings("http://127.0.0.1:9")))
    return client

async def main():
    await open_client("empty")  # makes the tables
    device = dict(jid="4915100001:1@s.whatsapp.net", lid="94915100001:1@lid", registration_id=1,
        noise_key=bytes(32), identity_key=b"2" * 32, signed_pre_key=b"3" * 32, signed_pre_key_id=1,
        signed_pre_key_sig=bytes(64), adv_key=bytes(32), adv_details=b"", adv_account_sig=bytes(64),
        adv_account_sig_key=bytes(32), adv_device_sig=bytes(64))
    with sqlite3.connect(sys.argv[1]) as store:
        store.execute(f"INSERT INTO whatsmeow_device ({{', '.join(device)}})"
                      f" VALUES ({{', '.join('?' * len(device))}})", list(device.values()))
    assert message_id.PATCH.made()
    client = await open_client("linked")
    message = Message(conversation="x")
    message.messageContextInfo.messageSecret = bytes(32)
    to = jids.from_text("94915100002@lid")
    try:
        await message_id.send_with_id(client, to, message, {ID!r})
    except message_id.SendFailed as error:
        assert "not connected" in str(error), error
    try:
        await client.send_message(to, message)
    except SendMessageError:
        pass
    sys.stdout.flush()
    os._exit(0)

asyncio.run(main())
"""


def test_the_library_uses_the_wanted_id_and_its_own_otherwise(
    tmp_path: Path, fresh: Callable[..., str]
) -> None:
    fresh(SEND_OFFLINE, str(tmp_path / "store.db"))
    with sqlite3.connect(tmp_path / "store.db") as store:
        ids = [row[0] for row in store.execute("SELECT message_id FROM whatsmeow_message_secrets")]
    assert len(ids) == 2
    assert ID in ids
    (chosen_by_the_library,) = set(ids) - {ID}
    assert re.fullmatch(r"3EB0[0-9A-F]{18}", chosen_by_the_library)


def test_a_system_that_forbids_new_code_is_respected(fresh: Callable[..., str]) -> None:
    allowed = fresh(
        "import ctypes; from actors.whatsapp.library import message_id;"
        # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN (Linux 6.3)
        "refused = ctypes.CDLL(None).prctl(65, 1, 0, 0, 0);"
        "print('unsupported' if refused else message_id.PATCH.made())"
    )
    if allowed == "unsupported":
        pytest.skip("this kernel cannot forbid it")
    assert allowed == "None"


# -- without the patch -----------------------------------------------------------------------------


class LibraryClient:
    """Stands for the library's client: it chooses the id itself."""

    def __init__(self, error: str = "") -> None:
        self.error = error

    async def send_message(self, _to: object, _message: object) -> SimpleNamespace:
        if self.error:
            raise SendMessageError(self.error)
        return SimpleNamespace(ID="3EB0000000000000000000")


@pytest.fixture
def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHATSAPP_LIBRARY_PATCHES_OFF", "retries_in_turn, message_ids")
    monkeypatch.setattr(message_id.PATCH, "_tried", False)
    monkeypatch.setattr(message_id.PATCH, "_made", None)


def send(client: LibraryClient, wanted: str = ID) -> Any:
    to = jids.from_text("94915100002@lid")
    return asyncio.run(
        message_id.send_with_id(cast(Any, client), to, Message(conversation="x"), wanted)
    )


@pytest.mark.usefixtures("unpatched")
def test_a_library_that_is_left_alone_is_said_so_once() -> None:
    with capture_logs() as logs:
        assert message_id.PATCH.made() is None
        assert send(LibraryClient()).ID == "3EB0000000000000000000"
        assert message_id.PATCH.made() is None
    assert [entry["event"] for entry in logs] == ["whatsapp.library_not_patched"]
    assert "switched off" in message_id.PATCH.reason


@pytest.mark.usefixtures("unpatched")
def test_a_failed_send_has_the_librarys_own_words() -> None:
    with pytest.raises(message_id.SendFailed, match=r"^server returned error 479$"):
        send(LibraryClient("server returned error 479"))


@pytest.mark.parametrize("wanted", ["", "3EB0", "3EB0\0" + "A" * 18, "A" * 41, "ä" * 22])
def test_an_id_of_the_wrong_form_never_reaches_the_library(wanted: str) -> None:
    with pytest.raises(Invalid):
        send(LibraryClient(), wanted)
