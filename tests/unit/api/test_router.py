"""Routes are made once, with what the routers around them say."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, Depends, WebSocket
from fastapi.routing import APIRoute, APIWebSocketRoute
from fastapi.testclient import TestClient
from known_caller import application
from starlette.websockets import WebSocketDisconnect

from api.app import create_app
from api.router import Router
from api.security.authorization import authorize
from cluster.settings import HttpSettings


def _outer() -> None: ...


def _inner() -> None: ...


def _routers() -> tuple[Router, list[str]]:
    asked: list[str] = []
    inner = Router(prefix="/inner", tags=["b"], dependencies=[Depends(_inner)])

    @inner.get("/{name}", tags=["c"])
    async def named(name: str) -> str:
        asked.append(name)
        return name

    @inner.websocket("/ws")
    async def socket(connection: WebSocket) -> None:
        await connection.accept()
        await connection.close()

    outer = Router(
        prefix="/outer",
        tags=["a"],
        dependencies=[Depends(_outer)],
        responses={404: {"description": "none"}},
    )

    @outer.post("")
    async def first() -> None: ...

    outer.include_router(inner)

    @outer.put("/last")
    async def last() -> None: ...

    return outer, asked


def test_a_route_has_what_the_routers_around_it_say() -> None:
    routes = _routers()[0].made()
    paths = ["/outer", "/outer/inner/{name}", "/outer/inner/ws", "/outer/last"]
    assert [getattr(route, "path", "") for route in routes] == paths
    route, socket = routes[1], routes[2]
    assert isinstance(route, APIRoute)
    assert route.tags == ["a", "b", "c"]
    assert [one.dependency for one in route.dependencies] == [_outer, _inner]
    assert route.responses == {404: {"description": "none"}}
    assert isinstance(socket, APIWebSocketRoute)
    # Routes of HTTP are authorized by their class.
    assert [one.dependency for one in socket.dependencies] == [_outer, _inner, authorize]


def test_they_answer() -> None:
    router, asked = _routers()
    app = application()
    app.router.routes.extend(router.made())
    with TestClient(app) as client:
        assert client.get("/outer/inner/x").json() == "x"
        with client.websocket_connect("/outer/inner/ws"):
            pass
    assert asked == ["x"]


def test_they_refuse_whom_they_are_not_for() -> None:
    router, asked = _routers()
    app = application(None)
    app.router.routes.extend(router.made())
    with TestClient(app) as client:
        assert client.get("/outer/inner/x").status_code == 403
        with (
            pytest.raises(WebSocketDisconnect),
            client.websocket_connect("/outer/inner/ws"),
        ):
            pass
    assert not asked


def test_a_router_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError):
        Router().include_router(APIRouter())
    with pytest.raises(TypeError):
        Router().include_router(Router(), prefix="/more")


def test_applications_of_a_process_share_their_routes() -> None:
    def gateway() -> object:
        raise AssertionError("nobody asks")

    first, second = (create_app(gateway, HttpSettings()) for _ in range(2))  # type: ignore[arg-type]
    shared = [r for r in first.routes if isinstance(r, APIRoute) and r.include_in_schema]
    assert len(shared) > 200
    assert {id(one) for one in shared} <= {id(one) for one in second.routes}
