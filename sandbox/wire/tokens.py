"""The dictionary of binary XML: strings that travel as one or two bytes.

Protocol data: the WhatsApp multi-device dictionary, version 3, as in whatsmeow's
binary/token/token.go (SingleByteTokens, DoubleByteTokens, DictVersion). tokens.json holds
`single_byte` (236 strings, index = byte, index 0 unused) and `double_byte` (4 lists of 256).
A client announces the version with the last byte of its header; a server of another version
would read other words (`iq` becomes `xmlns` in version 2).
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Final

_TABLE = json.loads(files(__package__).joinpath("tokens.json").read_text(encoding="utf-8"))

VERSION: Final[int] = _TABLE["version"]
SINGLE_BYTE: Final[tuple[str, ...]] = tuple(_TABLE["single_byte"])
DOUBLE_BYTE: Final[tuple[tuple[str, ...], ...]] = tuple(map(tuple, _TABLE["double_byte"]))

#: text -> its byte
SINGLE_INDEX: Final[dict[str, int]] = {text: i for i, text in enumerate(SINGLE_BYTE) if text}
#: text -> (dictionary, byte)
DOUBLE_INDEX: Final[dict[str, tuple[int, int]]] = {
    text: (dictionary, i)
    for dictionary, words in enumerate(DOUBLE_BYTE)
    for i, text in enumerate(words)
}

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
