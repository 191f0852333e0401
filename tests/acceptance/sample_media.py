"""Small files of the kinds that people send, made here."""

from __future__ import annotations

import array
import io
import math
from functools import cache

import av
from PIL import Image

__all__ = ["photo", "sound", "video"]


@cache
def photo(kind: str, size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (20, 90, 200)).save(out, kind)
    return out.getvalue()


@cache
def sound(seconds: int) -> bytes:
    """Stereo PCM in WAV."""
    rate, out = 16000, io.BytesIO()
    with av.open(out, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=rate)
        stream.layout = "stereo"
        tone = [int(9000 * math.sin(2 * math.pi * 440 * n / rate)) for n in range(rate)]
        second = array.array("h", [value for value in tone for _ in range(2)]).tobytes()
        for _ in range(seconds):
            frame = av.AudioFrame(format="s16", layout="stereo", samples=rate)
            frame.sample_rate = rate
            frame.planes[0].update(second)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


@cache
def video(kind: str) -> bytes:
    """Two seconds of MPEG-4 with MP2 sound: nothing that WhatsApp shows as it is."""
    out = io.BytesIO()
    with av.open(out, "w", format=kind) as container:
        pictures = container.add_stream("mpeg4", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 160, 120, "yuv420p"
        heard = container.add_stream("mp2", rate=44100)
        heard.layout = "stereo"
        for number in range(50):
            picture = Image.new("RGB", (160, 120), (number * 5, 100, 50))
            container.mux(pictures.encode(av.VideoFrame.from_image(picture)))
        for _ in range(20):
            frame = av.AudioFrame(format="s16", layout="stereo", samples=1152)
            frame.sample_rate = 44100
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            container.mux(heard.encode(frame))
        container.mux(pictures.encode(None))
        container.mux(heard.encode(None))
    return out.getvalue()
