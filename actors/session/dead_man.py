"""A dead man's switch: the kernel kills this process when its lease was not renewed in time.

An owner that is stopped (SIGSTOP, a debugger, a machine that swaps to death) cannot fence itself,
and its TCP connection to WhatsApp stays open meanwhile. A POSIX timer whose signal is SIGKILL
needs nobody to run: the kernel kills a stopped process, too, and closes its sockets
(timer_create(2), signal(7)). It does not help against a machine whose clock stands still, such as
a paused virtual machine: there the successor's connection replaces the old one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Protocol

import structlog

__all__ = ["DeadMan", "Switch"]

log = structlog.get_logger(__name__)

_CLOCK_MONOTONIC = 1
_SIGEV_SIGNAL = 0
_TIMER_ABSTIME = 1


class _Value(ctypes.Union):
    _fields_ = [("integer", ctypes.c_int), ("pointer", ctypes.c_void_p)]


class _Event(ctypes.Structure):
    # struct sigevent has 64 bytes on every Linux ABI.
    _fields_ = [
        ("value", _Value),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("padding", ctypes.c_byte * 48),
    ]


class _Time(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Setting(ctypes.Structure):
    _fields_ = [("interval", _Time), ("value", _Time)]


class Switch(Protocol):
    """What kills the process of an owner that cannot fence itself."""

    def arm(self, deadline: float) -> None:
        """Kill the process at `deadline` (`time.monotonic()`), unless armed anew before."""

    def disarm(self) -> None:
        """There is nothing left to kill it for."""


class DeadMan:
    """One switch of this process. Not armed at first."""

    def __init__(self) -> None:
        self._timer = ctypes.c_void_p()
        self._works = False
        if sys.platform != "linux":
            log.warning("dead_man.not_on_this_system", platform=sys.platform)
            return
        self._libc = ctypes.CDLL(None, use_errno=True)
        event = _Event(signo=signal.SIGKILL, notify=_SIGEV_SIGNAL)
        if self._libc.timer_create(
            _CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._timer)
        ):
            log.warning("dead_man.no_timer", error=os.strerror(ctypes.get_errno()))
            return
        self._works = True

    def arm(self, deadline: float) -> None:
        """Kill the process at `deadline` (`time.monotonic()`), unless armed anew before."""
        # Zero would disarm it; a deadline that has passed strikes at once.
        self._set(max(deadline, 1e-6))

    def disarm(self) -> None:
        self._set(0.0)

    def _set(self, deadline: float) -> None:
        if not self._works:
            return
        seconds = int(deadline)
        setting = _Setting(_Time(0, 0), _Time(seconds, int((deadline - seconds) * 1_000_000_000)))
        if self._libc.timer_settime(self._timer, _TIMER_ABSTIME, ctypes.byref(setting), None):
            raise OSError(ctypes.get_errno(), "timer_settime")
