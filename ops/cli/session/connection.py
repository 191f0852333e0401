"""Which gateway a command speaks to, and how it ends when that refuses."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.markup import escape

from cluster.domain.errors import GatewayError, Unavailable
from ops.cli.console import console, errors
from ops.cli.data_folder import DataOption, present_state
from ops.cli.exit_codes import ExitCode, of_status
from ops.cli.http import JsonApi, gateway_api
from ops.local.state import Phase

__all__ = [
    "DataOption",
    "JsonOption",
    "NameArgument",
    "Target",
    "ends",
    "on_a_gateway",
    "print_json",
]

UrlOption = Annotated[
    str | None,
    typer.Option("--url", envvar="GATEWAY_URL", help="A gateway elsewhere; else the one here."),
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", envvar="GATEWAY_KEY", help="Its API key; better in the environment."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for programs.")]


@dataclass(frozen=True)
class Target:
    """The gateway that a command is for, and how it says what came of it.

    The fields are the options of every such command, in the order of its help."""

    as_json: JsonOption = False
    url: UrlOption = None
    key: KeyOption = None
    data: DataOption = None

    @contextlib.contextmanager
    def connected(self) -> Iterator[JsonApi]:
        """Its API. What it refuses ends the command with a number of its own."""
        try:
            with _api(self.url, self.key, self.data) as api:
                yield api
        except Unavailable as error:
            status = error.fields.get("status")
            self.ends(error.detail, of_status(status, str(error.fields.get("code", ""))))
        except GatewayError as error:
            self.ends(error.detail, ExitCode.FAILED)

    def ends(self, reason: str, code: ExitCode) -> NoReturn:
        """Say why on stderr and exit."""
        ends(reason, code, as_json=self.as_json)

    def show(self, value: Any, text: Any) -> None:
        """The outcome: for programs `value`, for people `text`."""
        if self.as_json:
            print_json(value)
        else:
            console.print(text)


def on_a_gateway(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of a target in the place of its first parameter, a `Target`."""
    of_target = list(inspect.signature(Target, eval_str=True).parameters.values())
    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    signature = inspect.Signature([*own, *of_target])

    @functools.wraps(command)
    def run(**given: Any) -> None:
        target = Target(**{one.name: given.pop(one.name) for one in of_target})
        command(target, **given)

    # What typer reads.
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
    return run


def ends(reason: str, code: ExitCode, *, as_json: bool = False) -> NoReturn:
    """Say why on stderr and exit."""
    if as_json:
        typer.echo(json.dumps({"error": reason, "exit_code": int(code)}), err=True)
    else:
        errors.print(f"[bold red]failed:[/] {escape(reason)}", soft_wrap=True)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """On stdout, for programs."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1))


def _api(url: str | None, key: str | None, data: Path | None) -> JsonApi:
    if url:
        return JsonApi(url.rstrip("/"), {"X-Api-Key": key or ""}, elsewhere=True)
    _, state = present_state(data)
    if state is None or not state.alive or state.phase is not Phase.UP:
        raise Unavailable("no gateway is up here: start one with `gateway up`, or give --url")
    return JsonApi(state.url, {"X-Api-Key": key}) if key else gateway_api(state)


def _names(incomplete: str) -> list[str]:
    """For the shell's completion, which must never fail."""
    with contextlib.suppress(GatewayError, typer.Exit, OSError):
        with _api(os.environ.get("GATEWAY_URL"), os.environ.get("GATEWAY_KEY"), None) as api:
            found = [str(one["name"]) for one in api.get("/api/sessions", all=True)]
        return [name for name in found if name.startswith(incomplete)]
    return []


NameArgument = Annotated[
    str, typer.Argument(help="The session.", autocompletion=_names, metavar="SESSION")
]
