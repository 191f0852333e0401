"""Sound and film are what they are, whatever their sender calls them."""

from __future__ import annotations

import base64
from pathlib import Path

import av
import pytest
from PIL import Image

from client.workshop import _decoded
from cluster.media.pictures import image
from cluster.media.refused import Refused
from cluster.media.transcoding import audio, video


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "AVIF"])
def test_a_picture_is_no_video(tmp_path: Path, form: str) -> None:
    path = tmp_path / "x"
    Image.new("RGB", (64, 64), "teal").save(path, form)
    with pytest.raises(Refused):
        video(str(path), None)


def _song(path: Path) -> None:
    with av.open(str(path), "w", format="mp3") as made:
        stream = made.add_stream("libmp3lame", rate=44100)
        frame = av.AudioFrame(format="s16p", layout="mono", samples=1152)
        frame.sample_rate = 44100
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        made.mux(stream.encode(frame))
        made.mux(stream.encode(None))


def test_sound_has_its_own_type(tmp_path: Path) -> None:
    path = tmp_path / "x"
    _song(path)
    assert audio(str(path), None)["mimetype"] == "audio/mpeg"
    with pytest.raises(Refused):
        video(str(path), None)


def test_colours_of_printers_become_those_of_screens(tmp_path: Path) -> None:
    source, target = tmp_path / "x", tmp_path / "y"
    Image.new("CMYK", (64, 64)).save(source, "JPEG")
    facts = image(str(source), str(target))
    assert (facts["mimetype"], facts["converted"]) == ("image/jpeg", True)
    assert Image.open(target).mode == "RGB"


@pytest.mark.parametrize("data", [b"", b"a", b"ab", b"abc", bytes(range(256)), b"\xff\xfe" * 99])
def test_base64_is_read_as_node_reads_it(data: bytes) -> None:
    for text in (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()):
        for form in (text, text.rstrip("="), f"data:a/b;base64,{text}", "\n".join(text)):
            assert _decoded(form) == data
