"""How many clients the library knows: read from its memory, because asking it is not safe.

neonize keeps its clients in a Go map without a lock (goneonize/main.go, `clients`). A client that
starts is written into it after its store was opened and before it connects, and two writes at once
end the process. So starts go one after the other up to that write, and no further: what follows,
the connection, takes far longer. The map's address is taken from the code of `Disconnect`, which
does nothing but look a client up; the first word of a Go map is its count (Go, internal/runtime/
maps/map.go, `used`).
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import structlog
from neonize._binder import gocode

from actors.whatsapp.go_symbols import SymbolsNotFound, locate, read_functions

__all__ = ["clients_in_library"]

log = structlog.get_logger(__name__)

_LOOKS_UP = "main.Disconnect"
#: `mov register, [rip + operand]`: REX.W prefix, opcode, ModRM without the register's bits.
_LENGTH, _PREFIXES, _MOV, _MODRM_MASK, _MODRM = 7, (0x48, 0x4C), 0x8B, 0xC7, 0x05


def clients_in_library() -> int | None:
    """None: it cannot be told (another library than the one that is known)."""
    place = _map()
    if place is None:
        return None
    go_map = ctypes.c_uint64.from_address(place).value
    return ctypes.c_uint64.from_address(go_map).value if go_map else 0


@cache
def _map() -> int | None:
    """The address of the variable that points to the map."""
    try:
        functions = read_functions(Path(gocode._name), _LOOKS_UP)
        (function,) = locate(gocode, functions, _LOOKS_UP)
    except SymbolsNotFound as error:
        log.warning("whatsapp.clients_not_counted", error=str(error))
        return None
    loads = _loads(ctypes.string_at(function.start, function.end - function.start), function.start)
    if len(loads) != 1:
        log.warning("whatsapp.clients_not_counted", error=f"{len(loads)} variables, expected 1")
        return None
    return loads[0]


def _loads(code: bytes, address: int) -> list[int]:
    """Addresses of the variables that `code`, which lies at `address`, loads."""
    return [
        address + at + _LENGTH + int.from_bytes(code[at + 3 : at + 7], "little", signed=True)
        for at in range(len(code) - _LENGTH)
        if code[at] in _PREFIXES and code[at + 1] == _MOV and code[at + 2] & _MODRM_MASK == _MODRM
    ]
