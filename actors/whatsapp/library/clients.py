"""Which clients the library knows: read from its memory, because asking it is not safe.

neonize keeps its clients in a Go map without a lock (goneonize/main.go, `clients`). A client that
starts is written into it after its store was opened and before it connects, and two writes at once
end the process. So starts go one after the other up to that write, and no further: what follows,
the connection, takes far longer. The map's address is taken from the code of `Disconnect`, which
does nothing but look a client up; the first word of a Go map is its count (Go, internal/runtime/
maps/map.go, `used`). A client is looked up in the same way that Go walks its map.
"""

from __future__ import annotations

import ctypes
import struct
from functools import cache

import structlog

from actors.whatsapp.library.patching import Refused, loaded, wants
from actors.whatsapp.library.symbols import SymbolsNotFound

__all__ = [
    "channel_in_library",
    "channels_are_known",
    "client_in_library",
    "clients_in_library",
]

log = structlog.get_logger(__name__)

_LOOKS_UP = "main.Disconnect"
#: Of the variables that both load, one is none that `Disconnect` does: `eventChannel`.
_OF_CHANNELS = ("main.CallbackFunction", "main.Stop")
wants(_LOOKS_UP, *_OF_CHANNELS)

#: A group of the map: 8 control bytes (the high bit: no entry), 8 pairs of a key (a Go string:
#: address, length) and a value (a pointer).
_PAIR = struct.Struct("<QQQ")
_GROUP = 8 + 8 * _PAIR.size


def clients_in_library() -> int | None:
    """How many; None: it is not known (another library than the one that is known)."""
    place = _map()
    if place is None:
        return None
    go_map = ctypes.c_uint64.from_address(place).value
    return ctypes.c_uint64.from_address(go_map).value if go_map else 0


def client_in_library(key: bytes) -> int | None:
    """The address of the client with that key. Call it while no other client starts or ends."""
    return _found(_map(), key)


def channel_in_library(key: bytes) -> int | None:
    """The address of the channel for the events of the client with that key. Call it while no other
    client starts or ends."""
    return _found(_map_of_channels(), key)


def channels_are_known() -> bool:
    """Whether `channel_in_library` works here."""
    return _map_of_channels() is not None


def _found(place: int | None, key: bytes) -> int | None:
    """What the map that the variable at `place` points to has for `key`."""
    go_map = ctypes.c_uint64.from_address(place).value if place is not None else 0
    if not go_map:
        return None
    for group in _groups(go_map):
        content = ctypes.string_at(group, _GROUP)
        for index in range(8):
            if content[index] & 0x80:
                continue
            text, length, value = _PAIR.unpack_from(content, 8 + index * _PAIR.size)
            if length == len(key) and ctypes.string_at(text, length) == key:
                return int(value)
    return None


def _groups(go_map: int) -> list[int]:
    """Their addresses (internal/runtime/maps: map.go, `dirPtr`, `dirLen`; table.go, `groups`)."""
    directory, tables = struct.unpack("<Qq", ctypes.string_at(go_map + 16, 16))
    if not directory:
        return []
    if not tables:
        return [directory]
    groups = []
    for table in sorted(set(struct.unpack(f"<{tables}Q", ctypes.string_at(directory, 8 * tables)))):
        first, mask = struct.unpack("<QQ", ctypes.string_at(table + 16, 16))
        groups += [first + index * _GROUP for index in range(mask + 1)]
    return groups


@cache
def _map() -> int | None:
    """The address of the variable that points to the clients' map."""
    try:
        library = loaded()
        (function,) = library.functions(_LOOKS_UP)
    except (Refused, SymbolsNotFound) as error:
        log.warning("whatsapp.clients_not_counted", error=str(error))
        return None
    loads = library.machine.variables(library.text(function), function.start)
    if len(loads) != 1:
        log.warning("whatsapp.clients_not_counted", error=f"{len(loads)} variables, expected 1")
        return None
    return loads[0]


@cache
def _map_of_channels() -> int | None:
    """The same of the channels' map."""
    try:
        library = loaded()
        functions = library.functions(*_OF_CHANNELS)
    except (Refused, SymbolsNotFound) as error:
        log.warning("whatsapp.channels_not_found", error=str(error))
        return None
    loads = [set(library.machine.variables(library.text(f), f.start)) for f in functions]
    found = set.intersection(*loads) - {_map()}
    if len(found) != 1:
        log.warning("whatsapp.channels_not_found", error=f"{len(found)} variables, expected 1")
        return None
    return found.pop()
