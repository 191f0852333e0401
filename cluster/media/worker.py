"""Looks at one attachment or page, and converts it: a program of its own,
`python -m cluster.media.worker`.

Files come from strangers and decoders have bugs, so they run in a process that can be killed, with
nothing in reach (`cluster.confined`). The job comes as JSON on standard input, the answer goes to
standard output: `{"facts": …}` or `{"refused": "why"}`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.confined import Bounds, confine

__all__: list[str] = []

_MEMORY = 3 << 30


def main() -> int:
    job: dict[str, Any] = json.load(sys.stdin)
    target = job.get("target") or None
    confine(
        Bounds(memory=_MEMORY, file=int(job["most"]), processor=int(job["seconds"])),
        read=[Path(job["source"])],
        write=[Path(target).parent] if target else [],
    )
    # What decoders say of broken files is no answer of ours.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    from cluster.media.refused import Refused

    try:
        facts = _work(job["do"])(job["source"], target)
    except Refused as error:
        json.dump({"refused": str(error)}, answers)
    except Exception as error:  # noqa: BLE001
        # Decoders raise anything, and memory has its bound: with this file it would be so again.
        json.dump({"refused": "the file could not be decoded", "error": repr(error)[:500]}, answers)
    else:
        json.dump({"facts": facts}, answers)
    answers.close()
    return 0


def _work(kind: str) -> Callable[[str, str | None], dict[str, Any]]:
    """Loads what that takes, and no other decoder."""
    if kind == "page":
        from cluster.media.pages import page

        return page
    if kind in {"audio", "video"}:
        from cluster.media import transcoding as moving

        return {"audio": moving.audio, "video": moving.video}[kind]
    from cluster.media import pictures

    return {
        "image": pictures.image,
        "square": pictures.square,
        "sticker": pictures.sticker,
        "thumbnail": pictures.thumbnail,
    }[kind]


if __name__ == "__main__":
    sys.exit(main())
