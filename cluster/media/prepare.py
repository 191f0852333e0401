"""Attachments looked at and converted, in the worker process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Literal

import structlog

from cluster.domain.errors import Invalid, Unavailable
from cluster.settings import MediaSettings

__all__ = ["Kind", "Preparer"]

log = structlog.get_logger(__name__)

Kind = Literal["image", "sticker", "thumbnail", "audio", "video", "page"]
#: Conversions at a time in one process: they are heavy, and what waits costs nothing.
_AT_ONCE = 2
_ROOT = Path(__file__).resolve().parents[2]


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
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "cluster.media.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                # No secrets for a process that reads strangers' files.
                env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(_ROOT)},
            )
            try:
                async with asyncio.timeout(limit):
                    out, _ = await process.communicate(json.dumps(job).encode())
            except TimeoutError as error:
                raise Invalid(
                    f"the file could not be converted within {limit:g} s", field=field
                ) from error
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if process.returncode != 0 or not out:
            log.warning("media.worker_failed", kind=kind, code=process.returncode)
            if process.returncode is not None and process.returncode < 0:
                raise Invalid("the file could not be decoded within its bounds", field=field)
            raise Unavailable("the media worker failed", retry_after=2)
        answer = json.loads(out)
        if "refused" in answer:
            raise Invalid(str(answer["refused"]), field=field)
        return dict(answer["facts"])
