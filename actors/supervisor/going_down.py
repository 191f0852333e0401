"""Whether sessions, or the front, are going down, kept by Ray for as long as the cluster lives.

A supervisor that is started again while sessions are being stopped would start them again. A
replica of a front that is removed leaves no other that requests could go to.
"""

from __future__ import annotations

from typing import Any

from ray.experimental import internal_kv

__all__ = ["GoingDown"]


class GoingDown:
    """One word in the control store of Ray. Calls block."""

    def __init__(self, namespace: str, what: str = "sessions") -> None:
        self._key = f"going-down:{what}".encode()
        self._namespace = f"gateway:{namespace}".encode()
        self._kv: Any = internal_kv

    def get(self) -> bool:
        return bool(self._kv._internal_kv_exists(self._key, namespace=self._namespace))

    def set(self, going: bool) -> None:
        if going:
            self._kv._internal_kv_put(self._key, b"1", namespace=self._namespace)
        else:
            self._kv._internal_kv_del(self._key, namespace=self._namespace)
