"""A message is acknowledged to WhatsApp after Python has it, which neonize 0.5.2 does not mind.

neonize's event handler puts an event into a channel of 100 and returns; a goroutine hands them to
Python, one after the other (goneonize/main.go, `eventChan`, `CallbackFunction`). whatsmeow takes
the handler's return for the end of it: it clears the message's plaintext in its store and sends the
receipt (message.go, `decryptMessages`). A process that ends then takes along what is in the channel
and what its callback is about to write down, and nobody sends it again.

So the clearing waits. SQLite reports a statement before it begins (sqlite3_trace_v2), in the
goroutine that sends the receipt next, and before it locks anything. The report returns once the
channel is empty and its reader waits for the next event (Go, runtime/chan.go, `recvq`): then the
callback has returned from all there was. SQLite is C, and its functions are called by name; a few
instructions in front let all other statements pass without Python's lock, and on x86-64 wait for
the channel without it, too: the threads of many messages would take it from each other.

When the client has ended, its connection to the store commits nothing any more
(sqlite3_commit_hook): the plaintext stays, no receipt can leave, and the message is handed over
when WhatsApp sends it again.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import threading
import time
from pathlib import Path

import structlog
from neonize._binder import gocode

from actors.whatsapp.library.clients import channel_in_library, channels_are_known
from actors.whatsapp.library.machines import AMD64, Amd64Code, Arm64Code
from actors.whatsapp.library.patching import (
    PAGE,
    Library,
    Patch,
    Refused,
    of_the_file,
    write_code,
)

__all__ = ["PATCH", "Gate"]

log = structlog.get_logger(__name__)

#: SQLITE_TRACE_STMT, and how the statement begins (whatsmeow store/sqlstore/store.go).
_BEGINS = 1
_CLEARS = b"\n\t\tUPDATE whatsmeow_event_buffer SET plaintext = NULL "
#: Where the instructions compare eight bytes of it.
_PLACES = (_CLEARS.index(b"UPDATE"), _CLEARS.index(b"event_buffer"))
#: Of a channel (runtime/chan.go, `hchan`): how many it holds, how many it can, an element's size,
#: the first that waits to receive.
_COUNT, _ROOM, _ELEMENT, _RECEIVERS = 0, 8, 24, 64
_EVENTS, _POINTER = 100, 8
#: Seconds: a look at the channel after nothing was said, or after something was; a long wait.
_SILENCE, _GLANCE, _LONG = 0.005, 0.0002, 10.0
#: Without Python's lock: so many microseconds between looks, and so many looks before Python waits.
_PAUSE_US, _POLLS = 1000, 100

#: A C function that returns 1: `mov eax, 1; ret`, and `mov w0, #1; ret`.
_REFUSAL = {
    "amd64": bytes.fromhex("b8 01 00 00 00 c3 90 90"),
    "arm64": struct.pack("<II", 0x52800020, 0xD65F03C0),
}

_Begun = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
)
_Opened = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)

#: By the path of the store, as the library opened it.
_gates: dict[bytes, Gate] = {}
#: By the address of SQLite's connection: the gate of the client that opened it. The next client of
#: the same store has another one, which the former client's must not pass. Beside it what the
#: instructions in front know: where the channel's address is, and the connection.
_watched: dict[int, tuple[Gate | None, ctypes.Array[ctypes.c_uint64]]] = {}
#: Of a connection without a gate.
_no_channel = ctypes.c_uint64(0)


class Gate:
    """What a client's acknowledgements wait for."""

    def __init__(self, store: Path, key: bytes) -> None:
        """`store`: the client's database; make it before that is opened."""
        self._key = key
        #: Its address; 0: it is not known, or not looked at any more.
        self.channel = ctypes.c_uint64(0)
        self._closed = self._given_up = False
        self._returned = threading.Event()
        # As SQLite names it: links are followed.
        self._store = bytes(store.resolve())
        _gates[self._store] = self

    def find(self) -> bool:
        """Find the client's channel, once the library knows the client. Call it while no other
        client starts or ends."""
        if not self.channel.value and not self._closed:
            found = channel_in_library(self._key) or 0
            if found and (_word(found + _ROOM), _word(found + _ELEMENT) & 0xFFFF) == (
                _EVENTS,
                _POINTER,
            ):
                self.channel.value = found
                # By now the store was opened.
                if all(gate is not self for gate, _ in _watched.values()):
                    log.error("whatsapp.store_not_watched", key=self._key.decode())
        return bool(self.channel.value)

    def returned(self) -> None:
        """A callback of the client is about to return."""
        self._returned.set()

    @property
    def empty(self) -> bool:
        """Whether the callback has returned from everything that the library said; False as long as
        that cannot be known."""
        channel = self.channel.value
        return bool(channel and not _word(channel + _COUNT) and _word(channel + _RECEIVERS))

    @property
    def busy(self) -> bool:
        """Whether there is something that it has not returned from."""
        return bool(self.channel.value) and not self.empty

    def wait(self) -> bool:
        """Return once it is empty. False: the client has ended before."""
        began = time.monotonic()
        while not self._closed:
            if self.empty or self._given_up:
                return True
            if self._returned.wait(_SILENCE):
                self._returned.clear()
                time.sleep(_GLANCE)
            if time.monotonic() - began > _LONG:
                began = float("inf")
                log.warning("whatsapp.acknowledgement_waits", key=self._key.decode())
        return False

    def give_up(self) -> None:
        """The channel is not to be found: nothing waits."""
        self._given_up = True

    def close(self) -> None:
        """The client has ended: nothing is acknowledged any more, and its memory is not looked
        at."""
        self._closed = True
        self.channel.value = 0


def _word(address: int) -> int:
    return ctypes.c_uint64.from_address(address).value


def _opened(connection: int, _error: object, _calls: object) -> int:
    """SQLite opened a database."""
    try:
        name = ctypes.c_char_p(gocode.sqlite3_db_filename(connection, b"main")).value
        gate = _gates.get(name or b"")
        channel = gate.channel if gate is not None else _no_channel
        known = (ctypes.c_uint64 * 2)(ctypes.addressof(channel), connection)
        _watched[connection] = gate, known
        gocode.sqlite3_trace_v2(connection, _BEGINS, _trace, ctypes.addressof(known))
    except Exception:
        log.exception("whatsapp.store_not_hooked")
    return 0


def _clears(_report: int, connection: int, _statement: int, _sql: int) -> int:
    """The library takes a message for handled, and what it said before was not empty in time."""
    gate, _ = _watched.get(connection, (None, None))
    if gate is not None and not gate.wait():
        gocode.sqlite3_commit_hook(connection, _refusal, None)
    return 0


_on_opened, _on_clearing = _Opened(_opened), _Begun(_clears)
#: Where the instructions in front of `_clears` are, and those of a commit hook that refuses.
_trace = _refusal = 0


def _make(library: Library) -> bool:
    global _trace, _refusal
    try:
        # `restype` and `argtypes` are those of this library object.
        gocode.sqlite3_auto_extension.argtypes = [ctypes.c_void_p]
        gocode.sqlite3_trace_v2.argtypes = [
            *(ctypes.c_void_p, ctypes.c_uint),
            *(ctypes.c_void_p, ctypes.c_void_p),
        ]
        gocode.sqlite3_db_filename.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        gocode.sqlite3_db_filename.restype = ctypes.c_void_p
        gocode.sqlite3_commit_hook.argtypes = [ctypes.c_void_p] * 3
        gocode.sqlite3_commit_hook.restype = ctypes.c_void_p
    except AttributeError as error:
        raise Refused(f"the library's SQLite is not to be called: {error}") from error
    if not channels_are_known():
        raise Refused("the channels of clients are not found")
    if not _clears_as_known():
        raise Refused("the statement that clears a message is not the one that is known")
    near = ctypes.cast(gocode.sqlite3_trace_v2, ctypes.c_void_p).value or 0
    stub = library.near(near, PAGE)
    target = ctypes.cast(_on_clearing, ctypes.c_void_p).value or 0
    write = _stub_amd64 if library.machine is AMD64 else _stub_arm64
    refusal = _REFUSAL[library.machine.name]
    write_code(library.machine, stub, refusal + write(stub, target))
    _refusal, _trace = stub, stub + len(refusal)
    if gocode.sqlite3_auto_extension(ctypes.cast(_on_opened, ctypes.c_void_p)):
        raise Refused("SQLite does not tell of databases that are opened")
    return True


@of_the_file
def _clears_as_known(library: Path) -> bool:
    """Whether its file has that statement, once."""
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        place = text.find(_CLEARS)
        return place >= 0 and text.find(_CLEARS, place + 1) < 0


def _stub_amd64(at: int, target: int) -> bytes:
    """A C function: RSI is what is known of the connection, the statement's text is in RCX; RAX is
    free."""
    first, second = _PLACES
    usleep = ctypes.cast(ctypes.CDLL(None).usleep, ctypes.c_void_p).value or 0
    restore = "41 5d 41 5c 5b"  # pop r13; pop r12; pop rbx
    slow = bytes.fromhex("48 8b 73 08" + restore)  # mov rsi, [rbx + 8], the connection
    slow += b"\x48\xb8" + struct.pack("<Q", target) + b"\xff\xe0"  # mov rax, target; jmp rax
    nap = b"\xbf" + struct.pack("<i", _PAUSE_US)  # mov edi, microseconds
    nap += b"\x48\xb8" + struct.pack("<Q", usleep) + b"\xff\xd0"  # mov rax, usleep; call rax
    look = bytes.fromhex(
        "48 8b 03"  # mov rax, [rbx]
        "48 8b 00"  # mov rax, [rax], the channel
        "48 85 c0"  # test rax, rax
    )
    count = bytes.fromhex("48 83 38 00")  # cmp qword [rax + count], 0
    receivers = b"\x48\x83\x78" + bytes([_RECEIVERS, 0])  # cmp qword [rax + receivers], 0
    less = bytes.fromhex("41 ff cc")  # dec r12d
    # Each jump has two bytes.
    from_nap = len(less) + 2 + len(nap) + 2
    wait = look + b"\x74" + bytes([len(count) + 2 + len(receivers) + 2 + from_nap])  # jz slow
    wait += count + b"\x75" + bytes([len(receivers) + 2])  # jne nap
    wait += receivers + b"\x75" + bytes([from_nap + len(slow)])  # jne done
    wait += less + b"\x74" + bytes([len(nap) + 2])  # jz slow
    wait += nap
    wait += b"\xeb" + struct.pack("<b", -(len(wait) + 2))  # jmp again
    passes = bytes.fromhex("31 c0 c3")  # xor eax, eax; ret
    done = bytes.fromhex(restore) + passes
    begin = bytes.fromhex("53 41 54 41 55 48 89 f3")  # push rbx, r12, r13; mov rbx, rsi
    begin += b"\x41\xbc" + struct.pack("<i", _POLLS)  # mov r12d, looks
    clears = begin + wait + slow + done
    code = Amd64Code(at)
    code.put(b"\x80\x39" + _CLEARS[:1])  # cmp byte [rcx], newline
    code.put("75 22")  # jne over
    code.put(b"\x48\xb8" + _CLEARS[first : first + 8])  # mov rax, text
    code.put(b"\x48\x39\x41" + bytes([first]))  # cmp [rcx + first], rax
    code.put("75 12")  # jne over
    code.put(b"\x48\xb8" + _CLEARS[second : second + 8])  # mov rax, text
    code.put(b"\x48\x39\x41" + bytes([second]))  # cmp [rcx + second], rax
    code.put("75 02")  # jne over
    code.put(b"\xeb" + bytes([len(passes)]))  # jmp to what clears
    # over:
    code.put(passes)
    code.put(clears)
    return code.bytes


def _stub_arm64(_at: int, target: int) -> bytes:
    """A C function: X1 is what is known of the connection, the statement's text is in X3; X9 to
    X16 are free. Python waits."""
    code = Arm64Code()
    known, sql, found, wanted = 1, 3, 9, 10
    code.put(0x39400000 | sql << 5 | found)  # ldrb found, [sql]
    code.compare_number(found, _CLEARS[0])
    code.branch_if(code.NOT_EQUAL, "over")
    for place in _PLACES:
        code.add(found, sql, place)
        code.load(found, found)
        code.constant(wanted, int.from_bytes(_CLEARS[place : place + 8], "little"))
        code.compare(found, wanted)
        code.branch_if(code.NOT_EQUAL, "over")
    code.load(known, known, 8)
    code.jump(target)
    code.label("over")
    code.put(0x52800000)  # mov w0, 0
    code.put(0xD65F03C0)  # ret
    return code.bytes


PATCH = Patch(
    "acknowledged_last",
    _make,
    functions=(),
    promise="A message is acknowledged to WhatsApp after it is in the spool.",
    without="A process that is killed may take along messages that were acknowledged and had not "
    "reached it: milliseconds on a machine that keeps up, seconds on one that does not.",
)
