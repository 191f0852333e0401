"""A sandbox, phones in it, and devices linked to them by the real library."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest_asyncio
from library_device import LibraryDevice
from linked import Link, Start

from sandbox.app import Sandbox
from sandbox.phone.phone import Phone

_numbers = itertools.count(4915200000001)


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.running() as running:
        yield running


@pytest_asyncio.fixture
async def alice(sandbox: Sandbox) -> Phone:
    return await sandbox.phones.add(str(next(_numbers)), "Alice")


@pytest_asyncio.fixture
async def bob(sandbox: Sandbox) -> Phone:
    return await sandbox.phones.add(str(next(_numbers)), "Bob")


@pytest_asyncio.fixture
async def start(sandbox: Sandbox) -> AsyncIterator[Start]:
    """Start a device process on a store file; it is not connected yet."""
    async with AsyncExitStack() as stack:

        async def begin(store: Path) -> LibraryDevice:
            return await stack.enter_async_context(LibraryDevice.of(store, sandbox.endpoints))

        yield begin


@pytest_asyncio.fixture
async def link(start: Start, tmp_path: Path) -> Link:
    """A connected device of a phone, paired by QR code."""

    async def pair(phone: Phone) -> LibraryDevice:
        device = await start(tmp_path / f"{phone.number}-{next(_numbers)}.db")
        await device.connect()
        await phone.scan((await device.event("QrShown"))["text"])
        await device.event("Connected")
        return device

    return pair
