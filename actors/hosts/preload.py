"""Imported by every Ray worker process before it takes work (`RAY_preload_python_modules`).

A process that is to host a session loads what that needs, which is most of the time its start
takes; so a spare one can take a session over at once. All wait longer where they wait for nothing.
"""

from __future__ import annotations

import os

from actors.zygote.import_stubs import SESSION_PROCESS
from actors.zygote.ray_waits import wait_longer
from actors.zygote.spares import announce

__all__: list[str] = []

wait_longer()
if os.environ.get(SESSION_PROCESS):
    import actors.hosts.session_actor
    import actors.whatsapp.neonize_client  # noqa: F401 - for its sake

    announce()
