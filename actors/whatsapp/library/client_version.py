"""The version of WhatsApp Web that the library presents itself as: data, in memory.

WhatsApp turns versions away that are too old (405). whatsmeow keeps the one that it presents in
`waVersion` (store/clientpayload.go), made into its payload once, at start; neonize 0.5.2 exports no
`SetWAVersion`, so what that function sets is set here: the variable, its MD5, and the three numbers
that the payload points to. No code is changed, on any processor; before the first client connects.
A version newer than the library may come with changes of the protocol that it does not know.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
import struct
from bisect import bisect_right
from functools import cache

from actors.whatsapp.library.memory import find, variables, writable

__all__ = ["ClientVersionRefused", "outdated", "present", "presented"]

#: `[3]uint32`: what all versions of WhatsApp Web begin with, and the revision.
_BEGIN = struct.pack("<II", 2, 3000)
_REVISIONS = range(1_000_000_000, 4_000_000_000)
#: Bytes of a message of the payload in which its pointers are.
_MESSAGE = 128


class ClientVersionRefused(RuntimeError):
    """The library's memory is not as expected."""


def presented() -> str:
    """The version that the library presents, `2.3000.…`. Raises `ClientVersionRefused`."""
    return ".".join(map(str, _numbers(_variable())))


def outdated() -> str:
    """What to say to people when WhatsApp turned the version away."""
    try:
        version = presented()
    except ClientVersionRefused:
        version = "unknown to it"
    return (
        f"WhatsApp turned away the client's version ({version}) as outdated: set"
        " WHATSAPP_CLIENT_VERSION to a newer one, or use a newer library, then start the session"
    )


@cache  # Once set it stays so.
def present(version: str) -> None:
    """Present `version` (`2.3000.…`) from the next connection on.

    Raises `ClientVersionRefused` unless every place of it is found as expected; nothing is changed
    then.
    """
    if not re.fullmatch(r"2\.3000\.\d{10}", version):
        raise ClientVersionRefused(f"{version!r} is no version: 2.3000. and ten digits")
    numbers = [int(part) for part in version.split(".")]
    variable = _variable()
    old = _numbers(variable)
    if old == numbers:
        return
    places = [variable, _payload(old)]
    digest = [at for at in find(_digest(old), variables()) if at % 4 == 0]
    if len(digest) != 1:
        raise ClientVersionRefused(f"the version's hash was found {len(digest)} times, expected 1")
    for place in places:
        ctypes.memmove(place, struct.pack("<III", *numbers), 12)
    ctypes.memmove(digest[0], _digest(numbers), 16)


def _variable() -> int:
    found = [
        place
        for place in find(_BEGIN, variables())
        if place % 4 == 0 and _numbers(place)[2] in _REVISIONS
    ]
    if len(found) != 1:
        raise ClientVersionRefused(f"the version was found {len(found)} times, expected 1")
    return found[0]


def _payload(version: list[int]) -> int:
    """Where the numbers are that the payload points to: a message somewhere behind a variable of
    the library has pointers to them, one after the other."""
    regions = writable()
    starts = [start for start, _ in regions]

    def readable(address: int, size: int) -> bool:
        index = bisect_right(starts, address) - 1
        return index >= 0 and address + size <= regions[index][1]

    found: set[int] = set()
    for start, end in variables():
        words = struct.unpack(f"<{(end - start) // 8}Q", ctypes.string_at(start, end - start))
        for word in set(words):
            if word % 8 or not readable(word, _MESSAGE):
                continue
            fields = struct.unpack(f"<{_MESSAGE // 8}Q", ctypes.string_at(word, _MESSAGE))
            for first, second, third in zip(fields, fields[1:], fields[2:], strict=False):
                if (
                    second == first + 4
                    and third == first + 8
                    and readable(first, 12)
                    and _numbers(first) == version
                ):
                    found.add(first)
    if len(found) != 1:
        raise ClientVersionRefused(f"the payload's version was found {len(found)} times")
    return found.pop()


def _numbers(place: int) -> list[int]:
    return list(struct.unpack("<III", ctypes.string_at(place, 12)))


def _digest(version: list[int]) -> bytes:
    return hashlib.md5(".".join(map(str, version)).encode(), usedforsecurity=False).digest()
