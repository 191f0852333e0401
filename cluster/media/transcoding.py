"""Sound and video, by PyAV. Runs in the worker process."""

from __future__ import annotations

import array
import base64
from collections.abc import Iterator
from typing import Any

import av
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from cluster.media.pictures import jpeg_thumbnail
from cluster.media.refused import Refused

__all__ = ["audio", "video"]

#: Bars of a voice note's waveform, each 0 to 100 (WhatsApp's clients draw 64).
_BARS = 64
#: FFmpeg's names of what is read.
_FORMATS = (
    "mov,matroska,ogg,mp3,aac,amr,wav,w64,flac,caf,aiff,ac3,avi,asf,flv,mpeg,mpegts,mpegvideo,gif"
)
_WAVEFORM_RATE = 8000
_OPUS_RATE = 48000
_VIDEO_SIDE = 1280
#: Brands of pictures in the form of MP4 (ISO/IEC 23008-12, AVIF).
_PICTURE_BRANDS = {"avif", "heic", "heix", "mif1"}
_COVER = Disposition.attached_pic
#: Names of FFmpeg's demuxers -> types.
_SOUNDS = {
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "amr": "audio/amr",
    "mp4": "audio/mp4",
    "webm": "audio/webm",
}


def _opened(source: str) -> InputContainer:
    """Files only, and of formats that hold their own content: playlists (HLS, DASH, `ffconcat`,
    SDP) name other files and addresses."""
    return av.open(source, options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"})


def audio(source: str, target: str | None) -> dict[str, Any]:
    """Duration and waveform; with a `target` it becomes OGG with mono Opus there."""
    try:
        with _opened(source) as opened:
            if not opened.streams.audio:
                raise Refused("the file has no sound in it")
            stream = opened.streams.audio[0]
            is_voice = "ogg" in opened.format.name and stream.codec_context.name in {
                "opus",
                "libopus",
            }
            mimetype = "audio/ogg; codecs=opus" if is_voice else _sound_type(opened.format.name)
        facts = _listen(source) | {"mimetype": mimetype}
        if target is not None and not (is_voice and facts.pop("mono")):
            _to_opus(source, target)
            facts |= {"mimetype": "audio/ogg; codecs=opus", "converted": True}
    except FFmpegError as error:
        raise Refused("the file is no sound that can be decoded") from error
    facts.pop("mono", None)
    return facts


def video(source: str, target: str | None) -> dict[str, Any]:
    """Size, duration and thumbnail; with a `target` what is not H.264 in MP4 becomes that there."""
    try:
        with _opened(source) as opened:
            if _is_picture(opened):
                raise Refused("the file is a picture, no video")
            # The cover of a song is a picture of one frame.
            films = [s for s in opened.streams.video if not s.disposition & _COVER]
            if not films:
                raise Refused("the file has no video in it")
            stream = films[0]
            sounds = [s.codec_context.name for s in opened.streams.audio]
            good = (
                "mp4" in opened.format.name
                and stream.codec_context.name == "h264"
                and stream.codec_context.pix_fmt == "yuv420p"
                and set(sounds) <= {"aac"}
            )
            seconds = float(opened.duration or 0) / av.time_base
            facts: dict[str, Any] = {
                "width": stream.width,
                "height": stream.height,
                "seconds": round(seconds, 2),
                "mimetype": "video/mp4" if "mp4" in opened.format.name else "",
            }
            frame = next(iter(opened.decode(stream)), None)
            if frame is None:
                raise Refused("the video has no pictures in it")
            facts["thumbnail"] = jpeg_thumbnail(frame.to_image())
        if target is not None and not good:
            facts |= _to_h264(source, target) | {"mimetype": "video/mp4", "converted": True}
    except FFmpegError as error:
        raise Refused("the file is no video that can be decoded") from error
    return facts


def _is_picture(opened: InputContainer) -> bool:
    """Whether FFmpeg's demuxers of pictures opened it; those of films read HEIF and AVIF, too."""
    names = opened.format.name.split(",")
    brand = str(opened.metadata.get("major_brand", "")).strip().lower()
    return brand in _PICTURE_BRANDS or any(
        name.endswith("_pipe") or name == "image2" for name in names
    )


def _sound_type(form: str) -> str:
    """The type of sound in one of FFmpeg's forms; empty for others."""
    names = set(form.split(","))
    return next((kind for name, kind in _SOUNDS.items() if name in names), "")


def _samples(container: InputContainer, resampler: AudioResampler) -> Iterator[Any]:
    for frame in container.decode(audio=0):
        # Timestamps of broken files go backwards; the order is right all the same.
        frame.pts = None
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _listen(source: str) -> dict[str, Any]:
    """Seconds, waveform, and whether it is mono."""
    peaks: list[int] = []
    total = 0
    step = _WAVEFORM_RATE // 50
    left = array.array("h")
    with _opened(source) as opened:
        mono = opened.streams.audio[0].codec_context.channels == 1
        for frame in _samples(opened, AudioResampler("s16", "mono", _WAVEFORM_RATE)):
            left.frombytes(bytes(frame.planes[0])[: frame.samples * 2])
            total += frame.samples
            while len(left) >= step:
                peaks.append(max(map(abs, left[:step])))
                del left[:step]
    return {
        "seconds": round(total / _WAVEFORM_RATE, 2),
        "waveform": base64.b64encode(_bars(peaks)).decode(),
        "mono": mono,
    }


def _bars(peaks: list[int]) -> bytes:
    if not peaks:
        return bytes(_BARS)
    loudest = max(max(peaks), 1)
    bars = []
    for bar in range(_BARS):
        first = bar * len(peaks) // _BARS
        part = peaks[first : max(first + 1, (bar + 1) * len(peaks) // _BARS)]
        bars.append(round(100 * max(part) / loudest))
    return bytes(bars)


def _to_opus(source: str, target: str) -> None:
    with _opened(source) as opened, av.open(target, "w", format="ogg") as made:
        stream = made.add_stream("libopus", rate=_OPUS_RATE, options={"application": "voip"})
        stream.layout = "mono"
        stream.bit_rate = 32000
        for frame in _samples(opened, AudioResampler("s16", "mono", _OPUS_RATE)):
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))


def _to_h264(source: str, target: str) -> dict[str, Any]:
    """Returns the new size."""
    with (
        _opened(source) as opened,
        av.open(target, "w", format="mp4", options={"movflags": "+faststart"}) as made,
    ):
        pictures = opened.streams.video[0]
        pictures.thread_type = "AUTO"
        scale = min(1.0, _VIDEO_SIDE / max(pictures.width, pictures.height))
        # H.264 with 4:2:0 colours has even sides only.
        width = max(2, int(pictures.width * scale) // 2 * 2)
        height = max(2, int(pictures.height * scale) // 2 * 2)
        rate = pictures.average_rate or pictures.guessed_rate or 25
        shown = made.add_stream(
            "libx264", rate=min(rate, 60), options={"preset": "veryfast", "crf": "26"}
        )
        shown.width, shown.height, shown.pix_fmt = width, height, "yuv420p"
        heard = resampler = None
        if opened.streams.audio:
            heard = made.add_stream("aac", rate=44100)
            heard.layout, heard.bit_rate = "stereo", 128000
            resampler = AudioResampler("fltp", "stereo", 44100, frame_size=1024)
        wanted = [pictures, *opened.streams.audio[:1]]
        for packet in opened.demux(wanted):
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    made.mux(shown.encode(frame.reformat(width, height, "yuv420p")))
                elif isinstance(frame, av.AudioFrame) and heard and resampler:
                    frame.pts = None
                    for part in resampler.resample(frame):
                        made.mux(heard.encode(part))
        made.mux(shown.encode(None))
        if heard is not None and resampler is not None:
            for part in resampler.resample(None):
                made.mux(heard.encode(part))
            made.mux(heard.encode(None))
    return {"width": width, "height": height}
