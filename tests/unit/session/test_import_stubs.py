"""A session's process loads what a session needs: each import is paid once per session."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from actors.zygote.import_stubs import SESSION_PROCESS

#: Of the API's process or of the Python client: an idle session has no use for them.
_OF_OTHERS = {
    *("aiohttp", "api", "click", "client", "fastapi", "prometheus_client", "pygments"),
    "redis",
}

_PROGRAM = """
import json, sys
import actors.hosts.session_actor, actors.whatsapp.neonize_client
print(json.dumps(sorted(sys.modules)))
"""


def test_a_session_process_loads_nothing_of_the_api_or_the_client() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={**os.environ, SESSION_PROCESS: "1"},
        capture_output=True,
        check=True,
        timeout=120,
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & _OF_OTHERS
