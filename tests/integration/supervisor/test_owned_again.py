"""An owner that could not renew in time owns its session again, in the same process."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from pydantic import SecretStr

import actors.hosts.slot
import actors.session.session
from actors.hosts.host import Assigned, SessionHost
from actors.hosts.renewals import BatchedOwnership
from actors.process_identity import host_id
from cluster.domain.errors import Unavailable
from cluster.domain.session import SessionRecord
from cluster.settings import CheckpointSettings, LeaseSettings, Settings, WhatsAppSettings
from cluster.stores import Stores
from cluster.stores.database import Database
from cluster.stores.ownership import OwnershipStore, Renewal, Standing
from cluster.stores.sessions import SessionStore
from cluster.stores.workers import NodeReport

_KEYS = "test:" + base64.b64encode(bytes(32)).decode()


class Unlinked:
    """A client that never hears from WhatsApp: the library has tests of its own."""

    me = None
    engine_events = False
    gone = True
    open = closed = 0
    #: Whose connections are counted: hosts of tests before go on until their process ends.
    session_id = 0

    def __init__(self, store: Path, *_: Any) -> None:
        store.write_bytes(b"")
        self._of = store.parents[1].name
        self._closed = False

    async def connect(self) -> None:
        if self._of == str(Unlinked.session_id):
            assert Unlinked.open == 0, "two connections of one session"
            Unlinked.open += 1

    async def close(self) -> None:
        if not self._closed and self._of == str(Unlinked.session_id):
            Unlinked.open -= 1
            Unlinked.closed += 1
        self._closed = True

    async def drained(self) -> None:
        return


class Switch:
    """Whether the kernel would kill the process."""

    armed = False
    disarmed = 0
    longest = 0.0

    def arm(self, deadline: float) -> None:
        self.armed = True
        self.longest = max(self.longest, deadline - time.monotonic())

    def disarm(self) -> None:
        self.armed = False
        self.disarmed += 1


#: Of the test that runs now: exits, and the threads of its hosts.
_exits: list[int] = []
_threads: set[int | None] = set()


@pytest.fixture(autouse=True, scope="module")
def processes_end() -> None:
    """A host runs no further once its process has ended, as in life: not beside the tests that
    follow either, of whatever file."""
    exit_ = os._exit

    def ends(code: int) -> None:
        if threading.current_thread().name != "sessions-loop":
            exit_(code)
        if threading.get_ident() in _threads:
            _exits.append(code)
        threading.Event().wait()

    os._exit = ends  # type: ignore[assignment]


@pytest.fixture
def exits() -> list[int]:
    _exits.clear()
    return _exits


Hosting = Callable[..., SessionHost]


@pytest.fixture
def hosting(
    record: SessionRecord,
    store_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Hosting:
    """Start a host of the session, whose client hears nothing; takes a lease, settings of WhatsApp,
    and what `SessionHost` takes."""
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path))
    Unlinked.open = Unlinked.closed = 0
    Unlinked.session_id = record.id
    _threads.clear()

    def start(
        lease: LeaseSettings | None = None,
        whatsapp: WhatsAppSettings | None = None,
        assigned: Assigned | None = None,
        **more: Any,
    ) -> SessionHost:
        given: dict[str, Any] = {"lease": lease, "whatsapp": whatsapp}
        before = {one.ident for one in threading.enumerate()}
        host = SessionHost(
            assigned=assigned or Assigned(session_id=record.id),
            node="here",
            settings=Settings(
                stores=store_settings.stores,
                checkpoint=CheckpointSettings(keys=SecretStr(_KEYS)),
                **{name: part for name, part in given.items() if part is not None},
            ),
            client_factory=lambda _: cast(Any, Unlinked),
            # The kernel's would end the tests.
            **{"dead_man": Switch(), **more},
        )
        _threads.update({one.ident for one in threading.enumerate()} - before)
        return host

    return start


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while True:
            if holds():
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("alone", [True, False])
async def test_a_lease_that_was_not_renewed_in_time_costs_an_epoch_and_no_process(
    stores: Stores,
    record: SessionRecord,
    hosting: Hosting,
    exits: list[int],
    monkeypatch: pytest.MonkeyPatch,
    alone: bool,
) -> None:
    grace = False
    how = OwnershipStore if alone else BatchedOwnership
    renew = how.renew

    async def sometimes(
        self: Any, session_id: int, epoch: int, ttl: timedelta, away_for: timedelta
    ) -> Standing | Renewal | None:
        if grace and epoch == 1:
            raise Unavailable("PostgreSQL is unreachable")
        return await renew(self, session_id, epoch, ttl, away_for)

    monkeypatch.setattr(how, "renew", sometimes)
    assigned = Assigned(session_id=record.id)
    if not alone:
        shared = await stores.hosts.make("here", 4)
        await stores.hosts.assign({record.id: shared})
        assigned = Assigned(host=shared, capacity=4)
    lease = LeaseSettings(
        ttl_seconds=7.0, renew_seconds=0.2, fence_margin_seconds=5.0, kill_margin_seconds=0.2
    )
    switch = Switch()
    host = hosting(lease, dead_man=switch, assigned=assigned)

    def connected_under(epoch: int) -> bool:
        slot = host._slots.get(record.id)
        owned = slot is not None and slot.session is not None and slot.session.epoch == epoch
        return owned and Unlinked.open == 1

    await _until(lambda: connected_under(1))
    first = host._slots[record.id].running
    grace = True
    await _until(lambda: Unlinked.closed == 1)
    fenced_at = time.monotonic()
    await _until(lambda: connected_under(2))
    # Its own lease would have held for longer: nobody else is waited for.
    assert time.monotonic() - fenced_at < 4.0
    assert exits == []
    assert switch.armed
    # An event that waited for PostgreSQL all the while finds that its owner is none any more.
    before, switch.longest = switch.disarmed, 0.0
    await host.loop.call(lambda: first._fence("late"))
    assert switch.disarmed == before, "the switch is the new owner's"
    assert switch.longest < lease.ttl_seconds
    if not alone:
        # Who is to have it is the supervisor's to say.
        await stores.hosts.remove(assigned.host)
        await host.loop.call(host.wake)
        await _until(lambda: Unlinked.open == 0 and not host._slots)
        assert exits == []
        return
    assert (await stores.ownership.claim(record.id, "there", "holder", timedelta(1))).epoch == 3
    # A newer owner elsewhere: the process ends.
    await _until(lambda: bool(exits))
    assert Unlinked.open == 0


@pytest_asyncio.fixture
async def alone(stores: Stores) -> AsyncIterator[None]:
    """There is one node, on this host."""
    await stores.workers.replace([NodeReport(node="here", name="n", address="a", slots=9)])
    await stores.workers.report_alive("here", host_id())
    yield
    await stores.workers.replace([])


_AWAY = LeaseSettings(
    ttl_seconds=2.0,
    renew_seconds=0.2,
    fence_margin_seconds=0.8,
    kill_margin_seconds=0.2,
    grace_seconds=30.0,
)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("together", [False, True])
async def test_where_all_nodes_are_on_one_machine_it_stays_connected(
    stores: Stores,
    record: SessionRecord,
    hosting: Hosting,
    exits: list[int],
    monkeypatch: pytest.MonkeyPatch,
    together: bool,
) -> None:
    grace = False
    how = BatchedOwnership if together else OwnershipStore
    renew = how.renew

    async def sometimes(
        self: Any, session_id: int, epoch: int, ttl: timedelta, stays: timedelta
    ) -> Standing | Renewal | None:
        if grace:
            raise Unavailable("PostgreSQL is unreachable")
        return await renew(self, session_id, epoch, ttl, stays)

    monkeypatch.setattr(how, "renew", sometimes)
    assigned, asked = Assigned(session_id=record.id), []
    if together:
        shared = await stores.hosts.make("here", 4)
        await stores.hosts.assign({record.id: shared})
        assigned = Assigned(host=shared, capacity=4)

    async def moves(session_id: int, cut_off: bool, closed: int) -> bool:
        assert not closed, "it is connected"
        asked.append(session_id)
        return len(asked) > 1

    switch = Switch()
    host = hosting(_AWAY, dead_man=switch, assigned=assigned, move_away=moves)
    await _until(lambda: Unlinked.open == 1)
    session = host._slots[record.id].running
    claimed = session._owner.claimed
    assert claimed is not None
    await _until(lambda: claimed.keeper.held)
    grace = True
    # Whether it is the only one that does not reach it, too.
    await _until(lambda: claimed.keeper.staying and len(asked) > 0)
    assert not claimed.keeper.held
    assert Unlinked.closed == 0
    # It runs, and is killed as soon as ever when it does not.
    assert switch.longest < _AWAY.ttl_seconds
    grace = False
    await _until(lambda: claimed.keeper.held)
    assert session.epoch == 1
    assert (Unlinked.open, Unlinked.closed, exits) == (1, 0, [])
    # The only one that does not reach PostgreSQL is moved, and so lets go.
    grace = True
    await _until(lambda: Unlinked.closed == 1)


@asynccontextmanager
async def _another_process() -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """One of this machine, and its name as a holder."""
    code = (
        "from actors.process_identity import holder_id; print(holder_id(), flush=True);"
        "import time; time.sleep(60)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield process, (await process.stdout.readline()).decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.usefixtures("alone")
async def test_a_successor_on_the_machine_ends_who_does_not_let_go(
    stores: Stores, record: SessionRecord, hosting: Hosting
) -> None:
    """As a process that stands still, or that alone does not reach PostgreSQL."""
    async with _another_process() as (stuck, holder):
        claim = await stores.ownership.claim(record.id, "here", holder, _AWAY.ttl, _AWAY.grace)
        assert claim.alone
        began = time.monotonic()
        hosting(_AWAY)
        await _until(lambda: Unlinked.open == 1)
        assert _AWAY.ttl_seconds < time.monotonic() - began < _AWAY.grace.total_seconds()
        assert await asyncio.wait_for(stuck.wait(), 5) == -signal.SIGKILL


@pytest.mark.usefixtures("alone")
async def test_a_node_that_joins_ends_no_stay_before_it_has_said_where_it_is(
    stores: Stores, record: SessionRecord
) -> None:
    """One that was lost comes back, with a new row and no host yet."""
    ownership, holder = stores.ownership, f"{host_id()}/1/1"
    claim = await ownership.claim(record.id, "here", holder, _AWAY.ttl, _AWAY.grace)
    here, back = (
        NodeReport(node=node, name=node, address="a", slots=9) for node in ("here", "back")
    )

    async def renewed() -> bool:
        one = await ownership.renew(record.id, claim.epoch, _AWAY.ttl, _AWAY.grace)
        several = await ownership.renew_all({record.id: claim.epoch}, _AWAY.ttl, _AWAY.grace)
        assert one is not None
        assert one.alone == several[record.id].alone
        return one.alone

    assert claim.alone
    assert await renewed()
    await stores.workers.replace([here, back])
    assert await renewed()
    await stores.workers.report_alive("back", host_id())
    assert await renewed()
    await stores.workers.report_alive("back", "another-boot/pid:[1]")
    assert not await renewed()


@pytest.mark.usefixtures("alone")
async def test_another_process_on_the_machine_is_left_alone(
    stores: Stores, record: SessionRecord, hosting: Hosting
) -> None:
    """One that holds a session for an import, for as long as that may take."""
    async with _another_process() as (other, holder):
        await stores.ownership.claim(record.id, "", holder, 2 * _AWAY.ttl)
        began = time.monotonic()
        hosting(_AWAY)
        await _until(lambda: Unlinked.open == 1)
        assert time.monotonic() - began > 2 * _AWAY.ttl_seconds
        assert other.returncode is None


@pytest.mark.usefixtures("alone")
async def test_who_says_that_it_left_is_not_waited_for(
    stores: Stores, record: SessionRecord, hosting: Hosting
) -> None:
    lives = f"another-boot/pid:[1]/{os.getpid()}/1"
    first = await stores.ownership.claim(record.id, "here", lives, _AWAY.ttl, _AWAY.grace)
    await stores.db.run(
        "UPDATE ownership SET lease_ttl = '35 s' WHERE session_id = %(id)s", {"id": record.id}
    )
    began = time.monotonic()
    host = hosting(_AWAY)
    await _until(lambda: bool(host._slots) and host._slots[record.id].session is not None)
    await _until(lambda: host._slots[record.id].running.epoch == first.epoch + 1)
    assert Unlinked.open == 0
    await stores.ownership.left(record.id, first.epoch)
    await _until(lambda: Unlinked.open == 1)
    assert time.monotonic() - began < 30


async def test_a_client_that_was_closed_while_it_connected_ends_the_process(
    hosting: Hosting,
    exits: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def grace(
        self: OwnershipStore, session_id: int, epoch: int, ttl: timedelta, stays: timedelta
    ) -> Standing | Renewal | None:
        raise Unavailable("PostgreSQL is unreachable")

    monkeypatch.setattr(OwnershipStore, "renew", grace)
    monkeypatch.setattr(Unlinked, "gone", False)
    lease = LeaseSettings(
        ttl_seconds=4.0, renew_seconds=0.2, fence_margin_seconds=3.0, kill_margin_seconds=0.2
    )
    host = hosting(lease)
    await _until(lambda: bool(exits))
    assert host.describe()["epoch"] == 1


async def test_no_second_client_beside_one_that_may_still_connect(
    stores: Stores,
    record: SessionRecord,
    hosting: Hosting,
    exits: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Unlinked, "gone", False)
    host = hosting(whatsapp=WhatsAppSettings(connect_timeout_seconds=0.5))
    await _until(lambda: bool(exits))
    assert (Unlinked.open, Unlinked.closed) == (0, 1)
    assert host.describe()["epoch"] == 1
    # Whoever is next waits for the end of the process, or of its lease.
    claim = await stores.ownership.claim(record.id, "there", "holder", timedelta(1))
    assert claim.predecessor == "alive"
    assert not claim.handed_over


async def test_a_node_that_is_cut_off_asks_to_be_moved_until_somebody_does_it(
    hosting: Hosting,
    exits: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def grace(*_: Any) -> Any:
        raise Unavailable("PostgreSQL is unreachable")

    asked: list[tuple[bool, int]] = []

    async def move(session_id: int, cut_off: bool, closed: int) -> bool:
        assert Unlinked.open == 0
        asked.append((cut_off, closed))
        return len(asked) == 3

    monkeypatch.setattr(actors.hosts.slot, "_ASK", 0.2)
    lease = LeaseSettings(
        ttl_seconds=4.0, renew_seconds=0.2, fence_margin_seconds=3.0, kill_margin_seconds=0.2
    )
    host = hosting(lease, move_away=move)
    await _until(lambda: Unlinked.open == 1)
    monkeypatch.setattr(OwnershipStore, "renew", grace)
    monkeypatch.setattr(SessionStore, "get_by_id", grace)
    monkeypatch.setattr(Database, "ping", grace)
    # Whatever else is stuck: what it has left to do for the session is not waited for.
    monkeypatch.setattr(Unlinked, "drained", lambda _: asyncio.sleep(60))
    await _until(lambda: Unlinked.closed == 1)
    fenced_at = time.monotonic()
    await _until(lambda: bool(exits))
    assert time.monotonic() - fenced_at < 5.0
    assert asked == 3 * [(True, 1)]
    assert host.describe()["epoch"] == 1


async def test_a_disk_that_refuses_what_was_received_is_left_at_once(
    hosting: Hosting, exits: list[int]
) -> None:
    asked: list[bool] = []

    async def move(session_id: int, cut_off: bool, closed: int) -> bool:
        asked.append(cut_off)
        return True

    host = hosting(move_away=move)
    await _until(lambda: Unlinked.open == 1)
    device = host.session._owner.device
    assert device is not None
    spool = device.spool
    # Whoever looks sees room on the disk: the refusal alone is noticed.
    with io.FileIO("/dev/full", "a") as full:
        spool._file = full
        # As the library's own thread does.
        await asyncio.to_thread(spool.add, b"a message")
        refused_at = time.monotonic()
        await _until(lambda: Unlinked.closed == 1)
    assert time.monotonic() - refused_at < 2.0
    await _until(lambda: bool(exits))
    assert asked == [False]
