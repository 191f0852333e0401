"""Devices on their way from one gateway to another: archives, stores of other programs, and the
protocol that keeps one device with one owner."""

from __future__ import annotations

from actors.transfer.device_moves import DeviceMoves

__all__ = ["DeviceMoves"]
