"""Unpacks what a caller brought, `python -m actors.transfer.unpack`: a program of its own.

Everything here is a stranger's: an encrypted archive, a SQLite file, a folder's JSON. So it is
read in a process that has nothing in reach (`cluster.confined`) and holds no secret but the
archive's own. The job comes as JSON on standard input, the answer goes to standard output:
`{"me": …, "config": …}` or `{"refused": "why", "field": …}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import structlog

from actors.transfer.library_store import account_of, copy_device, make_empty
from cluster import confined
from cluster.domain.device_source import DeviceSource, SourceKind
from cluster.domain.errors import Invalid, Unavailable
from cluster.domain.session import Me

__all__ = ["Unpacked", "unpack"]

log = structlog.get_logger(__name__)

_BOUNDS = confined.Bounds(memory=1 << 30, file=(1 << 28) + (1 << 26), processor=20)
#: Seconds by the clock.
_SECONDS = 40.0
_MODULE = "actors.transfer.unpack"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unpacked:
    """What was brought, beside the store."""

    me: Me
    #: A session's configuration that an archive had; checked as what is posted.
    config: dict[str, Any] = field(default_factory=dict)


async def unpack(source: DeviceSource, folder: Path) -> tuple[Path, Unpacked]:
    """Make a store of the library's in `folder` of what was brought; returns where it is.

    Raises `Invalid` when it is not what it should be or takes more than it may, `Unavailable`.
    """
    store, brought = folder / "device.db", folder / "brought"
    await make_empty(store)
    if source.kind is SourceKind.BAILEYS:
        content = json.dumps(source.files).encode()
    else:
        content = source.data
    await asyncio.to_thread(brought.write_bytes, content)
    job = {
        "kind": source.kind.value,
        "folder": str(folder),
        "passphrase": source.passphrase,
        "key": source.key,
        "device": source.device,
    }
    answer = await _answer(job)
    await asyncio.to_thread(brought.unlink)
    if "refused" in answer:
        raise Invalid(str(answer["refused"]), field=answer.get("field") or "data")
    return store, Unpacked(me=Me(**answer["me"]), config=answer["config"])


async def _answer(job: dict[str, Any]) -> dict[str, Any]:
    try:
        return await confined.run(_MODULE, job, seconds=_SECONDS)
    except confined.TookTooLong as error:
        raise Invalid(f"what was brought was not read within {_SECONDS:g} s") from error
    except confined.BoundsExceeded as error:
        log.warning("transfer.unpacking_ended", kind=job["kind"], error=str(error))
        raise Invalid(
            "what was brought takes more time or memory than it may", field="data"
        ) from error
    except confined.ChildFailed as error:
        log.warning("transfer.not_unpacked", kind=job["kind"], error=str(error))
        raise Unavailable("what was brought could not be read", retry_after=5) from error


def main() -> int:
    job: dict[str, Any] = json.load(sys.stdin)
    # Where SQLite puts what it sorts.
    os.environ["SQLITE_TMPDIR"] = job["folder"]
    confined.confine(_BOUNDS, write=[Path(job["folder"])])
    try:
        answer = _read(job)
    except Invalid as error:
        answer = {"refused": error.detail, "field": error.fields.get("field")}
    except MemoryError:
        answer = {"refused": "what was brought takes more memory than it may", "field": "data"}
    json.dump(answer, sys.stdout)
    return 0


def _read(job: dict[str, Any]) -> dict[str, Any]:
    """Raises `Invalid`."""
    # Only here: the parent needs none of it.
    from pydantic import ValidationError

    from actors.transfer.archive import ArchiveLock, open_archive
    from actors.transfer.baileys import fill_from_baileys
    from cluster.domain.session_config import SessionConfig

    folder = Path(job["folder"])
    store, brought = folder / "device.db", folder / "brought"
    config: Any = None
    match SourceKind(job["kind"]):
        case SourceKind.BAILEYS:
            fill_from_baileys(store, json.loads(brought.read_bytes()))
        case SourceKind.WHATSMEOW:
            copy_device(brought, store, job["device"])
        case SourceKind.ARCHIVE:
            lock = ArchiveLock.of(job["passphrase"], job["key"])
            facts = open_archive(brought.read_bytes(), lock, folder / "image")
            copy_device(folder / "image", store, job["device"])
            config = facts.get("config")
    if config is not None:
        try:
            config = SessionConfig.model_validate(config).stored()
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(["config", *map(str, first["loc"])])[:200]
            raise Invalid(f"the archive's {place}: {first['msg']}", field="data") from error
    return {"me": asdict(account_of(store)), "config": config or {}}


if __name__ == "__main__":
    sys.exit(main())
