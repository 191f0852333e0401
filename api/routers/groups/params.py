"""What routes of one group have in common."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from api.problems import responses
from cluster.domain.errors import (
    NotSupported,
)

__all__ = ["CANNOT", "GroupPath", "not_in_library"]

GroupPath = Annotated[
    str,
    Path(
        alias="id",
        max_length=128,
        description="Group ID",
        openapi_examples={"it": {"value": "123123123@g.us"}},
    ),
]
CANNOT = responses(NotSupported)


def not_in_library(what: str) -> NotSupported:
    return NotSupported(
        f"the library (neonize 0.5.2) passes on neither the reading nor the setting of {what}; "
        "a phone of the group's can"
    )
