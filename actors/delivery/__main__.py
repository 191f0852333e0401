"""A dispatcher as a process of its own: `python -m actors.delivery`. Ends cleanly on SIGTERM."""

from __future__ import annotations

import asyncio
import signal

from actors.delivery.dispatcher import Dispatcher
from cluster.settings import Settings
from cluster.stores import Stores


async def main() -> None:
    """Deliver until asked to end. Raises `Unavailable` without PostgreSQL at the start."""
    settings = Settings()
    stores = await Stores.open(settings, plan_once=True)
    try:
        dispatcher = Dispatcher(stores, settings)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, dispatcher.stop)
        await dispatcher.run()
    finally:
        await stores.close()


if __name__ == "__main__":
    asyncio.run(main())
