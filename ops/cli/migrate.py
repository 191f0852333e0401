"""`gateway migrate`."""

from __future__ import annotations

from cluster.domain.errors import GatewayError
from cluster.settings import StoreSettings
from cluster.stores.migrate import migrate as apply
from ops.cli.console import console, fail
from ops.cli.data_folder import DataOption
from ops.cli.local_stores import settings_here

__all__ = ["migrate"]


def migrate(data: DataOption = None) -> None:
    """Bring the database to this version's schema, as `up` and the head do when they start: before
    a rolling upgrade, and after an older dump was restored. Safe while the gateway runs."""
    settings_here(data)
    try:
        applied = apply(StoreSettings().database_url.get_secret_value())
    except GatewayError as error:
        fail(error.detail)
    console.print(f"[green]✓[/] the newest schema; {applied} migrations applied")
