"""Pictures of accounts, groups and channels, as callers give them."""

from __future__ import annotations

from api.models import WahaModel
from api.models.files import FileBody

__all__ = ["PictureRequest"]


class PictureRequest(WahaModel):
    file: FileBody
