"""What an event says of the gateway that emits it (WAHA's `environment`)."""

from __future__ import annotations

import platform
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["ENGINE", "environment"]

#: whatsmeow, as in WAHA's GOWS.
ENGINE = "GOWS"
_DISTRIBUTION = "whatsapp-session-gateway"


@lru_cache(maxsize=1)
def environment() -> dict[str, Any]:
    """Of this process."""
    try:
        own = version(_DISTRIBUTION)
    except PackageNotFoundError:
        # A checkout that runs in place is no installed distribution.
        own = "0.1.0"
    return {
        "version": own,
        "engine": ENGINE,
        "tier": "PLUS",
        "browser": "",
        "platform": f"{sys.platform}/{platform.machine()}",
        "worker": {"id": platform.node()},
    }
