"""Frames come out whole, however the stream was torn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.wire.frames import HEADER, FrameError, FrameReader, frame


@given(st.lists(st.binary(max_size=50), max_size=6), st.integers(1, 20))
def test_frames_survive_any_cutting_of_the_stream(messages: list[bytes], step: int) -> None:
    stream = HEADER + b"".join(map(frame, messages))
    reader = FrameReader()
    read = [
        message
        for start in range(0, len(stream), step)
        for message in reader.feed(stream[start : start + step])
    ]
    assert read == messages
    assert reader.header == HEADER


def test_a_reader_without_header_begins_at_once() -> None:
    assert FrameReader(expect_header=False).feed(frame(b"a") + frame(b"")) == [b"a", b""]


@pytest.mark.parametrize("start", [b"GET ", b"WA\x06\x01", b"X"])
def test_another_protocol_is_refused_at_its_first_wrong_byte(start: bytes) -> None:
    with pytest.raises(FrameError):
        FrameReader().feed(start)


def test_a_message_too_long_for_its_length_is_refused() -> None:
    with pytest.raises(FrameError):
        frame(bytes(1 << 24))
