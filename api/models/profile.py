"""Bodies of the profile group."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints

from api.message_ids import waha_id
from api.models import WahaModel
from cluster.domain.contact import Profile

__all__ = ["MyProfile", "ProfileNameRequest", "ProfileStatusRequest"]

_Line = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]


class MyProfile(WahaModel):
    id: str = Field(examples=["11111111111@c.us"])
    name: str
    picture: str | None = Field(examples=["https://example.com/picture.jpg"])

    @classmethod
    def of(cls, profile: Profile) -> Self:
        return cls(id=waha_id(profile.jid), name=profile.name, picture=profile.picture or None)


class ProfileNameRequest(WahaModel):
    name: _Line = Field(min_length=1, max_length=25, examples=["My New Name"])


class ProfileStatusRequest(WahaModel):
    status: _Line = Field(max_length=139, examples=["🎉 Hey there! I am using WhatsApp 🎉"])
