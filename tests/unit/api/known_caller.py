"""Routes without the application around them: who calls is known, as if by its middlewares."""

from __future__ import annotations

import os

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from api import problems
from api.security.caller import remember
from api.security.edge_policy import EdgePolicy
from cluster.domain.principal import OPERATOR_TENANT, Principal
from cluster.settings import FrontSettings

__all__ = ["OPERATOR", "application"]

OPERATOR = Principal(who="operator", tenant=OPERATOR_TENANT, admin=True)


class _Known:
    def __init__(self, app: ASGIApp, *, principal: Principal) -> None:
        self._app = app
        self._principal = principal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            remember(scope, self._principal)
        await self._app(scope, receive, send)


def application(principal: Principal | None = OPERATOR) -> FastAPI:
    """One that `principal` calls; None: nobody that is known."""
    app = FastAPI()
    app.state.front = EdgePolicy(FrontSettings(_env_file=os.devnull))
    problems.install(app)
    if principal is not None:
        app.add_middleware(_Known, principal=principal)
    return app
