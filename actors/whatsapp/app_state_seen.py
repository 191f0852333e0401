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
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import structlog
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.protobuf.message import DecodeError
from neonize.proto.waSyncAction.WAWebProtobufSyncAction_pb2 import SyncActionData

from actors.ticks import until_tick
from actors.whatsapp.library.app_state_ring import Ring
from actors.whatsapp.port import ChatArchived, ChatLabeled, LabelChanged
from cluster.domain.errors import Unavailable
from cluster.domain.jid import bare_jid

__all__ = ["AppStateSeen", "setting_of"]

log = structlog.get_logger(__name__)

Setting = LabelChanged | ChatLabeled | ChatArchived
#: Asks the client's device store a query.
Rows = Callable[[str], Awaitable[list[list[Any]]]]

#: The library writes MACs down after the whole patch was decrypted: on a slow machine much later.
#: Seconds between two polls of a record, at first and in the end, and until it is nobody's here;
#: and of the ring while no record waits.
_POLL_SECONDS, _SELDOM_SECONDS, _NOBODYS_SECONDS = 0.3, 5.0, 180.0
_IDLE_SECONDS = 1.0
#: Records that wait at most (two of the library's rings: whose they are, all clients of a process
#: ask, so one account must not fill the others' time), sync keys of an account (the newest), and
#: MACs in one question.
_MOST_WAITING, _MOST_KEYS, _MOST_ASKED = 2048, 32, 8192
_MOST_COLORS = 32_767


@dataclass(slots=True)
class _Waiting:
    """A record that is nobody's so far."""

    seen_at: float
    #: When it is looked at next.
    due_at: float
    record: bytes
    data: SyncActionData
    #: Its index's MACs, by the keys that there were.
    keys: tuple[bytes, ...] = ()
    macs: list[bytes] = field(default_factory=list)


class AppStateSeen:
    """Emits one client's settings, in order."""

    def __init__(
        self,
        ring: Ring,
        rows: Rows,
        emit: Callable[[Setting], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rows`: of the device store; `emit`: called on the loop that `watch` runs on."""
        self._ring = ring
        self._rows = rows
        self._emit = emit
        self._next = ring.count
        self._clock = clock
        self._waiting: deque[_Waiting] = deque(maxlen=_MOST_WAITING)
        self._polling = asyncio.Lock()

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(_POLL_SECONDS if self._waiting else until_tick(_IDLE_SECONDS))
            await self.poll()

    async def poll(self) -> None:
        """Emit what there is."""
        async with self._polling:
            now = self._clock()
            if self._ring.count > self._next:
                for following, record in self._ring.read(self._next):
                    self._next = following
                    self._waits(now, record)
            if due := [one for one in self._waiting if one.due_at <= now]:
                await self._sort_out(due, now)

    def _waits(self, now: float, record: bytes) -> None:
        data = SyncActionData()
        try:
            data.ParseFromString(record)
        except DecodeError as error:
            _damaged(record, error)
            return
        if len(self._waiting) == _MOST_WAITING:
            log.warning("app_state.too_many_records", most=_MOST_WAITING)
        self._waiting.append(_Waiting(now, now, record, data))

    async def _sort_out(self, due: list[_Waiting], now: float) -> None:
        """Emit those that are this client's; the others are looked at again, ever less often."""
        try:
            keys = await _keys_of(self._rows)
            # So many that the loop, which other sessions share, would feel it.
            await asyncio.to_thread(_sign, due, keys)
            if known := await _known_of(self._rows, due):
                # Those before them, too: settings are emitted in their order.
                others = [one for one in self._waiting if one.due_at > now]
                known |= await _known_of(self._rows, others)
        except Unavailable as error:
            log.debug("app_state.store_busy", error=error.detail)
            return
        for one in due:
            one.due_at = now + min(max(now - one.seen_at, _POLL_SECONDS), _SELDOM_SECONDS)
        waiting, self._waiting = self._waiting, deque(maxlen=_MOST_WAITING)
        for one in waiting:
            if known.isdisjoint(one.macs):
                if one.seen_at > now - _NOBODYS_SECONDS:
                    self._waiting.append(one)
                continue
            try:
                if (setting := setting_of(one.data)) is not None:
                    self._emit(setting)
            except (ValueError, RecursionError) as error:
                _damaged(one.record, error)


def _damaged(record: bytes, error: Exception) -> None:
    """The account's own phone, or who has its keys, wrote what is no index."""
    log.warning("app_state.damaged_record", size=len(record), error=repr(error)[:200])


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
            return ChatLabeled(label=label, chat=bare_jid(chat), labeled=labeled)
        case ["archive", str(chat)] if value.HasField("archiveChatAction"):
            return ChatArchived(
                chat=bare_jid(chat),
                archived=value.archiveChatAction.archived,
                timestamp_ms=value.timestamp,
            )
    return None


async def _keys_of(rows: Rows) -> tuple[bytes, ...]:
    """Keys for the MACs of indexes: a phone may hand out as many as it likes."""
    query = "SELECT hex(key_data) FROM whatsmeow_app_state_sync_keys ORDER BY timestamp DESC LIMIT "
    found = await rows(query + str(_MOST_KEYS))
    return tuple(bytes.fromhex(key) for (key,) in found)


def _sign(waiting: list[_Waiting], keys: tuple[bytes, ...]) -> None:
    for one in waiting:
        if one.keys != keys:
            index = one.data.index
            macs = [hmac.digest(_index_key(key), index, hashlib.sha256) for key in keys]
            one.keys, one.macs = keys, macs


_KNOWN = (
    "SELECT DISTINCT hex(index_mac) FROM whatsmeow_app_state_mutation_macs"
    " WHERE name IN ('regular', 'regular_low') AND index_mac IN "
)


async def _known_of(rows: Rows, waiting: list[_Waiting]) -> set[bytes]:
    """Those of the records' MACs that the library keeps: never all that it keeps, which are as
    many as the account has settings."""
    asked = list({mac for one in waiting for mac in one.macs})
    known: set[bytes] = set()
    for first in range(0, len(asked), _MOST_ASKED):
        listed = ",".join(f"x'{mac.hex()}'" for mac in asked[first : first + _MOST_ASKED])
        found = await rows(_KNOWN + f"({listed})")
        known |= {bytes.fromhex(mac) for (mac,) in found}
    return known


@lru_cache(maxsize=4096)
def _index_key(sync_key: bytes) -> bytes:
    """whatsmeow, appstate/keys.go, expandAppStateKeys: the first 32 of 160 bytes."""
    info = b"WhatsApp Mutation Keys"
    return HKDF(algorithm=SHA256(), length=160, salt=None, info=info).derive(sync_key)[:32]
