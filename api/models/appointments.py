"""Bodies of appointments: WAHA's events."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from api.models import WahaModel

__all__ = ["EventMessageRequest"]

_Name = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
#: 31 December 9999.
_LAST_SECOND = 253_402_300_799


class _Place(WahaModel):
    name: _Name = Field(examples=["Luxe Nail Studio 💅"])


class _Event(WahaModel):
    name: _Name = Field(examples=["John's Nail Appointment 💅"])
    description: Annotated[str, StringConstraints(max_length=4096)] | None = None
    startTime: int = Field(ge=0, le=_LAST_SECOND, description="Unix seconds", examples=[2063137000])
    endTime: int | None = Field(None, ge=0, le=_LAST_SECOND, description="Unix seconds")
    location: _Place | None = None
    extraGuestsAllowed: bool | None = Field(None, examples=[False])


class EventMessageRequest(WahaModel):
    chatId: str = Field(max_length=128, examples=["11111111111@c.us"])
    reply_to: str | None = Field(None, max_length=256)
    event: _Event
