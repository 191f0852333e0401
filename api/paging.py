"""Paging: how many at most, and parts of lists that are asked of WhatsApp as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query
from pydantic import AfterValidator

__all__ = ["Merge", "Paging", "Sort", "SortDirection", "Words", "at_most", "mentions", "merged"]

T = TypeVar("T")


def at_most(most: int) -> AfterValidator:
    """For a `limit`: WAHA has no maximum, and 0 (what n8n sends when nothing is chosen) is none.
    Here either is the `most` that one answer holds."""
    return AfterValidator(lambda wanted: min(wanted, most) if wanted else most)


def merged(merge: bool | None) -> bool | None:
    """WAHA's `merge`. Raises `ValueError` where a person's LID and number are to be two chats."""
    if merge is False:
        raise ValueError("a person's LID and phone number are one chat here: leave merge out")
    return merge


Merge = Annotated[
    bool,
    Query(description="A person's LID and number are one chat here: only `true` is taken."),
    AfterValidator(merged),
]


class SortDirection(StrEnum):
    ASC = "asc"
    DESC = "desc"


@dataclass(frozen=True, slots=True)
class Sort:
    """WAHA's `limit`, `offset` and `sortOrder`."""

    limit: int | None
    offset: int
    direction: SortDirection

    def page(self, items: Sequence[T], key: Callable[[T], Any]) -> list[T]:
        """The part of `items`, sorted by `key`, that is asked for."""
        reverse = self.direction is SortDirection.DESC
        found = sorted(items, key=key, reverse=reverse)
        return found[self.offset : None if self.limit is None else self.offset + self.limit]


async def _sort(
    limit: Annotated[int, Query(ge=0, description="0: all.")] = 0,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    sort_order: Annotated[SortDirection, Query(alias="sortOrder")] = SortDirection.ASC,
) -> Sort:
    return Sort(limit or None, offset, sort_order)


Paging = Annotated[Sort, Depends(_sort)]

#: Narrows a list that has no search of its own. Ours.
Words = Annotated[
    str | None,
    Query(min_length=1, max_length=100, description="Only those whose name or id has this in it."),
]


def mentions(words: str, *texts: str | None) -> bool:
    """Whether one of the texts has `words` in it, whatever the case."""
    wanted = words.casefold()
    return any(wanted in text.casefold() for text in texts if text)
