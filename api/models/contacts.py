"""Bodies of the contacts group."""

from __future__ import annotations

from pydantic import Field

from api.models import WahaModel

__all__ = ["WANumberExistResult"]


class WANumberExistResult(WahaModel):
    numberExists: bool
    chatId: str | None = Field(
        None, description="Missing when the number has no WhatsApp.", examples=["11111111111@c.us"]
    )
    pn: str | None = Field(None, description="The phone-number id.", examples=["11111111111@c.us"])
