"""The dictionaries of binary XML: strings that travel as one or two bytes.

Protocol data: the WhatsApp multi-device dictionary. Version 3 as in whatsmeow's
binary/token/token.go (SingleByteTokens, DoubleByteTokens, DictVersion), version 2 as in Baileys'
WABinary/constants. The files hold `single_byte` (236 strings, index = byte, index 0 unused) and
`double_byte` (4 lists of 256). A client announces the version with the last byte of its header; a
server of another version would read other words (`iq` becomes `xmlns` in version 2).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary:
    """The words of one version."""

    version: int
    single_byte: tuple[str, ...] = field(repr=False)
    double_byte: tuple[tuple[str, ...], ...] = field(repr=False)
    #: text -> its byte
    single_index: dict[str, int] = field(repr=False)
    #: text -> (dictionary, byte)
    double_index: dict[str, tuple[int, int]] = field(repr=False)

    @classmethod
    def load(cls, name: str) -> Self:
        """Read a file beside this one."""
        table = json.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))
        return cls(
            version=table["version"],
            single_byte=tuple(table["single_byte"]),
            double_byte=tuple(map(tuple, table["double_byte"])),
            single_index={text: i for i, text in enumerate(table["single_byte"]) if text},
            double_index={
                text: (dictionary, i)
                for dictionary, words in enumerate(table["double_byte"])
                for i, text in enumerate(words)
            },
        )


#: whatsmeow's, and what is stored and queued here is written in
CURRENT: Final = Dictionary.load("tokens.json")
BY_VERSION: Final = {d.version: d for d in (CURRENT, Dictionary.load("tokens-2.json"))}

# Tags (token.go, "Type tokens used in the binary XML representation").
LIST_EMPTY: Final = 0
DICTIONARY_0: Final = 236
DICTIONARY_3: Final = 239
INTEROP_JID: Final = 245
FB_JID: Final = 246
AD_JID: Final = 247
LIST_8: Final = 248
LIST_16: Final = 249
JID_PAIR: Final = 250
HEX_8: Final = 251
BINARY_8: Final = 252
BINARY_20: Final = 253
BINARY_32: Final = 254
NIBBLE_8: Final = 255
#: longest text that may be packed, in characters
PACKED_MAX: Final = 127
