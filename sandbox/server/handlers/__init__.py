"""One module for each thing a device may ask; all of them register with one router."""

from __future__ import annotations

from sandbox.server.handlers import (
    acks,
    appstate,
    blocklist,
    calls,
    communities,
    devices,
    groups,
    housekeeping,
    keys,
    media,
    messages,
    mex,
    newsletters,
    presence,
    privacy,
    profile,
    receipts,
    users,
)
from sandbox.server.router import Router

__all__ = ["ROUTER"]

ROUTER = Router()
for _module in (
    acks,
    appstate,
    blocklist,
    calls,
    communities,
    devices,
    groups,
    housekeeping,
    keys,
    media,
    messages,
    mex,
    newsletters,
    presence,
    privacy,
    profile,
    receipts,
    users,
):
    _module.register(ROUTER)
