"""The sinks of the settings. In the log of deliveries they are `sink://<name>`: addresses and
passwords stay in the settings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from actors.delivery.sinks.backend import Backend
from actors.delivery.sinks.kafka import KafkaSink
from actors.delivery.sinks.nats_jetstream import NatsSink
from actors.delivery.sinks.rabbitmq import RabbitSink
from actors.delivery.sinks.redis_streams import RedisStreamSink
from actors.delivery.sinks.s3_batches import S3Sink
from actors.delivery.sinks.sink import BatchSink, Sink, SinkError, SinkRecord
from cluster.domain.outcome import Outcome
from cluster.settings import Settings

__all__ = ["Sinks"]

_SCHEME = "sink://"
#: A message system that is down holds events back; it does not turn them into dead letters.
_FOR_EVER = {"policy": "constant", "delaySeconds": 2, "attempts": 10**9}


class Sinks:
    """Opened on first use; belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._timeout = settings.webhooks.timeout_seconds
        self._makers = _makers(settings, self._timeout)
        self._opened: dict[str, Sink] = {}
        wanted = settings.sinks.events, settings.backend.events
        self._events = [[name.strip() for name in names.split(",")] for names in wanted]

    def hooks(self) -> list[dict[str, Any]]:
        """As webhooks of every session."""
        events, backend = self._events
        return [
            {"url": f"{_SCHEME}{name}", "events": backend}
            if name == "backend"
            else {"url": f"{_SCHEME}{name}", "events": events, "retries": _FOR_EVER}
            for name in self._makers
        ]

    @staticmethod
    def is_sink(url: str) -> bool:
        return url.startswith(_SCHEME)

    def batching(self, url: str) -> BatchSink | None:
        """The sink, when it takes batches and is known here."""
        name = url.removeprefix(_SCHEME)
        if not self.is_sink(url) or name not in self._makers:
            return None
        sink = self._sink(name)
        return sink if isinstance(sink, BatchSink) else None

    async def put(self, url: str, records: Sequence[SinkRecord]) -> Outcome:
        """Hand over once: one event, or a batch. Every failure is an `Outcome`."""
        started, error = time.perf_counter(), ""
        name = url.removeprefix(_SCHEME)
        try:
            if name not in self._makers:
                raise SinkError(f"this dispatcher has no settings for the sink {name}")
            sink = self._sink(name)
            async with asyncio.timeout(self._timeout):
                if isinstance(sink, BatchSink):
                    await sink.put_all(records)
                else:
                    for one in records:
                        await sink.put(one)
        except TimeoutError:
            error = f"{name}: no answer within {self._timeout:g} s"
        except ImportError as missing:
            error = f"{name}: its client library is not installed ({missing.name})"
        except SinkError as refused:
            error = str(refused)
        took = timedelta(seconds=time.perf_counter() - started)
        return Outcome(status=None, error=error, took=took)

    def _sink(self, name: str) -> Sink:
        if name not in self._opened:
            self._opened[name] = self._makers[name]()
        return self._opened[name]

    async def close(self) -> None:
        for sink in self._opened.values():
            await sink.close()
        self._opened.clear()


def _makers(settings: Settings, timeout: float) -> dict[str, Callable[[], Sink]]:
    sinks, found = settings.sinks, dict[str, Callable[[], Sink]]()
    if redis := sinks.redis_url.get_secret_value():
        found["redis"] = lambda: RedisStreamSink(
            redis, stream=sinks.redis_stream, length=sinks.redis_length, timeout=timeout
        )
    if nats := sinks.nats_url.get_secret_value():
        found["nats"] = lambda: NatsSink(
            nats, stream=sinks.nats_stream, prefix=sinks.nats_prefix, timeout=timeout
        )
    if rabbit := sinks.rabbitmq_url.get_secret_value():
        found["rabbitmq"] = lambda: RabbitSink(
            rabbit, exchange=sinks.rabbitmq_exchange, timeout=timeout
        )
    if sinks.kafka_servers:
        found["kafka"] = lambda: KafkaSink(sinks, timeout=timeout)
    if sinks.s3_bucket:
        found["s3"] = lambda: S3Sink(sinks, settings.stores)
    if settings.backend.url:
        found["backend"] = lambda: Backend(settings.backend)
    return found
