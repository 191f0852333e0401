"""A phone's Signal state, kept in the sandbox's store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.crypto.keys import KEY_SIZE
from sandbox.server.store import Store

__all__ = ["PhoneKeys"]


class PhoneKeys:
    """pyaileys' `SignalKeyStore` for one phone."""

    def __init__(self, store: Store, number: str) -> None:
        self._store = store
        self._number = number

    async def get(self, key_type: str, ids: list[str]) -> dict[str, Any]:
        found = self._store.signal(self._number, key_type, ids)
        if key_type != "pre-key":
            return dict(found)
        return {
            id: {"public": value[:KEY_SIZE], "private": value[KEY_SIZE:]}
            for id, value in found.items()
        }

    async def set(self, data: Mapping[str, Mapping[str, Any | None]]) -> None:
        for kind, values in data.items():
            for id, value in values.items():
                raw = value
                if isinstance(value, dict):
                    raw = value["public"] + value["private"]
                self._store.set_signal(self._number, kind, id, raw)

    async def clear(self) -> None:
        raise NotImplementedError("a phone never forgets its keys")
