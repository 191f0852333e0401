"""S3: a session's events as objects of newline-delimited JSON.

An object is named by the events in it: `<prefix>/<session>/<day>/<first>-<last>.ndjson`. Where a
batch ends is written down before it is stored (`webhooks.batch_until`), and the session's place in
the log moves on afterwards; so whoever tries again, after a failure or a crash, writes the same
object, and a write that comes late changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from actors.delivery.sinks.sink import SinkError, SinkRecord
from cluster.domain.errors import GatewayError
from cluster.settings import SinkSettings, StoreSettings
from cluster.stores.objects import ObjectStore

__all__ = ["S3Sink"]


class S3Sink:
    """Stores batches: `most` events, or what there is `wait` after the first of them happened."""

    def __init__(self, settings: SinkSettings, stores: StoreSettings) -> None:
        """What `settings` leave open of the S3 server is that of `stores`."""
        own = {
            "s3_bucket": settings.s3_bucket,
            "s3_endpoint": settings.s3_endpoint,
            "s3_access_key": settings.s3_access_key,
            "s3_secret_key": settings.s3_secret_key,
            "s3_region": settings.s3_region,
            "s3_secure": settings.s3_secure,
        }
        given = own if settings.s3_endpoint else {"s3_bucket": settings.s3_bucket}
        self._objects = ObjectStore(stores.model_copy(update=given))
        self._prefix = settings.s3_prefix.strip("/")
        self._bucket_there = False
        self.most = settings.s3_batch
        self.wait = timedelta(seconds=settings.s3_batch_seconds)

    async def put(self, record: SinkRecord) -> None:
        await self.put_all([record])

    async def put_all(self, records: Sequence[SinkRecord]) -> None:
        """Store one session's events, in order, as one object. Raises `SinkError`."""
        first, last = records[0], records[-1]
        name = f"{first.seq:015}-{last.seq:015}.ndjson"
        parts = (first.session, first.happened_at.strftime("%Y-%m-%d"), name)
        key = "/".join((self._prefix, *parts) if self._prefix else parts)
        body = b"".join(one.body + b"\n" for one in records)
        try:
            if not self._bucket_there:
                await self._objects.ensure_bucket()
                self._bucket_there = True
            await self._objects.put(key, body, content_type="application/x-ndjson")
        except GatewayError as error:
            raise SinkError(f"S3: {error.detail}") from error

    async def close(self) -> None:
        """It keeps nothing open."""
