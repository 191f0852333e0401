"""Routes that are made once, in one list.

FastAPI makes a route when it is declared, again when its router is included, and keeps an included
router as it is: a request is then matched at every level of inclusion twice, to choose the router
and again inside it (fastapi/routing.py, `_IncludedRouter`). With some hundred paths making them
takes a second of processor time, and matching one costs more than the handler of a small request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from fastapi import APIRouter, Depends, params
from starlette.routing import BaseRoute

from api.security.authorization import AuthorizedRoute, authorize

__all__ = ["Router"]


class Router(APIRouter):
    """Keeps what is declared and included; `made` makes routes of it. It has none itself, so it
    cannot be mounted or included in a router of FastAPI's. Each of its routes is authorized."""

    def __init__(
        self,
        *,
        prefix: str = "",
        tags: list[str | Enum] | None = None,
        dependencies: Sequence[params.Depends] | None = None,
        responses: dict[int | str, dict[str, Any]] | None = None,
        route_class: type[AuthorizedRoute] = AuthorizedRoute,
    ) -> None:
        super().__init__(
            prefix=prefix,
            tags=tags,
            dependencies=dependencies,
            responses=responses,
            route_class=route_class,
        )
        self._declared: list[Callable[[APIRouter], None]] = []

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self._declared.append(lambda into: into.add_api_route(path, endpoint, **options))

    def add_api_websocket_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        name: str | None = None,
        *,
        dependencies: Sequence[params.Depends] | None = None,
    ) -> None:
        needed = [Depends(authorize), *(dependencies or ())]
        self._declared.append(
            lambda into: into.add_api_websocket_route(path, endpoint, name, dependencies=needed)
        )

    def include_router(self, router: APIRouter, **options: Any) -> None:
        if not isinstance(router, Router) or options:
            raise TypeError("only a Router is included, with what itself says")
        self._declared.append(lambda into: into.routes.extend(router.made(into)))

    def made(self, within: APIRouter | None = None) -> list[BaseRoute]:
        """The routes of it and of what it includes, in the order of declaration, with the prefix,
        tags, dependencies and answers of `within` before its own."""
        within = within or APIRouter()
        into = APIRouter(
            prefix=within.prefix + self.prefix,
            tags=[*within.tags, *self.tags],
            dependencies=[*within.dependencies, *self.dependencies],
            responses={**within.responses, **self.responses},
            route_class=self.route_class,
        )
        for declare in self._declared:
            declare(into)
        return into.routes
