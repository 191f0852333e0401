"""A client of WAHA's HTTP API by another author, driven by lines of JSON (see `line_process`).

Arguments: `waha` or `waha-python` (PyPI), and the gateway's URL. Environment: API_KEY. A verb is
the path of one of its functions, with that function's arguments as they are called there.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any


def client_of(library: str, url: str) -> Any:
    key = os.environ["API_KEY"]
    if library == "waha":
        from waha import WahaClient

        return WahaClient(url, api_key=key, timeout=60)
    from waha_python import WAHAClient

    return WAHAClient(base_url=url, api_key=key, timeout=60)


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.model_dump() if hasattr(value, "model_dump") else str(value)


def main(library: str, url: str) -> None:
    client = client_of(library, url)
    for line in sys.stdin:
        asked = json.loads(line)
        told: dict[str, Any] = {"number": asked["number"]}
        try:
            function = client
            for part in asked["verb"].split("."):
                function = getattr(function, part)
            told["value"] = function(**asked["values"][0])
        except Exception as error:  # noqa: BLE001 - the parent is told
            told["error"] = f"{type(error).__name__}: {error}"
        sys.stdout.write(json.dumps(told, default=plain) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
