"""Bodies in WAHA's shapes, a module per group; names and defaults are WAHA's."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["WahaModel"]


class WahaModel(BaseModel):
    """Takes fields by WAHA's names; what WAHA does not know is ignored, as WAHA does."""

    model_config = ConfigDict(extra="ignore", validate_by_name=True, validate_by_alias=True)
