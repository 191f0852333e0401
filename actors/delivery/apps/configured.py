"""From the address of an app (`app://chatwoot/<id>`) to what takes its events."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import structlog

from actors.delivery.apps.calls import reject
from actors.delivery.apps.chatwoot import ChatwootBridge, Files
from cluster.chatwoot.api import ChatwootConnections, ChatwootError
from cluster.domain.errors import GatewayError, NotFound
from cluster.domain.outcome import Outcome
from cluster.events.envelope import Event, EventSource
from cluster.settings import WebhookSettings
from cluster.stores import Stores
from cluster.stores.apps import AppRecord
from cluster.stores.webhooks import LeasedWebhook

__all__ = ["Apps"]

log = structlog.get_logger(__name__)

_SCHEME = "app://"


class Apps:
    """One per dispatcher; belongs to one event loop."""

    def __init__(self, stores: Stores, settings: WebhookSettings, files: Files) -> None:
        self._stores = stores
        self._settings = settings
        self._inside = ChatwootConnections(timeout=settings.timeout_seconds, allow=settings.allow)
        self._outside = ChatwootConnections(timeout=settings.timeout_seconds, allow="")
        self._files = files

    @staticmethod
    def is_app(url: str) -> bool:
        return url.startswith(_SCHEME)

    async def put(
        self, hook: LeasedWebhook, url: str, event: Event, source: EventSource
    ) -> Outcome:
        """Hand over once. Every failure is an `Outcome`."""
        started, error = time.perf_counter(), ""
        status: int | None = None
        wish: timedelta | None = None
        try:
            app = await self._stores.apps.get(hook.tenant, url.rpartition("/")[2])
            if app.session_id == hook.session_id:
                async with asyncio.timeout(self._settings.timeout_seconds):
                    await self._put(app, event, source)
        except NotFound:
            # Deleted a moment ago: nobody waits for it.
            log.info("app.gone", url=url)
        except TimeoutError:
            error = f"not done within {self._settings.timeout_seconds:g} s"
        except ChatwootError as refused:
            error, status, wish = str(refused), refused.status, refused.retry_after
        except GatewayError as refused:
            error = refused.detail
        except (KeyError, TypeError, ValueError) as strange:
            error = f"Chatwoot answered what was not understood: {strange!r}"
        took = timedelta(seconds=time.perf_counter() - started)
        return Outcome(status=status, error=error, took=took, retry_after=wish)

    async def _put(self, app: AppRecord, event: Event, source: EventSource) -> None:
        if app.app == "calls":
            await reject(app, self._files, event, source)
            return
        inside = self._settings.allowed_to(app.tenant)
        connections = self._inside if inside else self._outside
        await ChatwootBridge(self._stores, connections, app, self._files).put(event, source)

    async def close(self) -> None:
        await self._inside.close()
        await self._outside.close()
