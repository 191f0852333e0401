"""A client of WAHA's HTTP API by another author, driven by lines of JSON (see `line_process`).

Arguments: `waha` or `waha-python` (PyPI), and the gateway's URL. Environment: API_KEY. A verb is
the path of one of its functions, with that function's arguments as they are called there.
"""

from __future__ import annotations

import asyncio
import operator
import os
import sys
from typing import Any

from line_process import serve


def client_of(library: str, url: str) -> Any:
    key = os.environ["API_KEY"]
    if library == "waha":
        from waha import WahaClient

        return WahaClient(url, api_key=key, timeout=60)
    from waha_python import WAHAClient

    return WAHAClient(base_url=url, api_key=key, timeout=60)


async def main(library: str, url: str) -> None:
    client = client_of(library, url)

    async def perform(verb: str, arguments: dict[str, Any]) -> Any:
        return operator.attrgetter(verb)(client)(**arguments)

    await serve(perform)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
