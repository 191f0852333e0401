"""Labels of chats (WhatsApp Business)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COLORS", "Label"]

#: WhatsApp's palette: a label's colour is an index into it (devlikeapro/waha, labels.dto.ts).
COLORS = (
    "#ff9485",
    "#64c4ff",
    "#ffd429",
    "#dfaef0",
    "#99b6c1",
    "#55ccb3",
    "#ff9dff",
    "#d3a91d",
    "#6d7cce",
    "#d7e752",
    "#00d0e2",
    "#ffc5c7",
    "#93ceac",
    "#f74848",
    "#00a0f2",
    "#83e422",
    "#ffaf04",
    "#b5ebff",
    "#9ba6ff",
    "#9368cf",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """One label of an account."""

    #: Digits; WhatsApp's own.
    id: str
    name: str
    #: Index into `COLORS`.
    color: int

    @property
    def color_hex(self) -> str:
        return COLORS[self.color] if 0 <= self.color < len(COLORS) else "#000000"
