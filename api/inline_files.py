"""Base64 files inside JSON bodies, taken out as the body streams in.

A long string under the key `data` is decoded into a file and a short token is left in its place, so
that what remains is small whatever the file's size. Pure: bytes in, bytes out.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Protocol

from api.problems import MalformedJson
from cluster.domain.errors import Invalid

__all__ = ["Base64Decoder", "FileTaker"]

#: Strings up to so many bytes stay in the body.
_SHORT = 16 << 10
_KEY = b"data"
_OUTSIDE = re.compile(rb'["{},\[\]:]')
_INSIDE = re.compile(rb'["\\]')
_HALF = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")
_ESCAPE = re.compile(rb"\\u00([2-7][0-9A-Fa-f])")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


class _Writer(Protocol):
    def write(self, part: bytes, /) -> object: ...


class Base64Decoder:
    """Decodes the inside of a JSON string in parts: base64, perhaps with `data:…;base64,` before,
    line breaks in it, and slashes escaped as some encoders do. Raises `Invalid`."""

    def __init__(self, out: _Writer) -> None:
        self._out = out
        self._left = b""
        self._begun = self._ended = False

    def update(self, part: bytes) -> None:
        """The next part, as it stands between the quotes."""
        text = self._left + part
        # An escape that is not whole yet waits for its other half.
        half = _HALF.search(text)
        held = half[0] if half else b""
        text = text.removesuffix(held)
        if b"\\" in text:
            text = text.replace(b"\\/", b"/").replace(b"\\n", b"").replace(b"\\r", b"")
            # Gson and others write `=` so.
            text = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), text)
        text = text.translate(_URL_SAFE)
        if not self._begun:
            self._begun = True
            if text.startswith(b"data:"):
                text = text.partition(b",")[2]
        text = b"".join(text.split())
        whole = len(text) // 4 * 4
        self._decode(text[:whole])
        self._left = text[whole:] + held

    def finish(self) -> None:
        """The closing quote was there."""
        # Without its padding it is read all the same.
        text, self._left = self._left, b""
        if text:
            self._decode(text + b"=" * (-len(text) % 4))

    def _decode(self, text: bytes) -> None:
        if not text:
            return
        if self._ended:
            raise _no_base64()
        try:
            self._out.write(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError) as error:
            raise _no_base64() from error
        self._ended = text.endswith(b"=")


class FileTaker:
    """Reads a JSON body in parts. What is no JSON is left to the parser of the remainder."""

    def __init__(self, begin: Callable[[], tuple[str, _Writer]], *, limit: int) -> None:
        """`begin`: a file begins; gives its token and where it goes. `limit`: bytes of the
        remainder."""
        self._begin = begin
        self._limit = limit
        self._rest = bytearray()
        #: The string at hand, None outside of one.
        self._string: bytearray | None = None
        self._escaped = False
        self._last = b""
        self._key = b""
        self._file: Base64Decoder | None = None

    def update(self, part: bytes) -> None:
        """The next part. Raises `Invalid`, `MalformedJson`."""
        at = 0
        while at < len(part):
            at = self._outside(part, at) if self._string is None else self._inside(part, at)
        if len(self._rest) + len(self._string or b"") > self._limit:
            raise Invalid(f"the body without its files exceeds {self._limit} bytes", field="body")

    def finish(self) -> bytes:
        """The body with tokens in the place of its files. Raises `MalformedJson`."""
        if self._string is not None:
            raise MalformedJson("the body is not JSON: a string does not end", field="body")
        return bytes(self._rest)

    def _outside(self, part: bytes, at: int) -> int:
        found = _OUTSIDE.search(part, at)
        end = found.end() if found else len(part)
        self._rest += part[at:end]
        if found:
            match found[0]:
                case b'"':
                    self._string = bytearray()
                case b":":
                    self._key = self._last
                case _:
                    self._key = b""
        return end

    def _inside(self, part: bytes, at: int) -> int:
        start = at
        if self._escaped:
            self._escaped = False
            at += 1
        found = _INSIDE.search(part, at)
        end = found.start() if found else len(part)
        if found and found[0] == b"\\":
            self._escaped = True
            end += 1
        self._take(part[start:end])
        if found and found[0] == b'"':
            self._close()
            return end + 1
        return end

    def _take(self, text: bytes) -> None:
        if self._file is not None:
            self._file.update(text)
            return
        string = self._string
        assert string is not None  # noqa: S101 - called inside of one only
        string += text
        if len(string) > _SHORT and self._key == _KEY:
            token, out = self._begin()
            self._file = Base64Decoder(out)
            self._file.update(bytes(string))
            self._string = bytearray(token.encode())

    def _close(self) -> None:
        if self._file is not None:
            self._file.finish()
            self._file = None
        self._last = bytes(self._string or b"")
        self._rest += self._last + b'"'
        self._string = None


def _no_base64() -> Invalid:
    return Invalid("file.data is not base64", field="file.data")
