"""Attachments looked at and converted, in the worker process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

import structlog

from cluster import confined
from cluster.domain.errors import Invalid, Unavailable
from cluster.settings import MediaSettings

__all__ = ["Kind", "Preparer"]

log = structlog.get_logger(__name__)

Kind = Literal["image", "square", "sticker", "thumbnail", "audio", "video", "page"]
#: Conversions at a time in one process: they are heavy, and what waits costs nothing.
_AT_ONCE = 2


class Preparer:
    """One per process and event loop."""

    def __init__(self, settings: MediaSettings) -> None:
        self._settings = settings
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def prepare(
        self,
        kind: Kind,
        source: Path,
        target: Path | None = None,
        *,
        field: str = "file",
        seconds: float | None = None,
    ) -> dict[str, Any]:
        """Facts about the file: `mimetype`, `width`, `height`, `seconds`, `thumbnail` and
        `waveform` (base64). With a `target` it is converted when it has to be: `converted` then is
        true. `seconds`: in place of the setting. Raises `Invalid` naming `field`, `Unavailable`
        when the worker failed."""
        limit = seconds or self._settings.convert_timeout_seconds
        job = {
            "do": kind,
            "source": str(source),
            "target": str(target) if target else "",
            "seconds": max(1, limit),
            # What is larger is not taken afterwards.
            "most": self._settings.max_bytes,
        }
        async with self._free:
            try:
                answer = await confined.run("cluster.media.worker", job, seconds=limit)
            except confined.TookTooLong as error:
                raise Invalid(
                    f"the file could not be converted within {limit:g} s", field=field
                ) from error
            except confined.BoundsExceeded as error:
                log.warning("media.worker_ended", kind=kind, error=str(error))
                raise Invalid(
                    "the file could not be decoded within its bounds", field=field
                ) from error
            except confined.ChildFailed as error:
                log.warning("media.worker_failed", kind=kind, error=str(error))
                raise Unavailable("the media worker failed", retry_after=2) from error
        if "refused" in answer:
            if "error" in answer:
                log.warning("media.decoder_failed", kind=kind, error=answer["error"])
            raise Invalid(str(answer["refused"]), field=field)
        return dict(answer["facts"])
