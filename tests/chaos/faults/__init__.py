"""Every fault by name."""

from __future__ import annotations

from chaos.faults.checkpoints import CHECKPOINT_FAULTS
from chaos.faults.database import DATABASE_FAULTS
from chaos.faults.disk import DISK_FAULTS
from chaos.faults.network import NETWORK_FAULTS
from chaos.faults.processes import PROCESS_FAULTS
from chaos.faults.stores import STORE_FAULTS
from chaos.faults.whatsapp import WHATSAPP_FAULTS
from chaos.scene import Fault

__all__ = ["FAULTS"]

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        *(PROCESS_FAULTS + NETWORK_FAULTS + DISK_FAULTS),
        *(STORE_FAULTS + DATABASE_FAULTS + CHECKPOINT_FAULTS + WHATSAPP_FAULTS),
    )
}
