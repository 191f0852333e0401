"""An account's app state collections, as the server keeps them: without any key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.crypto import media
from sandbox.crypto.appstate import AppStateError, Collection, external_blob
from sandbox.crypto.media import MediaType
from sandbox.server import notifications

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["add", "load", "upload_snapshot"]


def load(server: Server, number: str, name: str) -> Collection:
    """A collection as it is now; empty when nothing was ever set."""
    snapshot = server.store.collection(number, name)
    if snapshot is None:
        return Collection(name=name)
    return Collection.from_snapshot(name, snapshot)


async def add(server: Server, number: str, name: str, patch: bytes, *, by: int) -> bool:
    """Take a patch in and notify the other devices; False when it is malformed."""
    try:
        after, numbered = load(server, number, name).apply(patch)
    except AppStateError as error:
        server.journal.note("patch refused", number=number, collection=name, error=str(error))
        return False
    server.store.add_patch(number, name, after.version, numbered, after.snapshot())
    account = server.directory.account(number)
    await notifications.collection_changed(server, account, name, after.version, by=by)
    return True


def upload_snapshot(server: Server, collection: Collection) -> bytes:
    """Put a snapshot where a device can download it; gives the reference to it."""
    encrypted = media.encrypt(collection.snapshot(), MediaType.APP_STATE)
    path = f"/v/appstate-{encrypted.file_enc_sha256.hex()}"
    server.media.put(path, encrypted.blob)
    return external_blob(encrypted, direct_path=f"{path}?ccb=1")
