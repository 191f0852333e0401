"""Clients of the real library, for sessions of this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actors.session.serving import ClientFactory
from actors.whatsapp.port import EventSpool, WhatsAppClient
from actors.zygote import deferred
from cluster.settings import Settings
from cluster.stores.objects import ObjectStore

__all__ = ["neonize_factory"]


def neonize_factory(settings: Settings) -> ClientFactory:
    """Clients of the real library. Imported late: the import costs 18 MB and loads Go."""

    uploads: Any = None

    def make(store: Path, key: str, on_event: Any, spool: EventSpool) -> WhatsAppClient:
        nonlocal uploads
        from actors.media.uploads import Uploads
        from actors.whatsapp.neonize_client import NeonizeClient

        # In a forked process the library was only noted.
        deferred.load()
        uploads = uploads or Uploads(ObjectStore(settings.stores))
        return NeonizeClient(
            store=store,
            key=key,
            settings=settings.whatsapp,
            proxy_allow=settings.media.fetch_allow,
            on_event=on_event,
            uploads=uploads,
            spool=spool,
        )

    return make
