"""All routes of the application in one list.

FastAPI keeps an included router as it is, and matches a request at every level of inclusion twice:
to choose the router, and again inside it (fastapi/routing.py, `_IncludedRouter`). With some hundred
paths that costs more than the handler of a small request.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.routing import BaseRoute

__all__ = ["flatten"]

_GIVEN = frozenset(inspect.signature(APIRoute.__init__).parameters) - {"self"}


def flatten(routes: Sequence[BaseRoute]) -> list[BaseRoute]:
    """The routes with those of included routers in their place, and what inclusion added to them.
    A router with anything but HTTP routes, such as websockets, stays."""
    flat: list[BaseRoute] = []
    for route in routes:
        inside = list(iter_route_contexts([route]))
        if all(isinstance(one.original_route, APIRoute) for one in inside):
            flat += [_alone(one) for one in inside]
        else:
            flat.append(route)
    return flat


def _alone(context: RouteContext) -> BaseRoute:
    """The route by itself: tags, dependencies and answers of its routers included."""
    given: dict[str, Any] = {
        name: getattr(context, name) for name in _GIVEN if hasattr(context, name)
    }
    return type(context.original_route)(**given)
