"""Sets up structlog and the standard library's logging for a process, once."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import structlog
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from cluster.settings import LogSettings
from cluster.telemetry.logs.masking import Masker
from cluster.telemetry.request_id import REQUEST_ID
from cluster.telemetry.tracing import trace_id

__all__ = ["bind_process", "configure", "secrets_of", "set_levels"]

#: What every line of this process says: its part, and in a session's process whose it is.
_process: dict[str, Any] = {}
#: Libraries that bring handlers of their own; their lines are ours as well.
_OWN_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access")
#: Loud, and logged better by our own events.
_QUIET = ("httpx", "httpcore", "urllib3", "asyncio", "aiohttp.access")


def bind_process(**facts: Any) -> None:
    """Say these with every line from now on: `session`, `node`, `epoch`."""
    _process.update(facts)


def configure(settings: LogSettings, *, part: str, secrets: Iterator[str] = iter(())) -> None:
    """Log as `settings` say. `part`: which one this process is (`session`, `ingress` …);
    `secrets`: values that no line may hold."""
    masker = Masker(secrets)
    _process["part"] = part
    level = logging.getLevelName(settings.level)
    renderer: Any = (
        structlog.processors.JSONRenderer(default=str)
        if settings.format == "json"
        else structlog.processors.KeyValueRenderer(
            key_order=["timestamp", "level", "event"], drop_missing=True
        )
    )

    def with_process(_: Any, __: str, event: Any) -> Any:
        for name, value in _process.items():
            event.setdefault(name, value)
        if found := REQUEST_ID.get():
            event.setdefault("request_id", found)
        if found := trace_id():
            event.setdefault("trace_id", found)
        return event

    def masked(_: Any, __: str, event: Any) -> Any:
        return masker.event(event)

    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        with_process,
        masked,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # A line and its end in one write: other loggers write to the same stream.
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *shared,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    set_levels(level)
    for name in _OWN_HANDLERS:
        others = logging.getLogger(name)
        others.handlers.clear()
        others.propagate = True
    logging.setLogRecordFactory(_masking_records(masker))


def set_levels(level: int) -> None:
    """Of the loggers of the standard library."""
    logging.getLogger().setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def secrets_of(*groups: BaseSettings) -> Iterator[str]:
    """The secrets in these settings, and the parts of those that are lists or URLs."""
    for group in groups:
        for name in type(group).model_fields:
            value = getattr(group, name)
            if isinstance(value, SecretStr) and (text := value.get_secret_value()):
                yield text
                for key in text.split(","):
                    yield key.rpartition(":")[2] if "://" not in key else ""


def _masking_records(masker: Masker) -> Callable[..., logging.LogRecord]:
    """Records whose text is masked before any handler sees them: Ray's and Serve's loggers, the
    library's (neonize passes on what its Go part logs) and uvicorn's have handlers of their own."""

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = logging.LogRecord(*args, **kwargs)
        try:
            text = made.getMessage()
        except (TypeError, ValueError):
            # Whoever made it gave other arguments than its format takes; logged as it came.
            text = f"{made.msg} {made.args}"
        made.msg, made.args = masker.text(text), ()
        if made.exc_info and made.exc_info[0] is not None:
            # A formatter takes this rather than making it anew of the exception.
            made.exc_text = masker.text(
                "".join(traceback.format_exception(*made.exc_info))
            ).rstrip()
        return made

    return record
