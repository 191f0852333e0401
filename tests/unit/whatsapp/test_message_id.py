"""The id on the wire is the one that was chosen: the pinned library, patched, without a server."""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import platform
import re
import sqlite3
import struct
import subprocess
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

from actors.whatsapp import jids, message_id
from actors.whatsapp.go_symbols import Function, SymbolsNotFound, locate, read_functions
from cluster.domain.errors import Invalid

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="the patch is for linux amd64"
)

ID = "3EB0C0FFEE0123456789AB"
SEND = "go.mau.fi/whatsmeow.(*Client).SendMessage"
GENERATE = "go.mau.fi/whatsmeow.(*Client).GenerateMessageID"
LIBRARY = Path(gocode._name)


def test_a_fresh_id_has_the_form_of_whatsapp_webs() -> None:
    ids = {message_id.new_message_id("4915100001") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"3EB0[0-9A-F]{18}", text) for text in ids)


# -- the library's function table ------------------------------------------------------------------


def test_the_pinned_library_has_one_call_of_its_id_generator() -> None:
    functions = read_functions(LIBRARY)
    send, generate = locate(gocode, functions, SEND, GENERATE)
    assert send.start != generate.start
    assert send.end > send.start
    # Another process: this one may be patched by now.
    found = in_a_fresh_process(
        "from neonize._binder import gocode; import ctypes; from pathlib import Path;"
        "from actors.whatsapp.message_id import call_operand;"
        "from actors.whatsapp.go_symbols import locate, read_functions;"
        f"s, g = locate(gocode, read_functions(Path(gocode._name)), {SEND!r}, {GENERATE!r});"
        "call_operand(ctypes.string_at(s.start, s.end - s.start), s.start, g.start); print('one')"
    )
    assert found == "one"


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


def call(at: int, target: int) -> bytes:
    return b"\xe8" + struct.pack("<i", target - (at + 5))


def test_the_call_is_found_by_its_target() -> None:
    code = b"\x90" * 7 + call(0x1007, 0x9000) + call(0x100C, 0x8000) + b"\xe8\x00"
    assert message_id.call_operand(code, 0x1000, 0x9000) == 8


@pytest.mark.parametrize(
    "code",
    [
        b"\x90" * 32,
        call(0x1000, 0x9000) + call(0x1005, 0x9000),
        b"\x90" * 4 + call(0x1004, 0x9000),
    ],
    ids=["no call", "two calls", "an operand that no one store can replace"],
)
def test_code_that_is_not_as_expected_is_refused(code: bytes) -> None:
    with pytest.raises(message_id._Refused):
        message_id.call_operand(code, 0x1000, 0x9000)


Stub = tuple[Callable[[], bytes | None], message_id._Slots]


@pytest.fixture
def stub() -> Stub:
    """The stub, callable: the id it would have copied, or None when it goes on to the original."""
    base = message_id._map_near(
        cast(int, ctypes.cast(gocode.SendMessage, ctypes.c_void_p).value), 2 * mmap.PAGESIZE + 65536
    )
    entry, original, gostring, table = base, base + 64, base + 80, base + 2 * mmap.PAGESIZE
    put(original, bytes.fromhex("31 c0 c3"))  # xor eax, eax; ret
    put(gostring, b"\xc3")  # ret
    code = message_id.stub_code(base + 128, table=table, original=original, gostring=gostring)
    put(base + 128, code)
    # C wants R12 and R13 back: push both; call stub; pop both; ret
    put(entry, b"\x41\x54\x41\x55" + call(entry + 4, base + 128) + b"\x41\x5d\x41\x5c\xc3")
    message_id._protect(base, mmap.PROT_READ | mmap.PROT_EXEC)
    return ctypes.CFUNCTYPE(ctypes.c_char_p)(entry), message_id._Slots(table)


def put(address: int, code: bytes) -> None:
    ctypes.memmove(address, code, len(code))


def test_an_id_serves_its_thread_once(stub: Stub) -> None:
    ask, slots = stub
    assert ask() is None
    slot = slots.take(ID)
    assert ask() == ID.encode()
    assert ask() is None
    slots.give_back(slot)
    slots.give_back(slots.take(ID))
    assert ask() is None


def test_no_thread_gets_the_id_of_another(stub: Stub) -> None:
    ask, slots = stub
    everyone = threading.Barrier(65)
    wrong: list[tuple[str, bytes | None]] = []

    def one(number: int) -> None:
        everyone.wait()
        for round_ in range(200):
            wanted = f"3EB0{number:09X}{round_:09X}"
            slot = slots.take(wanted)
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
from actors.whatsapp import jids, message_id

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
    assert message_id.ids_are_ours()
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


def test_the_library_uses_the_wanted_id_and_its_own_otherwise(tmp_path: Path) -> None:
    in_a_fresh_process(SEND_OFFLINE, str(tmp_path / "store.db"))
    with sqlite3.connect(tmp_path / "store.db") as store:
        ids = [row[0] for row in store.execute("SELECT message_id FROM whatsmeow_message_secrets")]
    assert len(ids) == 2
    assert ID in ids
    (chosen_by_the_library,) = set(ids) - {ID}
    assert re.fullmatch(r"3EB0[0-9A-F]{18}", chosen_by_the_library)


def test_a_system_that_forbids_new_code_is_respected() -> None:
    allowed = in_a_fresh_process(
        "import ctypes; from actors.whatsapp import message_id;"
        # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN (Linux 6.3)
        "refused = ctypes.CDLL(None).prctl(65, 1, 0, 0, 0);"
        "print('unsupported' if refused else message_id.ids_are_ours())"
    )
    if allowed == "unsupported":
        pytest.skip("this kernel cannot forbid it")
    assert allowed == "False"


def in_a_fresh_process(code: str, *arguments: str) -> str:
    """What `code` prints last."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(Path(message_id.__file__).parents[2]), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return (done.stdout.splitlines() or [""])[-1]


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
    monkeypatch.setattr(message_id, "_KNOWN_VERSIONS", set())
    monkeypatch.setattr(message_id, "_tried", False)
    monkeypatch.setattr(message_id, "_slots", None)


def send(client: LibraryClient, wanted: str = ID) -> Any:
    to = jids.from_text("94915100002@lid")
    return asyncio.run(
        message_id.send_with_id(cast(Any, client), to, Message(conversation="x"), wanted)
    )


@pytest.mark.usefixtures("unpatched")
def test_an_unknown_library_is_left_alone_and_said_so_once() -> None:
    with capture_logs() as logs:
        assert not message_id.ids_are_ours()
        assert send(LibraryClient()).ID == "3EB0000000000000000000"
        assert not message_id.ids_are_ours()
    assert [entry["event"] for entry in logs] == ["whatsapp.message_ids_not_ours"]


@pytest.mark.usefixtures("unpatched")
def test_a_failed_send_has_the_librarys_own_words() -> None:
    with pytest.raises(message_id.SendFailed, match=r"^server returned error 479$"):
        send(LibraryClient("server returned error 479"))


@pytest.mark.parametrize("wanted", ["", "3EB0", "3EB0\0" + "A" * 18, "A" * 41, "ä" * 22])
def test_an_id_of_the_wrong_form_never_reaches_the_library(wanted: str) -> None:
    with pytest.raises(Invalid):
        send(LibraryClient(), wanted)
