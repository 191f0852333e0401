"""A QR code for the terminal."""

from __future__ import annotations

import io

import qrcode
from qrcode.constants import ERROR_CORRECT_L

__all__ = ["qr_text"]

_QUIET_ZONE = 2


def qr_text(content: str) -> str:
    """Half blocks, two modules to a character; light on dark terminals."""
    code = qrcode.QRCode(error_correction=ERROR_CORRECT_L, border=_QUIET_ZONE)
    code.add_data(content)
    out = io.StringIO()
    code.print_ascii(out=out, invert=True)
    return out.getvalue()
