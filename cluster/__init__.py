"""What all processes of the gateway share; `connect` is the Python face of it.

from cluster import connect

gateway = connect()
sent = await gateway.session("alice").send_text("4915100002@c.us", "hello")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client import Gateway, SessionClient, connect

__all__ = ["Gateway", "SessionClient", "connect"]


def __getattr__(name: str) -> Any:
    # Lazy: an actor or a migration that needs one submodule must not pay for Ray and the stores.
    if name in __all__:
        import client

        return getattr(client, name)
    raise AttributeError(name)
