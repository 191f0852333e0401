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
    def count(self) -> int:  # type: ignore[override] # what the ring calls so
        return len(self)

    def read(self, after: int) -> Iterator[tuple[int, bytes]]:
        yield from ((n + 1, self[n]) for n in range(after, len(self)))


class Client:
    """What emits its settings, over a device store that knows some of the records."""

    def __init__(self) -> None:
        #: Questions for keys, MACs that were asked for, and that were answered.
        self.now, self.asked, self.macs, self.answered = 0.0, 0, 0, 0
        self.keys = [KEY]
        self.records = Records()
        self.known: set[bytes] = set()
        self.emitted: list[Setting] = []
        self.seen = AppStateSeen(
            cast(Any, self.records), self._rows, self.emitted.append, clock=lambda: self.now
        )

    async def _rows(self, query: str) -> list[list[Any]]:
        if "sync_keys" in query:
            self.asked += 1
            limit = int(query.partition("LIMIT ")[2])
            return [[key.hex()] for key in self.keys[:limit]]
        self.macs += query.count("x'")
        found = [[mac.hex()] for mac in self.known if mac.hex() in query]
        self.answered += len(found)
        return found

    def written(self, record: bytes) -> None:
        index = SyncActionData.FromString(record).index
        self.known.add(hmac.digest(_index_key(KEY), index, hashlib.sha256))

    async def poll_for(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.3)):
            self.now += 0.3
            await self.seen.poll()


def label(name: str, index: bytes | None = None) -> bytes:
    said = SyncActionData(index=index or json.dumps(["label_edit", "7"]).encode())
    said.value.labelEditAction.name = name
    return bytes(said.SerializePartialToString())


async def test_a_record_is_emitted_when_its_mac_is_written_however_slow_the_machine_is() -> None:
    client = Client()
    client.records.append(label("slow"))
    await client.poll_for(100)
    assert not client.emitted
    # Seldom, after the first seconds: other clients' records wait here as long.
    assert client.asked < 45
    client.written(client.records[0])
    await client.poll_for(6)
    assert client.emitted == [LabelChanged(id="7", name="slow", color=0, deleted=False)]


async def test_records_of_others_are_forgotten() -> None:
    client = Client()
    client.records.append(label("not ours"))
    await client.poll_for(200)
    client.written(client.records[0])
    asked = client.asked
    await client.poll_for(60)
    assert not client.emitted
    assert client.asked == asked, "nothing is left to look at"


async def test_records_of_a_neighbour_cost_little_however_many_they_are() -> None:
    """The ring is the process's: one account's phone writes what every client there polls."""
    client = Client()
    for n in range(20):
        indexes = (json.dumps(["label_edit", f"{n}/{i}"]).encode() for i in range(500))
        client.records += [label("theirs", index) for index in indexes]
        await client.poll_for(0.3)
    # Not all that there ever were, at each poll: no more than wait, and those ever less often.
    assert client.macs < 50_000
    client.records.append(label("ours"))
    client.written(client.records[-1])
    await client.poll_for(0.3)
    assert client.emitted == [LabelChanged(id="7", name="ours", color=0, deleted=False)]


async def test_what_is_polled_seldom_is_emitted_before_what_came_after_it() -> None:
    client = Client()
    client.records.append(label("first"))
    await client.poll_for(100)
    client.records.append(label("second"))
    client.written(client.records[0])
    await client.poll_for(0.3)
    assert [one.name for one in client.emitted if isinstance(one, LabelChanged)] == [
        "first",
        "second",
    ]


async def test_a_phone_may_hand_out_many_keys() -> None:
    client = Client()
    client.keys = [KEY, *(n.to_bytes(32, "big") for n in range(5000))]
    client.records += [label("ours"), *(label(str(n), f"la{n}".encode()) for n in range(20))]
    client.written(client.records[0])
    await client.poll_for(0.3)
    assert len(client.emitted) == 1
    assert client.macs < 1000


async def test_what_an_account_has_is_not_read_as_a_whole() -> None:
    client = Client()
    client.known = {n.to_bytes(32, "big") for n in range(5000)}
    client.records.append(label("ours"))
    client.written(client.records[0])
    await client.poll_for(1)
    assert len(client.emitted) == 1
    assert client.answered == 1


async def test_what_is_no_index_ends_nothing() -> None:
    client = Client()
    client.records += [label("a", index) for index in (b"lla", b"[" * 1000, b"\xff\xff", b"7")]
    client.records += [b"\xff\xff\xff", label("good")]
    for record in client.records[:4] + client.records[5:]:
        client.written(record)
    await client.poll_for(1)
    assert [one.name for one in client.emitted if isinstance(one, LabelChanged)] == ["good"]
