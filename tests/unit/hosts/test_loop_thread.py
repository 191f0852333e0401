"""A loop in a thread of its own: what ends in it is known to somebody."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

import actors.endless
from actors.loop_thread import CRASHED, LoopThread
from cluster.domain.errors import Conflict

_LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture(params=_LOOPS)
def loop_thread(request: pytest.FixtureRequest) -> LoopThread:
    new_loop: Callable[[], asyncio.AbstractEventLoop] = request.param
    return LoopThread("own-loop", new_loop())


async def test_a_call_runs_in_the_other_thread_and_answers_in_this_one(
    loop_thread: LoopThread,
) -> None:
    async def where() -> str:
        return threading.current_thread().name

    assert await loop_thread.call(where) == "own-loop"
    assert threading.current_thread().name != "own-loop"


async def test_an_error_is_the_callers(loop_thread: LoopThread) -> None:
    async def fails() -> None:
        raise Conflict("no", field="x")

    with pytest.raises(Conflict) as raised:
        await loop_thread.call(fails)
    assert raised.value.fields["field"] == "x"


async def test_so_is_one_before_there_is_a_coroutine(loop_thread: LoopThread) -> None:
    def fails() -> None:
        raise Conflict("no coroutine")

    with pytest.raises(Conflict):
        await loop_thread.call(fails)  # type: ignore[arg-type]


async def test_who_is_cancelled_while_he_waits_cancels_the_work(loop_thread: LoopThread) -> None:
    began, cancelled = threading.Event(), threading.Event()

    async def waits() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    calling = asyncio.create_task(loop_thread.call(waits))
    assert await asyncio.to_thread(began.wait, 10)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await asyncio.to_thread(cancelled.wait, 10)


async def test_kept_work_is_begun_again(
    loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actors.endless, "_FIRST", 0.01)
    tries, done = [0], threading.Event()

    async def fails_twice() -> None:
        tries[0] += 1
        if tries[0] < 3:
            raise ValueError(tries[0])
        done.set()

    loop_thread.keep("fails twice", fails_twice)
    assert await asyncio.to_thread(done.wait, 10)


async def test_what_a_process_lives_by_may_end_by_itself(loop_thread: LoopThread) -> None:
    stop = asyncio.Event()
    life = loop_thread.live_by(lambda: _until(stop), "test.crashed")
    loop_thread.call_soon(stop.set)
    await asyncio.wait_for(asyncio.wrap_future(life), 10)


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


_PROCESS = """
import asyncio, sys, threading
from actors.loop_thread import LoopThread

async def work():
    {work}

loop = LoopThread("own-loop")
{begin}
threading.Event().wait(30)
"""


@pytest.mark.parametrize(
    ("work", "begin", "logged"),
    [
        ("raise ValueError", "loop.live_by(work, 'test.crashed')", "test.crashed"),
        ("raise asyncio.CancelledError", "loop.live_by(work, 'test.crashed')", "test.crashed"),
        ("raise SystemExit(0)", "loop.live_by(work, 'test.crashed')", "test.crashed"),
        ("raise SystemExit(0)", "loop.keep('kept', work)", "loop.ended"),
        (
            "asyncio.get_running_loop().stop()",
            "asyncio.run(loop.call(work)); loop.call_soon(lambda: None)",
            "loop.ended",
        ),
    ],
)
def test_a_process_ends_with_what_it_lives_by(work: str, begin: str, logged: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _PROCESS.format(work=work, begin=begin)],
        env=os.environ | {"PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert ended.returncode == CRASHED
    assert logged in ended.stdout + ended.stderr


def test_there_is_no_other_thread_with_a_loop() -> None:
    words = ("run_coroutine_threadsafe", "run_forever", "run_until_complete")
    found = {
        str(path)
        for folder in ("actors", "api", "client", "cluster", "ops")
        for path in Path(folder).rglob("*.py")
        if any(word in path.read_text() for word in words)
    }
    assert found == {"actors/loop_thread.py"}
