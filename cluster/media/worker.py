"""Looks at one attachment or page, and converts it: a program of its own,
`python -m cluster.media.worker`.

Files come from strangers and decoders have bugs, so they run in a process that can be killed, with
bounds on memory and time. The job comes as JSON on standard input, the answer goes to standard
output: `{"facts": …}` or `{"refused": "why"}`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

__all__: list[str] = []

_MEMORY, _FILES = 3 << 30, 64


def main() -> int:
    job: dict[str, Any] = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(job["seconds"]), int(job["seconds"]) + 5))
    for what, most in (
        (resource.RLIMIT_FSIZE, int(job["most"])),
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    os.nice(5)
    # What decoders say of broken files is no answer of ours.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    from cluster.media.refused import Refused

    try:
        facts = _work(job["do"])(job["source"], job.get("target") or None)
    except Refused as error:
        json.dump({"refused": str(error)}, answers)
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
        from cluster.media import moving

        return {"audio": moving.audio, "video": moving.video}[kind]
    from cluster.media import pictures

    return {
        "image": pictures.image,
        "sticker": pictures.sticker,
        "thumbnail": pictures.thumbnail,
    }[kind]


if __name__ == "__main__":
    sys.exit(main())
