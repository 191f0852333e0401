"""The gateway's API and the sandbox's control API, as far as the command line needs them."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx

from cluster.domain.errors import Unavailable
from cluster.local.state import State
from cluster.own_tls import own_tls
from cluster.settings import HttpSettings

__all__ = ["JsonApi", "gateway_api", "sandbox_api"]


class JsonApi:
    """JSON over HTTP. Every failure is an `Unavailable` that says what was asked."""

    def __init__(self, base_url: str, headers: dict[str, str], *, timeout: float = 70.0) -> None:
        self._client = httpx.Client(
            base_url=base_url,
            headers=headers,
            timeout=timeout,
            trust_env=False,
            verify=own_tls(HttpSettings()),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def get(self, path: str, **query: str | int | bool) -> Any:
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Any = None) -> Any:
        return self._ask("POST", path, json=body)

    def status_of(self, path: str) -> int | None:
        """The status code of a GET; None when nothing answers."""
        try:
            return self._client.get(path).status_code
        except httpx.HTTPError:
            return None

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            answer = self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise Unavailable(f"{method} {path}: {error or type(error).__name__}") from error
        if answer.is_error:
            raise Unavailable(
                f"{method} {path} answered {answer.status_code}: {answer.text[:500]}",
                status=answer.status_code,
            )
        return answer.json() if answer.content else None


def gateway_api(state: State, *, timeout: float = 70.0) -> JsonApi:
    return JsonApi(state.url, {"X-Api-Key": state.api_key}, timeout=timeout)


def sandbox_api(state: State) -> JsonApi:
    bearer = {"Authorization": f"Bearer {state.sandbox_control_token}"}
    return JsonApi(state.sandbox_control_url, bearer)
