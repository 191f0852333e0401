"""What each route takes, and what each kind of key may do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from api.app import create_app
from api.security.authorization import PUBLIC_TEMPLATES, needs
from cluster.domain.principal import Action
from cluster.settings import HttpSettings

OPERATE, MANAGE = "operate", "manage"
#: Routes whose permission is worth saying twice.
TAKES = {
    ("POST", "/api/sendText"): (Action.SEND,),
    ("GET", "/api/sendText"): (Action.SEND,),
    ("GET", "/api/files/{session}/{file}"): (Action.MEDIA,),
    ("POST", "/api/sessions/logout"): (Action.CONTROL, Action.DELETE),
    ("GET", "/api/sessions"): (Action.VIEW,),
    ("GET", "/api/vitals/traffic"): (Action.VIEW,),
    ("GET", "/api/vitals/dead-letters"): (Action.READ,),
    ("PUT", "/api/sessions/{session}"): (Action.SETTING,),
    ("DELETE", "/api/sessions/{session}"): (Action.DELETE,),
    ("POST", "/api/sessions/{session}/logout"): (Action.CONTROL,),
    ("GET", "/api/{session}/auth/qr"): (Action.CONTROL,),
    ("GET", "/api/{session}/chats"): (Action.READ,),
    ("DELETE", "/api/{session}/chats/{chatId}"): (Action.SEND,),
    ("POST", "/api/{session}/events/replay"): (Action.SETTING,),
    ("GET", "/api/{session}/events/stream"): (Action.READ,),
    ("POST", "/api/{session}/webhooks/test"): (Action.SETTING,),
    ("WEBSOCKET", "/ws"): (Action.READ,),
    ("GET", "/api/server/environment"): OPERATE,
    ("POST", "/api/server/stop"): OPERATE,
    ("GET", "/api/server/version"): (),
    ("PUT", "/api/keys/{id}"): MANAGE,
    ("POST", "/api/sessions/import"): MANAGE,
    ("POST", "/api/sessions/{session}/export"): MANAGE,
    ("DELETE", "/api/sessions/{session}/export"): MANAGE,
    ("GET", "/metrics"): OPERATE,
    ("GET", "/nobody/thought/of/it"): OPERATE,
}


@pytest.mark.parametrize(("method", "template"), TAKES)
def test_the_table(method: str, template: str) -> None:
    assert needs(method, template) == TAKES[method, template]


async def test_every_route_is_behind_the_table(document: dict[str, Any]) -> None:
    """A principal that may do nothing comes to no route but those that take any key."""
    open_to_all = set()
    for path, operations in document["paths"].items():
        open_to_all |= {(m, path) for m in operations if needs(m.upper(), path) == ()}
    assert open_to_all == {
        ("get", "/api/access"),
        ("get", "/api/version"),
        ("get", "/api/server/version"),
        ("get", "/api/server/status"),
        # What its tools ask for comes to the table again, as requests of the same caller.
        ("post", "/mcp"),
    }
    assert {"/ping", "/health"} <= PUBLIC_TEMPLATES


def _templates(routes: Iterable[Any]) -> Iterator[str]:
    """Of all routes, those of included routers, too, as a request's scope has them."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from _templates(included.routes)
        else:
            yield str(getattr(route, "path", ""))


async def test_a_request_finds_the_template_that_the_table_knows(document: dict[str, Any]) -> None:
    """A router in a router with a prefix of its own would have shorter ones in its scopes."""
    app = create_app(lambda: None, HttpSettings())  # type: ignore[arg-type, return-value]
    assert set(document["paths"]) <= set(_templates(app.routes))
