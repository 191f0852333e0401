"""Decryption in one transaction of the device store, which neonize 0.5.2 does not ask for.

whatsmeow reads a Signal session, decrypts with it and writes it back (message.go, `decryptDM`),
while a send may do the same with the same session under another lock (send.go,
`encryptMessageForDevices`). What the send wrote is then taken back, its counter is used again by
the next message, and the recipient ignores that one without a word. With the client's
`EnableDecryptedEventBuffer` decryption is a transaction; the store is opened so that it holds the
database from its beginning (`_txlock=immediate`), and a message that was decrypted by a process
that ended before it reported it is decrypted again, from the store.

neonize has no way to set that field. So the two places of the library's code that look at it are
made to see it set, in memory: on amd64 `cmp byte [client + offset], 0` becomes a comparison with 2,
which a Go bool never equals; on arm64 the branch after `ldrb register, [client, #offset]` becomes a
`nop`. Where code cannot be changed, `set_for` sets the field of a client, which is one byte of
data; a message that arrives in the milliseconds before that is decrypted without a transaction.
"""

from __future__ import annotations

import ctypes
import itertools
import re
import struct

from actors.whatsapp.library.clients import client_in_library
from actors.whatsapp.library.machines import AMD64, NOP_ARM64
from actors.whatsapp.library.patching import Library, Patch, Refused, loaded
from actors.whatsapp.library.symbols import SymbolsNotFound

__all__ = ["PATCH", "branches", "comparisons", "field_of", "set_for"]

_FUNCTIONS = (
    "go.mau.fi/whatsmeow.(*Client).bufferedDecrypt",
    "go.mau.fi/whatsmeow.(*Client).decryptMessages",
)
#: What a Go bool never equals.
_NEVER = b"\2"


def _make(library: Library) -> bool:
    _, sites = _field(library)
    code = _NEVER if library.machine is AMD64 else struct.pack("<I", NOP_ARM64)
    for site in sites:
        library.replace(site, code)
    return True


def set_for(client: str) -> bool:
    """Set the field of the client with the key `client`, where the code was left alone; call it as
    soon as the library knows the client. Gives whether its decryption is a transaction now."""
    if PATCH.made():
        return True
    place = field_of(client)
    if place is None:
        return False
    field = ctypes.c_uint8.from_address(place)
    if field.value > 1:  # no Go bool
        return False
    field.value = 1
    return True


def field_of(client: str) -> int | None:
    """Where that client's field is; None: it is not known."""
    try:
        offset, _ = _field(loaded())
    except (Refused, SymbolsNotFound):
        return None
    address = client_in_library(client.encode())
    return None if address is None else address + offset


def _field(library: Library) -> tuple[int, list[int]]:
    """Offset of `EnableDecryptedEventBuffer` in whatsmeow's `Client`, and the sites of the two
    looks at it: it is the only byte that both functions test, and each does once."""
    find = comparisons if library.machine is AMD64 else branches
    found = [(f.start, find(library.text(f))) for f in library.functions(*_FUNCTIONS)]
    common = set.intersection(*(set(tests) for _, tests in found))
    if len(common) != 1:
        raise Refused(f"{len(common)} fields are looked at, expected 1")
    offset = common.pop()
    if any(len(tests[offset]) != 1 for _, tests in found):
        raise Refused("the field is looked at more than once")
    return offset, [start + tests[offset][0] for start, tests in found]


def comparisons(code: bytes) -> dict[int, list[int]]:
    """Bytes at an offset from a register that amd64's `code` compares with 0 before a jump if
    equal: offset → where that 0 is, each time."""
    found: dict[int, list[int]] = {}
    # 80 /7 ib with a 32-bit displacement and no SIB byte, then je (short or near).
    pattern = rb"\x80[\xb8-\xbb\xbd-\xbf](....)\x00(?=\x74|\x0f\x84)"
    for match in re.finditer(pattern, code, re.DOTALL):
        found.setdefault(int.from_bytes(match[1], "little"), []).append(match.end() - 1)
    return found


def branches(code: bytes) -> dict[int, list[int]]:
    """The same for arm64: offset → where the branch is that is taken when the byte is 0."""
    found: dict[int, list[int]] = {}
    words = struct.unpack_from(f"<{len(code) // 4}I", code)
    for at, (load, test) in enumerate(itertools.pairwise(words)):
        # ldrb register, [client, #offset]; tbz register, #0, … or cbz register, …
        if (
            load & 0xFFC00000 == 0x39400000
            and (test & 0xFFF80000 == 0x36000000 or test & 0x7F000000 == 0x34000000)
            and test & 31 == load & 31
        ):
            found.setdefault(load >> 10 & 0xFFF, []).append(4 * at + 4)
    return found


PATCH = Patch(
    "decryption_in_one_transaction",
    _make,
    functions=_FUNCTIONS,
    promise="No key of the Signal protocol is used twice, whatever is received while something is "
    "sent; what was decrypted and not told before a crash is decrypted again.",
    without="The same, but for messages that arrive in the first milliseconds of a connection, "
    "where the library's memory can be read; else a send beside a received message in the same "
    "chat may be ignored by the recipient.",
)
