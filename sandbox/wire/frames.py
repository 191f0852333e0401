"""Frames: the websocket's bytes cut into messages (whatsmeow: socket/framesocket.go)."""

from __future__ import annotations

from typing import Final

from sandbox.wire import tokens

#: bytes a client sends once, before its first frame: `WA`, protocol 6, dictionary version
HEADER_SIZE: Final = 4
HEADER: Final = b"WA\x06\x03"
_HEADERS: Final = {HEADER[:-1] + bytes([version]) for version in tokens.BY_VERSION}
_LENGTH_SIZE = 3
_MAX_FRAME = 1 << 8 * _LENGTH_SIZE


class FrameError(ValueError):
    """The other side does not speak our framing."""


def frame(data: bytes) -> bytes:
    """Put the length (3 bytes, big endian) before a message.

    Raises:
        FrameError: the message is 16 MiB or longer.
    """
    if len(data) >= _MAX_FRAME:
        raise FrameError(f"{len(data)} bytes are too many for one frame")
    return len(data).to_bytes(_LENGTH_SIZE, "big") + data


class FrameReader:
    """Cuts a stream into frames, however it was torn; takes the client's header off first."""

    def __init__(self, *, expect_header: bool = True) -> None:
        #: the client's header once it has arrived; empty when none is expected
        self.header: bytes | None = None if expect_header else b""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes in, give the frames that are now complete (perhaps none).

        Raises:
            FrameError: the stream does not begin with the header of a client of our version.
        """
        self._buffer += data
        if self.header is None:
            start = bytes(self._buffer[:HEADER_SIZE])
            if not any(header.startswith(start) for header in _HEADERS):
                raise FrameError(f"unknown header {start.hex()}")
            if len(start) < HEADER_SIZE:
                return []
            self.header = start
            del self._buffer[:HEADER_SIZE]
        frames: list[bytes] = []
        while len(self._buffer) >= _LENGTH_SIZE:
            end = _LENGTH_SIZE + int.from_bytes(self._buffer[:_LENGTH_SIZE], "big")
            if len(self._buffer) < end:
                break
            frames.append(bytes(self._buffer[_LENGTH_SIZE:end]))
            del self._buffer[:end]
        return frames
