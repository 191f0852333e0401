"""The gateway's API and the sandbox's control API, as far as the command line needs them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from cluster.domain.errors import Unavailable
from cluster.settings import HttpSettings
from ops.client_tls import client_tls
from ops.local.state import State

__all__ = ["JsonApi", "gateway_api", "sandbox_api"]

_PART = 64 << 10
#: A stream sends something every 15 s.
_STREAM = httpx.Timeout(10.0, read=60.0)


class JsonApi:
    """JSON over HTTP. Every failure is an `Unavailable` that says what was asked."""

    def __init__(
        self,
        base_url: str,
        headers: dict[str, str],
        *,
        timeout: float = 70.0,
        elsewhere: bool = False,
    ) -> None:
        """`elsewhere`: not the gateway of this machine, whose own certificate is believed."""
        self._client = httpx.Client(
            base_url=base_url,
            headers=headers,
            timeout=timeout,
            trust_env=False,
            verify=True if elsewhere else client_tls(HttpSettings()),
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

    def post(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Any:
        return self._ask("POST", path, json=body, headers=headers)

    def put(self, path: str, body: Any = None) -> Any:
        return self._ask("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        return self._ask("DELETE", path)

    def send_large(
        self,
        path: str,
        body: Any,
        on_progress: Callable[[int, int], None],
        *,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """POST; `on_progress` gets how many bytes of how many are on their way."""
        data = json.dumps(body).encode()

        def parts() -> Iterator[bytes]:
            for at in range(0, len(data), _PART):
                yield data[at : at + _PART]
                on_progress(min(at + _PART, len(data)), len(data))

        own = {"Content-Type": "application/json", "Content-Length": str(len(data))}
        return self._ask("POST", path, content=parts(), headers={**(headers or {}), **own})

    def fetch(self, path: str, body: Any) -> bytes:
        """POST for an answer that is no JSON."""
        return self._answer("POST", path, json=body).content

    def lines(self, path: str, **query: str | int) -> Iterator[str]:
        """The lines of a stream (server-sent events), for as long as it lasts; the first comes
        when it is open."""
        try:
            with self._client.stream("GET", path, params=query, timeout=_STREAM) as answer:
                if answer.is_error:
                    answer.read()
                    raise _refusal("GET", path, answer)
                yield from answer.iter_lines()
        except httpx.HTTPError as error:
            raise Unavailable(f"GET {path}: {error or type(error).__name__}") from error

    def status_of(self, path: str) -> int | None:
        """The status code of a GET; None when nothing answers."""
        try:
            return self._client.get(path).status_code
        except httpx.HTTPError:
            return None

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self._answer(method, path, **arguments)
        return answer.json() if answer.content else None

    def _answer(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise Unavailable(f"{method} {path}: {error or type(error).__name__}") from error
        if answer.is_error:
            raise _refusal(method, path, answer)
        return answer


def _refusal(method: str, path: str, answer: httpx.Response) -> Unavailable:
    """What was answered, in the problem's own words where it has them."""
    try:
        problem = answer.json()
        detail, code = str(problem["detail"]), str(problem["code"])
    except (ValueError, KeyError, TypeError):
        detail, code = answer.text[:500], ""
    return Unavailable(
        f"{method} {path} answered {answer.status_code}: {detail}",
        status=answer.status_code,
        code=code,
    )


def gateway_api(state: State, *, timeout: float = 70.0) -> JsonApi:
    return JsonApi(state.url, {"X-Api-Key": state.api_key}, timeout=timeout)


def sandbox_api(state: State) -> JsonApi:
    bearer = {"Authorization": f"Bearer {state.sandbox_control_token}"}
    return JsonApi(state.sandbox_control_url, bearer)
