"""Bodies of the labels group."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints

from api.models import WahaModel
from cluster.domain.errors import Invalid
from cluster.domain.label import COLORS, Label

__all__ = ["ChatOfLabel", "LabelAnswer", "LabelBody", "SetLabelsRequest"]

_LabelId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")]


class LabelAnswer(WahaModel):
    id: str = Field(examples=["1"])
    name: str = Field(examples=["Lead"])
    color: int = Field(description="Color number, not hex", examples=[0])
    colorHex: str = Field(examples=["#ff9485"])

    @classmethod
    def of(cls, label: Label) -> Self:
        return cls(id=label.id, name=label.name, color=label.color, colorHex=label.color_hex)


class LabelBody(WahaModel):
    name: Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")] = Field(
        min_length=1, max_length=100, examples=["Lead"]
    )
    colorHex: str | None = Field(
        None, max_length=16, description="One of WhatsApp's palette.", examples=["#ff9485"]
    )
    color: int | None = Field(
        None, ge=0, lt=len(COLORS), description="Color number; goes before colorHex."
    )

    def color_number(self) -> int:
        """Raises `Invalid` for a colour outside of the palette."""
        if self.color is not None:
            return self.color
        if self.colorHex is None:
            return 0
        try:
            return COLORS.index(self.colorHex.lower())
        except ValueError:
            raise Invalid(
                f"colorHex is none of WhatsApp's: {', '.join(COLORS)}", field="colorHex"
            ) from None


class LabelID(WahaModel):
    id: _LabelId = Field(examples=["1"])


class SetLabelsRequest(WahaModel):
    labels: list[LabelID] = Field(max_length=100)


class ChatOfLabel(WahaModel):
    id: str = Field(examples=["11111111111@c.us"])
