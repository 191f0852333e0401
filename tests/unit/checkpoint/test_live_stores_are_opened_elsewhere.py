"""Where the library runs, nothing else may open its database: see its `store_process.py`."""

from __future__ import annotations

import ast
import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import uvloop
from syntax_trees import tree_of

from actors.checkpoint.store_process import StoreProcess, StoreProcesses
from cluster.domain.errors import Unavailable
from ops.local.layout import ROOT

#: They open stores that no library has open: before the connection, or copies.
_AT_REST = {"actors/checkpoint/forget.py", "actors/transfer"}


def test_no_module_of_the_actors_opens_sqlite_but_stores_at_rest() -> None:
    found = set()
    for path in sorted((ROOT / "actors").rglob("*.py")):
        for node in ast.walk(tree_of(path)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if "sqlite3" in names:
                found.add(str(path.relative_to(ROOT)))
    assert {
        name for name in found if not any(name.startswith(known) for known in _AT_REST)
    } == set()
    assert found, "the test sees imports at all"


async def test_rows_of_a_store_in_use(tmp_path: Path) -> None:
    path, process = tmp_path / "device.db", StoreProcess()
    with closing(sqlite3.connect(path, isolation_level=None)) as live:
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("CREATE TABLE t (name TEXT, data BLOB)")
        live.execute("INSERT INTO t VALUES ('é', x'00ff')")
        try:
            assert await process.rows(path, "SELECT name, hex(data) FROM t") == [["é", "00FF"]]
            with pytest.raises(Unavailable):
                await process.rows(path, "DELETE FROM t RETURNING name")
            with pytest.raises(Unavailable):
                await process.rows(tmp_path / "none.db", "SELECT 1 FROM t")
        finally:
            await process.close()
        assert path.with_name("device.db-wal").exists(), "the log is the library's to clear"
        assert live.execute("SELECT count(*) FROM t").fetchone() == (1,)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_process_that_ended_for_want_of_work_is_replaced(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    path = tmp_path / "device.db"
    with closing(sqlite3.connect(path)) as store:
        store.execute("CREATE TABLE t (n INTEGER)")

    async def ask_twice() -> None:
        process = StoreProcess(idle=0.1)
        assert await process.rows(path, "SELECT 1") == [[1]]
        first = process._child
        assert first is not None
        await first.wait()
        for pause in (0.3, 0.0):
            await asyncio.sleep(pause)
            assert await process.rows(path, "SELECT 2") == [[2]]
        assert process._child is not first
        await process.close()

    # The default child watcher of asyncio serves loops of any thread (Python 3.8 and newer).
    loop = new_loop()
    try:
        loop.run_until_complete(ask_twice())
    finally:
        loop.close()


async def test_all_sessions_of_a_loop_share_a_few_processes(tmp_path: Path) -> None:
    stores = [tmp_path / f"{number}.db" for number in range(12)]
    for number, store in enumerate(stores):
        with closing(sqlite3.connect(store)) as made:
            made.execute("CREATE TABLE t AS SELECT ? AS n", (number,))
            made.commit()
    before = {child.pid for child in psutil.Process().children()}
    lent = [StoreProcesses.borrow() for _ in stores]
    found = await asyncio.gather(
        *(one.rows(store, "SELECT n FROM t") for one, store in zip(lent, stores, strict=True))
    )
    assert found == [[[number]] for number in range(12)]
    children = {child.pid for child in psutil.Process().children()} - before
    assert 1 <= len(children) <= 2
    for one in lent:
        await one.give_back()
    left = {child.pid for child in psutil.Process().children()} & children
    assert not left
    assert await lent[0].rows(stores[0], "SELECT n FROM t") == [[0]], "and they come back"
    await StoreProcesses.borrow().give_back()
