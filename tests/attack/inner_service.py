"""What no caller may make the gateway reach."""

from __future__ import annotations

from aiohttp import web


class Inside:
    """A service of the operator's own network: whoever reaches it has won."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.reached.append(f"{request.method} {request.path}")
        if request.path == "/moves":
            return web.Response(status=307, headers={"Location": "/secret"})
        return web.Response(text="the secret")
