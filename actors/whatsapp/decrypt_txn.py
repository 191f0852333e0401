"""Decryption in one transaction of the device store, which neonize 0.5.2 does not ask for.

whatsmeow reads a Signal session, decrypts with it and writes it back (message.go, `decryptDM`),
while a send may do the same with the same session under another lock (send.go,
`encryptMessageForDevices`). What the send wrote is then taken back, its counter is used again by
the next message, and the recipient ignores that one without a word. With the client's
`EnableDecryptedEventBuffer` decryption is a transaction; the store is opened so that it holds the
database from its beginning (`_txlock=immediate`), and a message that was decrypted by a process
that ended before it told of it is decrypted again, from the store.

neonize has no way to set that field. So the two places of the library's code that look at it are
made to see it set, in memory: `cmp byte [client + offset], 0` becomes a comparison with 2, which a
Go bool never equals. `actors.whatsapp.go_patching` tells what patching is allowed to do.
"""

from __future__ import annotations

import ctypes
import mmap
import re
from pathlib import Path

from neonize._binder import gocode

from actors.whatsapp.go_patching import PAGE, Patch, Refused, protect
from actors.whatsapp.go_symbols import locate, read_functions

__all__ = ["comparison", "decryption_is_one_transaction"]

#: The offset of `EnableDecryptedEventBuffer` in whatsmeow's `Client`, by version of the library.
_OFFSETS = {b"0.5.2": 0xA9}
_LOOK = (
    "go.mau.fi/whatsmeow.(*Client).bufferedDecrypt",
    "go.mau.fi/whatsmeow.(*Client).decryptMessages",
)
_NEVER = 2


def decryption_is_one_transaction() -> bool:
    """The first call patches the library: make it before the first client connects."""
    return _patch.made()


def _install() -> None:
    functions = locate(gocode, read_functions(Path(gocode._name), *_LOOK), *_LOOK)
    operands = [
        function.start
        + comparison(
            ctypes.string_at(function.start, function.end - function.start),
            _OFFSETS[gocode.GetVersion()],
        )
        for function in functions
    ]
    for operand in operands:
        page = operand & -PAGE
        protect(page, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        ctypes.c_uint8.from_address(operand).value = _NEVER
        protect(page, mmap.PROT_READ | mmap.PROT_EXEC)


_patch = Patch(_install, versions=_OFFSETS, refused="whatsapp.decryption_not_one_transaction")


def comparison(code: bytes, offset: int) -> int:
    """Where in `code` the 0 is that a byte at `offset` from a register is compared with, before a
    jump if equal. Raises `Refused` unless there is one such place."""
    # 80 /7 ib with a 32-bit displacement and no SIB byte, then je (short or near).
    displacement = re.escape(offset.to_bytes(4, "little"))
    pattern = rb"\x80[\xb8-\xbb\xbd-\xbf]" + displacement + rb"\x00(?=\x74|\x0f\x84)"
    found = [match.end() - 1 for match in re.finditer(pattern, code, re.DOTALL)]
    if len(found) != 1:
        raise Refused(f"{len(found)} comparisons of the field, expected 1")
    return found[0]
