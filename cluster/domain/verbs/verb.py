"""How a verb is declared, asked over Ray, and done.

The type checker holds both ends to the one declaration: who asks (`client`) to its fields and its
answer, who does it (`actors.whatsapp.verbs`) as well. Over Ray go a verb's name and plain values,
so that versions which know different fields understand each other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, ClassVar, Generic, Self, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError

from cluster.domain.errors import NotSupported

__all__ = ["Verb", "plain", "verb_of"]

R = TypeVar("R")
D = TypeVar("D")

_PLAIN = frozenset({str, int, float, bool, type(None), dict})
_VERBS: dict[str, type[Verb[Any]]] = {}


@dataclass(frozen=True, kw_only=True)
class Verb(Generic[R]):
    """What a session is asked to do: its fields are what that takes, `R` is what it answers."""

    wire_name: ClassVar[str]
    _handler: ClassVar[Callable[[Any, Any], Awaitable[Any]] | None] = None

    def __init_subclass__(cls, *, name: str) -> None:
        if name in _VERBS:
            raise ValueError(f"there is a verb {name} already")
        cls.wire_name = name
        _VERBS[name] = cls

    @property
    def repeatable(self) -> bool:
        """Whether it comes to the same when it is done twice: then it is carried over a
        takeover."""
        return True

    @classmethod
    def handler(
        cls, function: Callable[[D, Self], Awaitable[R]]
    ) -> Callable[[D, Self], Awaitable[R]]:
        """Have `function` do the verb, with the linked device."""
        cls._handler = function
        return function

    async def perform(self, device: Any) -> R:
        """Do it with `device` (`actors.whatsapp.verbs.Device`)."""
        handler = type(self)._handler
        if handler is None:
            raise NotSupported(f"this version of the session cannot do {self.wire_name}")
        answer: R = await handler(device, self)
        return answer

    @classmethod
    def read_answer(cls, answer: Any) -> R:
        """The answer that `plain` made plain values of."""
        (declared,) = get_args(cls.__orig_bases__[0])  # type: ignore[attr-defined]
        found: R = _adapter(declared).validate_python(answer)
        return found


def verb_of(name: str, arguments: dict[str, Any]) -> Verb[Any]:
    """The verb that a caller of any version asks for. Raises `NotSupported`."""
    if name not in _VERBS:
        raise NotSupported(f"this version of the session cannot do {name}")
    kind: Any = _VERBS[name]
    try:
        verb: Verb[Any] = _adapter(kind).validate_python(arguments)
    except ValidationError as error:
        raise NotSupported(f"this version of the session does {name} otherwise") from error
    return verb


def plain(value: Any) -> Any:
    """Values without classes of ours: of a dataclass its fields by name, of a time its Unix
    seconds."""
    kind: Any = type(value)
    return value if kind in _PLAIN else _simplified(kind)(value)


@cache
def _simplified(kind: Any) -> Callable[[Any], Any]:
    """How values of a class become plain: made once, as a list of groups has very many."""
    if is_dataclass(kind):
        names = [field.name for field in fields(kind)]

        def by_name(value: Any) -> dict[str, Any]:
            found = {name: getattr(value, name) for name in names}
            for name, one in found.items():
                if type(one) not in _PLAIN:
                    found[name] = plain(one)
            return found

        return by_name
    if issubclass(kind, list | tuple):
        return lambda value: [plain(one) for one in value]
    if issubclass(kind, datetime):
        return lambda value: value.timestamp()
    return (lambda value: value.value) if issubclass(kind, Enum) else lambda value: value


@cache
def _adapter(declared: Any) -> TypeAdapter[Any]:
    # Made when it is asked for first: few processes ever need more than some.
    return TypeAdapter(declared)
