"""Which client a decrypted setting belongs to, however late that shows."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any, cast

from neonize.proto.waSyncAction.WAWebProtobufSyncAction_pb2 import SyncActionData

from actors.whatsapp.app_state_seen import AppStateSeen, Setting, _index_key
from actors.whatsapp.port import LabelChanged

KEY = b"k" * 32


class Records(list[bytes]):
    """As the ring: numbered from 1."""

    @property
    def count(self) -> int:
        return len(self)

    def read(self, after: int) -> Iterator[tuple[int, bytes]]:
        yield from ((n + 1, self[n]) for n in range(after, len(self)))


class Client:
    """What tells its settings, over a device store that knows some of the records."""

    def __init__(self) -> None:
        self.now, self.asked = 0.0, 0
        self.records = Records()
        self.known: set[bytes] = set()
        self.told: list[Setting] = []
        self.seen = AppStateSeen(
            cast(Any, self.records), self._rows, self.told.append, clock=lambda: self.now
        )

    async def _rows(self, query: str) -> list[list[Any]]:
        if "sync_keys" in query:
            self.asked += 1
            return [[KEY.hex()]]
        return [[mac.hex()] for mac in self.known]

    def written(self, record: bytes) -> None:
        index = SyncActionData.FromString(record).index
        self.known.add(hmac.digest(_index_key(KEY), index, hashlib.sha256))

    async def looks(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.3)):
            self.now += 0.3
            await self.seen.look()


def label(name: str, index: bytes | None = None) -> bytes:
    said = SyncActionData(index=index or json.dumps(["label_edit", "7"]).encode())
    said.value.labelEditAction.name = name
    return said.SerializePartialToString()


async def test_a_record_is_told_when_its_mac_is_written_however_slow_the_machine_is() -> None:
    client = Client()
    client.records.append(label("slow"))
    await client.looks(100)
    assert not client.told
    # Seldom, after the first seconds: other clients' records wait here as long.
    assert client.asked < 45
    client.written(client.records[0])
    await client.looks(6)
    assert client.told == [LabelChanged(id="7", name="slow", color=0, deleted=False)]


async def test_records_of_others_are_forgotten() -> None:
    client = Client()
    client.records.append(label("not ours"))
    await client.looks(200)
    client.written(client.records[0])
    asked = client.asked
    await client.looks(60)
    assert not client.told
    assert client.asked == asked, "nothing is left to look at"


async def test_what_is_no_index_ends_nothing() -> None:
    client = Client()
    client.records += [label("a", index) for index in (b"lla", b"[" * 1000, b"\xff\xff", b"7")]
    client.records += [b"\xff\xff\xff", label("good")]
    for record in client.records[:4] + client.records[5:]:
        client.written(record)
    await client.looks(1)
    assert [one.name for one in client.told if isinstance(one, LabelChanged)] == ["good"]
