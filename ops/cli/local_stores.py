"""Commands for operators that work on the stores themselves, whether a gateway answers or not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cluster.domain.errors import GatewayError
from cluster.settings import Settings
from cluster.stores import Stores
from ops.cli.console import fail
from ops.cli.data_folder import DataOption, present_state
from ops.cli.run import gateway_environment, machine_environment
from ops.local.node_settings import MACHINE_SETTINGS
from ops.local.user_settings import UserSettings

__all__ = ["settings_here", "with_stores"]

T = TypeVar("T")


def settings_here(data: DataOption) -> None:
    """Take the settings of the gateway that is up on this machine; else those of the environment
    and of the machine's file."""
    # A node runs such commands itself, also before its Ray does: it has given them its settings.
    _, state = present_state(data, services="DATABASE_URL" not in os.environ)
    if state is not None and state.alive:
        os.environ.update(gateway_environment(state))
    elif data is not None:
        fail("no gateway is up")
    else:
        machine_environment()
    if not UserSettings.read().has_database:
        fail(f"no gateway is up here, and neither {MACHINE_SETTINGS} nor DATABASE_URL names one")


def with_stores(data: DataOption, work: Callable[[Stores], Awaitable[T]]) -> T:
    """Run `work` on the stores of the gateway that `settings_here` finds."""
    settings_here(data)

    async def run() -> T:
        stores = await Stores.open(Settings())
        try:
            return await work(stores)
        finally:
            await stores.close()

    try:
        return asyncio.run(run())
    except GatewayError as error:
        fail(error.detail)
