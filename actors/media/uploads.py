"""Files of the object store, brought to WhatsApp's media servers through the library.

The library takes a whole file in memory (neonize `Upload`: a copy, the ciphertext, and the
ciphertext with its MAC, all in Go): the file itself is mapped from disk, and large ones go up one
at a time per process, so that the peak is one file's.
"""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import tempfile
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neonize._binder import gocode
from neonize.aioze.client import NewAClient
from neonize.exc import UploadError
from neonize.proto.Neonize_pb2 import UploadResponse, UploadReturnFunction
from neonize.utils.enum import MediaType

from cluster.stores.objects import ObjectStore

__all__ = ["Uploads", "upload_file"]

#: Bytes from which on a file is uploaded alone.
_LARGE = 4 << 20
#: Seconds for which an upload is good for further messages with the same file. WhatsApp keeps
#: attachments for weeks.
_GOOD_FOR = 6 * 3600.0
_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class _Done:
    at: float
    response: UploadResponse


class Uploads:
    """One per process. The same file in many messages is uploaded once."""

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects
        self._done: OrderedDict[tuple[str, int], _Done] = OrderedDict()
        self._alone = asyncio.Lock()

    async def upload(
        self,
        file: dict[str, Any],
        kind: MediaType,
        send: Callable[[Path], Awaitable[UploadResponse]],
    ) -> UploadResponse:
        """Upload the stored object `file["_object"]` with `send`, unless that was done lately.

        Raises `NotFound` when it is not stored any more, `Unavailable`, and what `send` raises.
        """
        name = (str(file["_object"]), int(kind.value))
        known = self._done.get(name)
        if known is not None and time.monotonic() - known.at < _GOOD_FOR:
            return known.response
        if int(file.get("_size") or 0) >= _LARGE:
            async with self._alone:
                return await self._upload(name, send)
        return await self._upload(name, send)

    async def _upload(
        self, name: tuple[str, int], send: Callable[[Path], Awaitable[UploadResponse]]
    ) -> UploadResponse:
        with tempfile.TemporaryDirectory(prefix="upload-") as folder:
            path = Path(folder) / "file"
            await self.objects.fetch(name[0], path)
            response = await send(path)
        self._done[name] = _Done(time.monotonic(), response)
        while len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        return response


async def upload_file(client: NewAClient, path: Path, kind: MediaType) -> UploadResponse:
    """`NewAClient.upload` for a file on disk, without reading it into Python's memory.
    Raises `UploadError`."""
    answer = await asyncio.to_thread(_upload_mapped, client.uuid, path, kind)
    done = UploadReturnFunction.FromString(answer)
    if done.Error:
        raise UploadError(done.Error)
    return done.UploadResponse


def _upload_mapped(uuid: bytes, path: Path, kind: MediaType) -> bytes:
    # A private mapping: ctypes wants writable memory to take an address of, nothing is written.
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        size = len(mapped)
        view = ctypes.c_char.from_buffer(mapped)
        try:
            address = ctypes.cast(ctypes.addressof(view), ctypes.c_char_p)
            return bytes(gocode.Upload(uuid, address, size, kind.value))
        finally:
            # The mapping cannot be closed while something points into it.
            del view
