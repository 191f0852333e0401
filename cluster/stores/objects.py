"""S3: bytes by key. The MinIO SDK, in threads, with bounds."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import structlog
import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error
from urllib3.util.ssl_ import create_urllib3_context

from cluster.domain.errors import NotFound, Unavailable
from cluster.settings import StoreSettings
from cluster.telemetry.metrics.meter import METER

__all__ = ["ObjectStore", "tls_context"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Bytes read at a time, and of a part of a multipart upload (S3 takes none below 5 MiB).
_CHUNK = 256 << 10
_PART = 5 << 20
#: Of an object: a bucket that is not there says nothing of what it should hold.
_MISSING = {"NoSuchKey", "NoSuchObject"}


@lru_cache(1)
def tls_context() -> ssl.SSLContext:
    """Of all connections to S3 of this process, and of those forked from it: the system's
    certificates (or those of `SSL_CERT_FILE`) take 45 ms of processor time to read, which urllib3
    would spend on each connection."""
    context = create_urllib3_context()
    context.load_default_certs()
    return context


class ObjectStore:
    """One bucket. Any S3 server that the MinIO SDK speaks to."""

    def __init__(self, settings: StoreSettings) -> None:
        timeout = settings.store_timeout_seconds
        self._bucket = settings.s3_bucket
        self._client = Minio(
            settings.s3_endpoint,
            access_key=settings.s3_access_key.get_secret_value() or None,
            secret_key=settings.s3_secret_key.get_secret_value() or None,
            secure=settings.s3_secure,
            region=settings.s3_region,
            http_client=urllib3.PoolManager(
                num_pools=2,
                maxsize=8,
                timeout=urllib3.Timeout(connect=timeout, read=timeout * 2),
                retries=urllib3.Retry(total=2, backoff_factor=0.2, status_forcelist=[502, 503]),
                ssl_context=tls_context() if settings.s3_secure else None,
            ),
        )

    async def ensure_bucket(self) -> None:
        """Make the bucket unless it exists."""

        def ensure() -> None:
            if not self._client.bucket_exists(self._bucket):
                try:
                    self._client.make_bucket(self._bucket)
                except S3Error as error:
                    if error.code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                        raise

        await self._call(ensure)

    async def put(
        self, key: str, data: bytes, *, content_type: str = "application/octet-stream"
    ) -> None:
        """Store an object whole."""
        await self._call(
            lambda: self._client.put_object(
                self._bucket, key, io.BytesIO(data), len(data), content_type=content_type
            )
        )

    async def put_file(
        self, key: str, path: Path, *, content_type: str = "application/octet-stream"
    ) -> None:
        """Store a file; large ones in parts, so that memory stays flat."""
        await self._call(
            lambda: self._client.fput_object(
                self._bucket,
                key,
                str(path),
                content_type=content_type,
                part_size=_PART,
                # Each of several at a time would hold parts of its own.
                num_parallel_uploads=1,
            )
        )

    async def pour(self, key: str, sink: Callable[[bytes], object]) -> None:
        """Give an object to `sink` part by part, in a thread. Raises `NotFound`, and what `sink`
        raises."""

        def pour() -> None:
            response = self._client.get_object(self._bucket, key)
            try:
                for part in response.stream(_CHUNK):
                    sink(part)
            finally:
                response.close()
                response.release_conn()

        await self._call(pour)

    async def size(self, key: str) -> int | None:
        """Bytes of an object; None when there is none."""
        try:
            found = await self._call(lambda: self._client.stat_object(self._bucket, key))
        except NotFound:
            return None
        return int(found.size or 0)

    async def stream(self, key: str, *, offset: int = 0, length: int = 0) -> AsyncIterator[bytes]:
        """An object's bytes in parts, from `offset`, all of them without a `length`. Raises
        `NotFound` at the first part."""
        response = await self._call(
            lambda: self._client.get_object(self._bucket, key, offset=offset, length=length)
        )
        try:
            while part := await self._call(lambda: response.read(_CHUNK)):
                yield bytes(part)
        finally:
            response.close()
            response.release_conn()

    async def get(self, key: str) -> bytes:
        """Read an object whole. Raises `NotFound`."""

        def read() -> bytes:
            response = self._client.get_object(self._bucket, key)
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()

        return await self._call(read)

    async def delete(self, *keys: str) -> None:
        """Remove objects; none is missed."""

        def remove() -> None:
            wanted = [DeleteObject(key) for key in keys]
            problems = list(self._client.remove_objects(self._bucket, wanted))
            if problems:
                raise Unavailable(f"{len(problems)} objects were not deleted", retry_after=5)

        if keys:
            await self._call(remove)

    async def list(self, prefix: str) -> Sequence[str]:
        """Keys under a prefix."""
        return await self._call(
            lambda: [
                str(found.object_name)
                for found in self._client.list_objects(self._bucket, prefix, recursive=True)
            ]
        )

    async def ping(self) -> None:
        await self._call(lambda: self._client.bucket_exists(self._bucket))

    async def _call(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call)
        except S3Error as error:
            if error.code in _MISSING:
                raise NotFound("no such object") from error
            log.warning("objects.refused", code=error.code)
            METER.count("store_errors", "s3")
            raise Unavailable(f"the S3 server refused: {error.code}", retry_after=5) from error
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            log.warning("objects.unreachable", error=type(error).__name__)
            METER.count("store_errors", "s3")
            raise Unavailable("the S3 server is unreachable", retry_after=5) from error
