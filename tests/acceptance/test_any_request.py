"""Requests made from the OpenAPI document by schemathesis: whatever comes, no server error.

They go to a working session of the running gateway. Left out is what starts or ends sessions of any
name, and streams, which do not end.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from running_gateway import RunningGateway

_names = itertools.count(1)

SEED = 20261125
#: Seconds of requests; the slow form searches for longer.
QUICK, LONG = 60, 300
#: Would end the session that is asked, or start actors for whatever names come up.
LEFT_OUT = (
    r"^/api/sessions(/start|/stop|/logout)?$",
    r"^/api/sessions/\{session\}(/(stop|start|restart|logout))?$",
    r"^/api/(nodes|workers|cluster|keys|server)",
    r"^/api/\{session\}/(auth|device|export|import|transfer)",
    r"(/stream|^/ws|/live|/sse)",
)

CONFIG = """
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "501", "503"]

[parameters]
"path.session" = "{session}"
"""


def run(gateway: RunningGateway, folder: Path, seconds: int, examples: int) -> str:
    session = f"any{os.getpid()}-{next(_names)}"
    gateway.paired(session, gateway.phone("Anybody"))
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG.format(session=session))
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("--config-file", str(config)),
            *("run", f"{gateway.state.url}/openapi.json"),
            *("--header", f"X-Api-Key: {gateway.state.api_key}"),
            *("--checks", "not_a_server_error"),
            *("--phases", "examples,fuzzing"),
            *("--max-examples", str(examples)),
            *("--max-time", str(seconds)),
            *("--seed", str(SEED)),
            *("--request-timeout", "50"),
            # Threads would meet in CPython 3.11's parser ("AST constructor recursion depth").
            *("--workers", "1"),
            *("--warnings", "off"),
            "--continue-on-failure",
            "--no-shrink",
            # One of them: of several, only the last counts.
            *("--exclude-path-regex", "|".join(LEFT_OUT)),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds + 120,
        check=False,
    )
    report = done.stdout + done.stderr
    (folder / "report.txt").write_text(report)
    assert done.returncode == 0, report[-8000:]
    assert gateway.info(session)["status"] == "WORKING", "it takes all of it"
    return report


def test_no_request_makes_a_server_error(gateway: RunningGateway, tmp_path: Path) -> None:
    counts = re.search(r"(\d+) generated, (\d+) passed", run(gateway, tmp_path, QUICK, 3))
    assert counts is not None
    # Of some 190 operations: it did not end before it began.
    assert int(counts[1]) > 100


@pytest.mark.skipif(not os.environ.get("GATEWAY_SLOW_TESTS"), reason="takes minutes")
@pytest.mark.timeout(LONG + 150)
def test_no_request_of_many_makes_a_server_error(gateway: RunningGateway, tmp_path: Path) -> None:
    run(gateway, tmp_path, LONG, 50)
