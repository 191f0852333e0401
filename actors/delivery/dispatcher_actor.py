"""The Ray shell of a dispatcher: a detached, named actor. All work happens in its own loop."""

from __future__ import annotations

import asyncio

from actors.delivery.dispatcher import Dispatcher
from actors.loop_thread import LoopThread
from actors.retry import retry_until_available
from actors.zygote.options import become_control
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.telemetry.configure import configure_telemetry

__all__ = ["WebhookDispatcher"]

_UNREACHABLE_SECONDS = 1.0


class WebhookDispatcher:
    """One of the dispatchers. Its name is `webhook-dispatcher:<n>`."""

    def __init__(self, name: str, cert_file: str | None = None) -> None:
        """`cert_file`: see `become_control`."""
        become_control(cert_file)
        self._name = name
        self._dispatcher: Dispatcher | None = None
        self._stopped = False
        self._loop = LoopThread("dispatcher-loop")
        # Leases end by themselves; a fresh process goes on where this one was written down.
        self._life = self._loop.live_by(self._deliver, "dispatcher.crashed", name=name)

    def __repr__(self) -> str:
        if self._dispatcher is None:
            return f"WebhookDispatcher({self._name} waits for PostgreSQL)"
        busy, done = self._dispatcher.under_way, self._dispatcher.delivered
        return f"WebhookDispatcher({self._name} under_way={busy} delivered={done})"

    async def ready(self) -> bool:
        """Answers when the actor is up."""
        return True

    async def stop(self) -> None:
        """Finish what is under way and end; leases are given back."""
        self._stopped = True
        if self._dispatcher is None:
            # It has nothing under way, and begins nothing any more.
            return
        self._loop.call_soon(self._dispatcher.stop)
        await asyncio.shield(asyncio.wrap_future(self._life))

    async def _deliver(self) -> None:
        settings = Settings()
        configure_telemetry(settings, "webhooks", dispatcher=self._name)
        stores = await retry_until_available(
            lambda: Stores.open(settings, plan_once=True),
            "dispatcher.stores_unreachable",
            pauses=(_UNREACHABLE_SECONDS, _UNREACHABLE_SECONDS),
        )
        self._dispatcher = Dispatcher(stores, settings)
        if self._stopped:
            self._dispatcher.stop()
        await self._dispatcher.run()
        await stores.close()
