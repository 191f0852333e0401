"""Decryption in one transaction of the device store, which neonize 0.5.2 does not ask for.

whatsmeow reads a Signal session, decrypts with it and writes it back (message.go, `decryptDM`),
while a send may do the same with the same session under another lock (send.go,
`encryptMessageForDevices`). What the send wrote is then taken back, its counter is used again by
the next message, and the recipient ignores that one without a word. With the client's
`EnableDecryptedEventBuffer` decryption is a transaction; the store is opened so that it holds the
database from its beginning (`_txlock=immediate`), and a message that was decrypted by a process
that ended before it told of it is decrypted again, from the store.

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

__all__ = ["OFFSETS", "PATCH", "branch", "comparison", "set_for"]

#: The offset of `EnableDecryptedEventBuffer` in whatsmeow's `Client`, by version of the library.
OFFSETS = {"0.5.2": 0xA9}
_LOOK = (
    "go.mau.fi/whatsmeow.(*Client).bufferedDecrypt",
    "go.mau.fi/whatsmeow.(*Client).decryptMessages",
)
#: What a Go bool never equals.
_NEVER = b"\2"


def _make(library: Library) -> bool:
    offset = _offset(library)
    functions = library.functions(*_LOOK)
    find = comparison if library.machine is AMD64 else branch
    code = _NEVER if library.machine is AMD64 else struct.pack("<I", NOP_ARM64)
    sites = [f.start + find(library.text(f), offset) for f in functions]
    for site in sites:
        library.replace(site, code)
    return True


def set_for(client: str) -> bool:
    """Set the field of the client with the key `client`, where the code was left alone; call it as
    soon as the library knows the client. Gives whether its decryption is a transaction now."""
    if PATCH.made():
        return True
    try:
        offset = _offset(loaded())
    except Refused:
        return False
    address = client_in_library(client.encode())
    if address is None:
        return False
    field = ctypes.c_uint8.from_address(address + offset)
    if field.value > 1:  # no Go bool
        return False
    field.value = 1
    return True


def _offset(library: Library) -> int:
    try:
        return OFFSETS[library.version]
    except KeyError:
        raise Refused(f"where version {library.version} has the field is not known") from None


def comparison(code: bytes, offset: int) -> int:
    """Where in amd64's `code` the 0 is that a byte at `offset` from a register is compared with,
    before a jump if equal. Raises `Refused` unless there is one such place."""
    # 80 /7 ib with a 32-bit displacement and no SIB byte, then je (short or near).
    displacement = re.escape(offset.to_bytes(4, "little"))
    pattern = rb"\x80[\xb8-\xbb\xbd-\xbf]" + displacement + rb"\x00(?=\x74|\x0f\x84)"
    found = [match.end() - 1 for match in re.finditer(pattern, code, re.DOTALL)]
    if len(found) != 1:
        raise Refused(f"{len(found)} comparisons of the field, expected 1")
    return found[0]


def branch(code: bytes, offset: int) -> int:
    """Where in arm64's `code` the branch is that is taken when a byte at `offset` from a register
    is 0. Raises `Refused` unless there is one such place."""
    whole = len(code) // 4
    words = struct.unpack_from(f"<{whole}I", code)
    found = [
        4 * at + 4
        for at, (load, test) in enumerate(itertools.pairwise(words))
        # ldrb register, [client, #offset]
        if load & 0xFFFFFC00 == 0x39400000 | offset << 10
        # tbz register, #0, … or cbz register, …
        and (test & 0xFFF80000 == 0x36000000 or test & 0x7F000000 == 0x34000000)
        and test & 31 == load & 31
    ]
    if len(found) != 1:
        raise Refused(f"{len(found)} branches on the field, expected 1")
    return found[0]


PATCH = Patch(
    "decryption_in_one_transaction",
    _make,
    functions=_LOOK,
    promise="No key of the Signal protocol is used twice, whatever is received while something is "
    "sent; what was decrypted and not told before a crash is decrypted again.",
    without="The same, but for messages that arrive in the first milliseconds of a connection, "
    "where the library's memory can be read; else a send beside a received message in the same "
    "chat may be ignored by the recipient.",
)
