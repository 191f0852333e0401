"""A process that takes its commands as lines of JSON, and answers with such lines."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

__all__ = ["ForeignError", "LineProcess", "NoFunction", "serve", "write_line"]

_keys = itertools.count(1)
#: What a driver answers when its client has nothing for a verb.
_NO_FUNCTION = "no function"
#: Bytes of a line.
_LONGEST = 1 << 24


class ForeignError(RuntimeError):
    """The client could not do it: its own words."""


class NoFunction(ForeignError):
    """The client does not offer that."""

    def __init__(self, *_: object) -> None:
        super().__init__(_NO_FUNCTION)


class LineProcess:
    """The parent's side."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._changed = asyncio.Condition()
        self.events: list[dict[str, Any]] = []
        self._reader = asyncio.create_task(self._read())

    @classmethod
    @asynccontextmanager
    async def running(
        cls, command: Sequence[str], log: Path, **environment: str
    ) -> AsyncIterator[Self]:
        """A started one, ended afterwards. What it says on stderr is in `log`."""
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **environment},
                limit=_LONGEST,
            )
        device = cls(process)
        try:
            yield device
        finally:
            await device.kill()

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def do(self, verb: str, *values: Any, seconds: float = 30) -> Any:
        """Have it do something. Raises `ForeignError`."""
        number = next(_keys)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        line = json.dumps({"number": number, "verb": verb, "values": values})
        self._process.stdin.write(line.encode() + b"\n")
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise ForeignError(f"no answer within {seconds:g} s: {verb}") from None

    async def event(self, name: str, seconds: float = 30, **facts: Any) -> dict[str, Any]:
        """The next event of that name with these facts; consumes it. Raises `ForeignError`."""
        wanted = {"event": name} | facts
        try:
            async with asyncio.timeout(seconds), self._changed:
                while True:
                    for one in self.events:
                        if wanted.items() <= one.items():
                            self.events.remove(one)
                            return one
                    await self._changed.wait()
        except TimeoutError:
            raise ForeignError(f"no event within {seconds:g} s: {wanted}") from None

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if not line.startswith(b"{"):
                continue  # some print for people
            record = json.loads(line)
            if "number" in record:
                answer = self._answers.pop(record["number"], None)
                if answer is None or answer.done():
                    continue
                if record.get("error") == _NO_FUNCTION:
                    answer.set_exception(NoFunction())
                elif "error" in record:
                    answer.set_exception(ForeignError(record["error"]))
                else:
                    answer.set_result(record["value"])
            else:
                async with self._changed:
                    self.events.append(record)
                    self._changed.notify_all()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ForeignError("the client's process ended"))


_lines = None


def write_line(**record: Any) -> None:
    """The child's side: a line to the parent. What else is printed is for people."""
    global _lines
    if _lines is None:
        _lines = os.fdopen(os.dup(1), "w", buffering=1)
    _lines.write(json.dumps(record, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.model_dump() if hasattr(value, "model_dump") else str(value)


async def serve(perform: Callable[..., Awaitable[Any]]) -> None:
    """The child's side: `perform(verb, *values)` for each line, side by side; `NoFunction` where it
    has none. Returns at the end of the lines."""

    async def answer(number: int, verb: str, values: list[Any]) -> None:
        try:
            write_line(number=number, value=await perform(verb, *values))
        except NoFunction:
            write_line(number=number, error=_NO_FUNCTION)
        except Exception as error:  # noqa: BLE001 - reported to the parent
            write_line(number=number, error=f"{type(error).__name__}: {error}")

    reader = asyncio.StreamReader(limit=_LONGEST)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    work = set()
    while line := await reader.readline():
        task = asyncio.create_task(answer(**json.loads(line)))
        work.add(task)
        task.add_done_callback(work.discard)
