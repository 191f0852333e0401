"""Binary XML: nodes to bytes and back, byte for byte as whatsmeow's binary/encoder.go does it."""

from __future__ import annotations

import zlib
from typing import Final

from sandbox.wire import tokens
from sandbox.wire.jid import HOSTED, HOSTED_LID, INTEROP, LID, MESSENGER, PN, Jid
from sandbox.wire.node import Node
from sandbox.wire.tokens import Dictionary

#: a stanza nests a handful of levels; more is an attack on the stack
MAX_DEPTH: Final = 64
#: bytes a compressed stanza may unfold to
MAX_UNPACKED: Final = 64 << 20

_COMPRESSED = 2
_DOMAIN = {PN: 0, LID: 1, HOSTED: 128, HOSTED_LID: 129}
_SERVER_OF_DOMAIN = {domain: server for server, domain in _DOMAIN.items()}
_NIBBLES = "0123456789-."
_HEX = "0123456789ABCDEF"


class CodecError(ValueError):
    """These bytes are not binary XML, or this node cannot be written as such."""


def encode(node: Node, words: Dictionary = tokens.CURRENT) -> bytes:
    """Write a node (without the leading flag byte).

    Attributes with empty text are left out and an empty list of children reads back as no
    content, as in whatsmeow.

    Raises:
        CodecError: the node cannot be expressed.
    """
    out = _Out(words)
    _write_node(out, node, 0)
    return bytes(out)


def decode(data: bytes, words: Dictionary = tokens.CURRENT) -> Node:
    """Read one node (without the leading flag byte); nothing may follow it.

    Content that came as a token, packed text or JID is given as its UTF-8 bytes.

    Raises:
        CodecError: for any input that is not exactly one node.
    """
    reader = _Reader(data, words)
    node = reader.node(0)
    if reader.position != len(data):
        raise CodecError(f"{len(data) - reader.position} bytes left after the node")
    return node


def pack(data: bytes, *, compress: bool = False) -> bytes:
    """Put the flag byte before an encoded node, compressing it when asked."""
    return bytes([_COMPRESSED]) + zlib.compress(data) if compress else b"\0" + data


def unpack(payload: bytes) -> bytes:
    """Take the flag byte off and decompress when it says so (whatsmeow: binary/unpack.go).

    Raises:
        CodecError: no flag byte, or broken, endless or too large compressed data.
    """
    if not payload:
        raise CodecError("an empty payload has no flag byte")
    if not payload[0] & _COMPRESSED:
        return payload[1:]
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(payload[1:], MAX_UNPACKED)
    except zlib.error as error:
        raise CodecError("compressed payload is broken") from error
    if not inflater.eof:
        raise CodecError("compressed payload is cut short or too large")
    return data


class _Out(bytearray):
    def __init__(self, words: Dictionary) -> None:
        super().__init__()
        self.words = words


def _write_node(out: _Out, node: Node, depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise CodecError(f"nested deeper than {MAX_DEPTH}")
    if not node.tag:
        raise CodecError("a node needs a tag")
    attrs = [(key, value) for key, value in node.attrs.items() if value != ""]
    _write_list(out, 1 + 2 * len(attrs) + (node.content is not None))
    _write_text(out, node.tag)
    for key, value in attrs:
        _write_text(out, key)
        if isinstance(value, Jid):
            _write_jid(out, value)
        else:
            _write_text(out, value)
    if isinstance(node.content, list):
        _write_list(out, len(node.content))
        for child in node.content:
            _write_node(out, child, depth + 1)
    elif node.content is not None:
        _write_bytes(out, node.content)


def _write_list(out: _Out, size: int) -> None:
    if size == 0:
        out.append(tokens.LIST_EMPTY)
    elif size < 1 << 8:
        out += bytes([tokens.LIST_8, size])
    elif size < 1 << 16:
        out.append(tokens.LIST_16)
        out += size.to_bytes(2, "big")
    else:
        raise CodecError(f"a list of {size} is too long")


def _write_bytes(out: _Out, data: bytes) -> None:
    size = len(data)
    if size < 1 << 8:
        out += bytes([tokens.BINARY_8, size])
    elif size < 1 << 20:
        out.append(tokens.BINARY_20)
        out += size.to_bytes(3, "big")
    elif size < 1 << 31:
        out.append(tokens.BINARY_32)
        out += size.to_bytes(4, "big")
    else:
        raise CodecError(f"{size} bytes are too many for one value")
    out += data


def _write_text(out: _Out, text: str) -> None:
    single = out.words.single_index.get(text)
    double = out.words.double_index.get(text)
    if single is not None:
        out.append(single)
    elif double is not None:
        out += bytes([tokens.DICTIONARY_0 + double[0], double[1]])
    elif len(text) <= tokens.PACKED_MAX and all(char in _NIBBLES for char in text):
        _write_packed(out, text, tokens.NIBBLE_8, _NIBBLES)
    elif len(text) <= tokens.PACKED_MAX and all(char in _HEX for char in text):
        _write_packed(out, text, tokens.HEX_8, _HEX)
    else:
        try:
            _write_bytes(out, text.encode())
        except UnicodeEncodeError as error:
            raise CodecError("text is not Unicode") from error


def _write_packed(out: _Out, text: str, tag: int, alphabet: str) -> None:
    odd = len(text) % 2
    out += bytes([tag, (len(text) + odd) // 2 | odd << 7])
    digits = [alphabet.index(char) for char in text] + [15] * odd
    out += bytes(high << 4 | low for high, low in zip(digits[::2], digits[1::2], strict=True))


def _write_jid(out: _Out, jid: Jid) -> None:
    domain = _DOMAIN.get(jid.server)
    if jid.server in (HOSTED, HOSTED_LID) or (domain is not None and jid.device):
        out += bytes([tokens.AD_JID, _DOMAIN[jid.server], _number(jid.device, 1)])
        _write_text(out, jid.user)
    elif jid.server == MESSENGER:
        out.append(tokens.FB_JID)
        _write_text(out, jid.user)
        out += _number(jid.device, 2).to_bytes(2, "big")
        _write_text(out, jid.server)
    elif jid.server == INTEROP:
        out.append(tokens.INTEROP_JID)
        _write_text(out, jid.user)
        out += _number(jid.device, 2).to_bytes(2, "big")
        out += _number(jid.integrator, 2).to_bytes(2, "big")
        _write_text(out, jid.server)
    else:
        if jid.device:
            raise CodecError(f"a JID at {jid.server} has no devices")
        out.append(tokens.JID_PAIR)
        if jid.user:
            _write_text(out, jid.user)
        else:
            out.append(tokens.LIST_EMPTY)
        _write_text(out, jid.server)


def _number(value: int, size: int) -> int:
    if not 0 <= value < 1 << 8 * size:
        raise CodecError(f"{value} does not fit {size} bytes")
    return value


class _Reader:
    def __init__(self, data: bytes, words: Dictionary) -> None:
        self.data = data
        self.words = words
        self.position = 0

    def node(self, depth: int) -> Node:
        if depth >= MAX_DEPTH:
            raise CodecError(f"nested deeper than {MAX_DEPTH}")
        size = self._list_size(self._byte())
        if size == 0:
            raise CodecError("a node without a tag")
        tag = self._text(self._byte())
        if not tag:
            raise CodecError("a node without a tag")
        attrs: dict[str, str | Jid] = {}
        for _ in range((size - 1) // 2):
            key = self._text(self._byte())
            value = self._value()
            if value is not None:
                attrs[key] = value
        if size % 2:
            return Node(tag, attrs)
        return Node(tag, attrs, self._content(depth))

    def _content(self, depth: int) -> list[Node] | bytes | None:
        kind = self._byte()
        if kind == tokens.LIST_EMPTY:
            return None
        if kind in (tokens.LIST_8, tokens.LIST_16):
            return [self.node(depth + 1) for _ in range(self._list_size(kind))]
        if kind in (tokens.BINARY_8, tokens.BINARY_20, tokens.BINARY_32):
            return self._binary(kind)
        self.position -= 1
        return str(self._value()).encode()

    def _value(self) -> str | Jid | None:
        kind = self._byte()
        match kind:
            case tokens.LIST_EMPTY:
                return None
            case tokens.JID_PAIR:
                user = self._optional_text()
                return Jid(user, self._server())
            case tokens.AD_JID:
                domain, device = self._byte(), self._byte()
                if domain not in _SERVER_OF_DOMAIN:
                    raise CodecError(f"JID of unknown domain {domain}")
                return Jid(self._text(self._byte()), _SERVER_OF_DOMAIN[domain], device)
            case tokens.FB_JID:
                user, device = self._text(self._byte()), self._integer(2)
                return Jid(user, self._server(MESSENGER), device)
            case tokens.INTEROP_JID:
                user, device, integrator = (
                    self._text(self._byte()),
                    self._integer(2),
                    self._integer(2),
                )
                return Jid(user, self._server(INTEROP), device, integrator)
            case _:
                return self._text(kind)

    def _server(self, expected: str | None = None) -> str:
        server = self._text(self._byte())
        if not server or (expected is not None and server != expected):
            raise CodecError(f"unexpected server {server!r} in a JID")
        return server

    def _optional_text(self) -> str:
        kind = self._byte()
        return "" if kind == tokens.LIST_EMPTY else self._text(kind)

    def _text(self, kind: int) -> str:
        """Text only: neither a list nor a JID may stand here, so nothing recurses."""
        if kind in (tokens.BINARY_8, tokens.BINARY_20, tokens.BINARY_32):
            try:
                return self._binary(kind).decode()
            except UnicodeDecodeError as error:
                raise CodecError("text is not UTF-8") from error
        if kind in (tokens.NIBBLE_8, tokens.HEX_8):
            return self._packed(_NIBBLES if kind == tokens.NIBBLE_8 else _HEX)
        if tokens.DICTIONARY_0 <= kind <= tokens.DICTIONARY_3:
            words = self.words.double_byte[kind - tokens.DICTIONARY_0]
            index = self._byte()
            if index >= len(words):
                raise CodecError(f"dictionary {kind} has no word {index}")
            return words[index]
        if 0 < kind < len(self.words.single_byte):
            return self.words.single_byte[kind]
        raise CodecError(f"unexpected tag {kind} at {self.position - 1}")

    def _packed(self, alphabet: str) -> str:
        start = self._byte()
        size, odd = start & 127, start >> 7
        digits = [digit for byte in self._take(size) for digit in (byte >> 4, byte & 15)]
        if odd:
            if not digits:
                raise CodecError("packed text of odd length zero")
            digits.pop()
        if any(digit >= len(alphabet) for digit in digits):
            raise CodecError("packed text holds an unknown digit")
        return "".join(alphabet[digit] for digit in digits)

    def _binary(self, kind: int) -> bytes:
        if kind == tokens.BINARY_8:
            return self._take(self._byte())
        if kind == tokens.BINARY_20:
            return self._take(self._integer(3) & 0xFFFFF)
        return self._take(self._integer(4))

    def _list_size(self, kind: int) -> int:
        if kind == tokens.LIST_EMPTY:
            return 0
        if kind == tokens.LIST_8:
            return self._byte()
        if kind == tokens.LIST_16:
            return self._integer(2)
        raise CodecError(f"{kind} at {self.position - 1} does not begin a list")

    def _byte(self) -> int:
        return self._take(1)[0]

    def _integer(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.data):
            raise CodecError(f"{size} bytes wanted at {self.position}, the data ends before")
        data = self.data[self.position : end]
        self.position = end
        return data
