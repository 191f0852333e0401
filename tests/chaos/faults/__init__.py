"""Every fault by name."""

from __future__ import annotations

from chaos.faults.processes import PROCESS_FAULTS
from chaos.scene import Fault

__all__ = ["FAULTS"]

FAULTS: dict[str, Fault] = {fault.name: fault for fault in PROCESS_FAULTS}
