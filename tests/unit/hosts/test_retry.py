"""What a store's absence holds up is tried again; everything else is the caller's at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from actors.retry import retry_until_available
from cluster.domain.errors import Conflict, GatewayError, NotOwner, TooSlow, Unavailable


class _Store:
    """Fails so often; keeps when it was asked."""

    def __init__(self, failures: int, error: Callable[[], Exception]) -> None:
        self._failures, self._error = failures, error
        self.asked: list[float] = []

    async def write(self) -> int:
        self.asked.append(asyncio.get_running_loop().time())
        if len(self.asked) <= self._failures:
            raise self._error()
        return len(self.asked)


@pytest.mark.parametrize("error", [Unavailable, TooSlow])
async def test_until_the_store_is_back(error: type[GatewayError]) -> None:
    store = _Store(4, lambda: error("away"))
    assert await retry_until_available(store.write, "t", pauses=(0.01, 0.03)) == 5
    between = [after - before for before, after in pairwise(store.asked)]
    # A loop's clock may be early by its resolution.
    assert all(
        waited > pause - 0.005
        for waited, pause in zip(between, (0.01, 0.02, 0.03, 0.03), strict=True)
    )


@pytest.mark.parametrize("error", [NotOwner, Conflict, ValueError])
async def test_nothing_else_is_tried_again(error: type[Exception]) -> None:
    store = _Store(1, lambda: error("no"))
    with pytest.raises(error):
        await retry_until_available(store.write, "t", pauses=(0.01, 0.01))
    assert len(store.asked) == 1


async def test_patience_has_an_end() -> None:
    store = _Store(1_000_000, lambda: Unavailable("away"))
    with pytest.raises(Unavailable):
        await retry_until_available(store.write, "t", pauses=(0.01, 0.01), patience=0.05)
    assert len(store.asked) > 1


async def test_who_is_notified_may_end_it() -> None:
    store = _Store(1_000_000, lambda: Unavailable("away"))
    notified: list[Unavailable] = []

    async def on_unavailable(error: Unavailable) -> None:
        notified.append(error)
        if len(notified) == 3:
            raise Conflict("enough")

    with pytest.raises(Conflict):
        await retry_until_available(
            store.write, "t", pauses=(0.0, 0.0), on_unavailable=on_unavailable
        )
    assert len(store.asked) == len(notified) == 3
