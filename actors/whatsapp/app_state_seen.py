"""What other devices of the account, and this one, set of labels and archived chats.

Records come out of the library without the account's name
(`actors.whatsapp.library.app_state_ring`), and a process may have several clients. A record is a
client's own when the MAC of its index, made with a sync key of the client's device store, is among
those that the library keeps there.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.protobuf.message import DecodeError
from neonize.proto.waSyncAction.WAWebProtobufSyncAction_pb2 import SyncActionData

from actors.whatsapp.jids import bare
from actors.whatsapp.library.app_state_ring import Ring
from actors.whatsapp.port import ChatArchived, ChatLabeled, LabelChanged
from cluster.domain.errors import Unavailable

__all__ = ["AppStateSeen", "setting_of"]

log = structlog.get_logger(__name__)

Setting = LabelChanged | ChatLabeled | ChatArchived
#: Asks the client's device store a query.
Rows = Callable[[str], Awaitable[list[list[Any]]]]

#: The library writes MACs down after the whole patch was decrypted: on a slow machine much later.
#: Seconds between two looks at a record; how long it counts as young, and between two looks at one
#: that does not; until it is nobody's here.
_LOOK_SECONDS, _YOUNG_SECONDS, _SELDOM_SECONDS, _NOBODYS_SECONDS = 0.3, 6.0, 5.0, 180.0
_MOST_COLORS = 32_767


class AppStateSeen:
    """Tells one client's settings, in order."""

    def __init__(
        self,
        ring: Ring,
        rows: Rows,
        tell: Callable[[Setting], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rows`: of the device store; `tell`: called on the loop that `watch` runs on."""
        self._ring = ring
        self._rows = rows
        self._tell = tell
        self._next = ring.count
        self._clock = clock
        #: Records that are nobody's so far, with when they were seen first.
        self._waiting: list[tuple[float, bytes]] = []
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Tell what there is."""
        async with self._looking:
            now = self._clock()
            if self._ring.count > self._next:
                for following, record in self._ring.read(self._next):
                    self._next = following
                    self._waiting.append((now, record))
            young = bool(self._waiting) and self._waiting[-1][0] > now - _YOUNG_SECONDS
            if self._waiting and (young or self._looked_at <= now - _SELDOM_SECONDS):
                self._looked_at = now
                self._waiting = await self._sorted_out(self._waiting)

    async def _sorted_out(self, waiting: list[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
        """Tell those that are this client's; gives those to look at again."""
        try:
            keys, known = await _secrets_of(self._rows)
        except Unavailable as error:
            log.debug("app_state.store_busy", error=error.detail)
            return waiting
        left = []
        for seen_at, record in waiting:
            data = SyncActionData()
            try:
                data.ParseFromString(record)
                if not any(hmac.digest(key, data.index, hashlib.sha256) in known for key in keys):
                    if seen_at > self._looked_at - _NOBODYS_SECONDS:
                        left.append((seen_at, record))
                elif (setting := setting_of(data)) is not None:
                    self._tell(setting)
            except (DecodeError, ValueError, RecursionError) as error:
                # The account's own phone, or who has its keys, wrote what is no index.
                log.warning("app_state.damaged_record", size=len(record), error=repr(error)[:200])
        return left


def setting_of(data: SyncActionData) -> Setting | None:
    """The setting of a decrypted record (whatsmeow, appstate.go, dispatchAppState); None when it is
    of no interest here."""
    index, value = json.loads(data.index), data.value
    match index:
        case ["label_edit", str(label)] if value.HasField("labelEditAction"):
            edit = value.labelEditAction
            color = min(max(0, edit.color), _MOST_COLORS)
            return LabelChanged(id=label, name=edit.name, color=color, deleted=edit.deleted)
        case ["label_jid", str(label), str(chat)] if value.HasField("labelAssociationAction"):
            labeled = value.labelAssociationAction.labeled
            return ChatLabeled(label=label, chat=bare(chat), labeled=labeled)
        case ["archive", str(chat)] if value.HasField("archiveChatAction"):
            return ChatArchived(
                chat=bare(chat),
                archived=value.archiveChatAction.archived,
                timestamp_ms=value.timestamp,
            )
    return None


async def _secrets_of(rows: Rows) -> tuple[list[bytes], set[bytes]]:
    """Keys for the MACs of indexes, and the MACs of all records that there are."""
    keys = await rows("SELECT hex(key_data) FROM whatsmeow_app_state_sync_keys")
    macs = await rows(
        "SELECT hex(index_mac) FROM whatsmeow_app_state_mutation_macs"
        " WHERE name IN ('regular', 'regular_low')"
    )
    return [_index_key(bytes.fromhex(key)) for (key,) in keys], {
        bytes.fromhex(mac) for (mac,) in macs
    }


def _index_key(sync_key: bytes) -> bytes:
    """whatsmeow, appstate/keys.go, expandAppStateKeys: the first 32 of 160 bytes."""
    info = b"WhatsApp Mutation Keys"
    return HKDF(algorithm=SHA256(), length=160, salt=None, info=info).derive(sync_key)[:32]
