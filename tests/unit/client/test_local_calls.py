"""The socket beside Ray's calls: what is answered, and when the caller is sent to Ray."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvloop

from cluster import local_calls
from cluster.domain.errors import NotOwner, WhatsAppRefused
from cluster.domain.message import Followed, OutboxState
from cluster.domain.pacing import Place
from cluster.local_calls import LocalCalls, NoWayError, local_socket, serve_local_calls
from cluster.stores.outbox import OutboxRow

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


async def _handle(name: str, arguments: dict[str, Any]) -> Any:
    match name:
        case "echo":
            await asyncio.sleep(arguments.get("after", 0))
            return arguments
        case "refuse":
            raise WhatsAppRefused("no", code=420)
        case "moved":
            raise NotOwner("gone", retry_after=1)
        case "hang":
            await asyncio.Event().wait()
    raise ZeroDivisionError


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """The front's loop and the sessions' are uvloop's, a client's may be asyncio's."""
    policy: asyncio.AbstractEventLoopPolicy = request.param()
    return policy


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[asyncio.Server]:
    made = await serve_local_calls(local_socket(tmp_path, host=3, session_id=7), _handle)
    assert made is not None
    yield made
    made.close()


@pytest_asyncio.fixture
async def calls(tmp_path: Path) -> AsyncIterator[LocalCalls]:
    made = LocalCalls(tmp_path)
    yield made
    await made.close()


async def test_answers_come_to_who_asked_in_any_order(
    server: asyncio.Server, calls: LocalCalls
) -> None:
    answers = await asyncio.gather(
        *(calls.call(3, n, "echo", after=0.001 * (20 - n), text="\ud800\x00ü") for n in range(20))
    )
    assert [one["session_id"] for one in answers] == list(range(20))
    assert answers[0]["text"] == "\ud800\x00ü"
    assert len(calls._connections) == 1


async def test_errors_are_those_of_the_session(server: asyncio.Server, calls: LocalCalls) -> None:
    with pytest.raises(WhatsAppRefused) as refused:
        await calls.call(3, 7, "refuse")
    assert refused.value.fields == {"code": 420}
    with pytest.raises(NotOwner):
        await calls.call(3, 7, "moved")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        await calls.call(3, 7, "what")
    assert (await calls.call(3, 7, "echo"))["session_id"] == 7


async def test_only_the_owner_of_the_files_gets_in(server: asyncio.Server, tmp_path: Path) -> None:
    path = local_socket(tmp_path, host=3, session_id=7)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    assert [one.name for one in path.parent.iterdir()] == ["host-3"]


async def test_without_a_process_there_is_no_way_and_it_is_not_asked_each_time(
    calls: LocalCalls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    connect = asyncio.open_unix_connection

    async def counted(path: Any) -> Any:
        tried.append(path)
        return await connect(path)

    monkeypatch.setattr(asyncio, "open_unix_connection", counted)
    # One that ended without a word leaves its socket.
    path = local_socket(tmp_path, host=3, session_id=7)
    path.parent.mkdir()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    for host in (3, 4):
        for _ in range(3):
            with pytest.raises(NoWayError):
                await calls.call(host, 7, "echo")
    assert len(tried) == 2
    monkeypatch.setattr(local_calls, "_REST", 0.0)
    calls._resting.clear()
    made = await serve_local_calls(path, _handle)
    assert made is not None
    assert await calls.call(3, 7, "echo")
    made.close()


async def test_a_process_that_ends_sends_who_waits_to_ray(
    tmp_path: Path, calls: LocalCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = local_socket(tmp_path, host=3, session_id=7)
    path.parent.mkdir()
    asked = asyncio.Event()
    writers = []

    async def ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readexactly(4)
        asked.set()

    server = await asyncio.start_unix_server(ends, path)
    waiting = asyncio.create_task(calls.call(3, 7, "echo"))
    await asked.wait()
    writers[0].close()
    with pytest.raises(NoWayError):
        await waiting
    server.close()
    # The next process with the session is found.
    made = await serve_local_calls(path, _handle)
    assert made is not None
    assert await calls.call(3, 7, "echo")
    made.close()


async def test_who_gives_up_leaves_nothing_behind(
    server: asyncio.Server, calls: LocalCalls
) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(calls.call(3, 7, "hang"), 0.05)
    (connection,) = calls._connections.values()
    assert connection._asked == {}
    assert await calls.call(3, 7, "echo")


async def test_a_process_that_reads_nothing_is_sent_no_more_than_a_bound(
    tmp_path: Path, calls: LocalCalls
) -> None:
    path = local_socket(tmp_path, host=3, session_id=7)
    path.parent.mkdir()
    stands_still = socket.socket(socket.AF_UNIX)
    stands_still.bind(str(path))
    stands_still.listen()
    waiting = []
    for _ in range(20):
        waiting.append(asyncio.create_task(calls.call(3, 7, "echo", text="x" * 200_000)))
        await asyncio.sleep(0.01)
    with pytest.raises(NoWayError):
        await waiting[-1]
    assert not waiting[0].done()
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    stands_still.close()


@pytest.mark.parametrize(
    "said", [b"\xff\xff\xff\xff", b"\0\0\0\2{}", b"\0\0\0\1x", b"\0\0\0\7[1,2,3]", b"\0"]
)
async def test_what_is_no_call_ends_that_connection_only(
    server: asyncio.Server, calls: LocalCalls, tmp_path: Path, said: bytes
) -> None:
    reader, writer = await asyncio.open_unix_connection(
        local_socket(tmp_path, host=3, session_id=7)
    )
    writer.write(said)
    writer.write_eof()
    async with asyncio.timeout(5):
        await reader.read()
    writer.close()
    assert await calls.call(3, 7, "echo")


async def test_a_folder_with_a_long_name_has_no_socket(tmp_path: Path) -> None:
    path = local_socket(tmp_path / ("x" * 100), host=3, session_id=7)
    assert await serve_local_calls(path, _handle) is None


def test_rows_and_answers_are_the_same_on_the_other_side() -> None:
    row = OutboxRow(
        seq=5,
        message_id="3EB0",
        chat="1@s.whatsapp.net",
        content={"kind": "text", "text": "ü"},
        state=OutboxState.ACCEPTED,
        attempts=1,
        error="",
        accepted_at=NOW,
        trace="00-x",
        account="2@s.whatsapp.net",
    )
    assert OutboxRow.of_json(row.to_json()) == row
    assert OutboxRow.of_json(row.to_json() | {"newer": 1}) == row
    for followed in (
        Followed(),
        Followed(sent_at=NOW),
        Followed(place=Place(ahead=3, seconds=1.5, limit="turn")),
    ):
        assert Followed.of_json(followed.to_json()) == followed
