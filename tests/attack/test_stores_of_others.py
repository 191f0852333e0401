"""The embedded stores as another user of the machine finds them: ports, sockets and files."""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import socket
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import other_user
import psutil
import psycopg
import pytest
import redis

from cluster.security.exposure import exposures
from ops.embedded import EmbeddedStores
from ops.embedded.certificates import Certificates, make_certificates
from ops.embedded.postgres import POSTGRES_UID
from ops.embedded.seaweed import _binary

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

#: What SeaweedFS's ports would answer a stranger: masters, volume servers, filers, WebDAV, admin.
_REQUESTS = [
    *(("GET", path) for path in ("/", "/dir/status", "/vol/status", "/cluster/status", "/stats")),
    *(("GET", path) for path in ("/buckets/gateway/?pretty=y", "/metrics", "/debug/pprof/", "/ui")),
    *(("POST", path) for path in ("/col/delete?collection=gateway", "/dir/assign", "/vol/vacuum")),
    *(("PUT", "/buckets/gateway/mine"), ("DELETE", "/buckets/gateway?recursive=true")),
    *(("PROPFIND", "/"), ("OPTIONS", "/"), ("POST", "/submit"), ("POST", "/.tus/x")),
]
_SECONDS = 5.0


def _listening(pid: int | None) -> dict[int, str]:
    """Port to address of everything that a server and its children listen on."""
    assert pid is not None
    process, found = psutil.Process(pid), dict[int, str]()
    for member in (process, *process.children(recursive=True)):
        # PostgreSQL's come and go.
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in member.net_connections(kind="inet"):
                if one.status == psutil.CONN_LISTEN:
                    found[one.laddr.port] = one.laddr.ip
    return found


@pytest.fixture(scope="module")
def closed_ports(embedded_stores: EmbeddedStores) -> list[int]:
    """SeaweedFS's, but for S3's own."""
    s3 = int(embedded_stores.env()["S3_ENDPOINT"].rpartition(":")[2])
    found = set(_listening(embedded_stores.seaweed.pid))
    assert s3 in found
    assert len(found) == 10
    return sorted(found - {s3})


@pytest.fixture(scope="module")
def own(embedded_stores: EmbeddedStores) -> Certificates:
    folder = embedded_stores.data_dir / "seaweed"
    return Certificates(*(folder / f"{part}.pem" for part in ("authority", "certificate", "key")))


def test_every_port_is_on_loopback(embedded_stores: EmbeddedStores) -> None:
    for server in (embedded_stores.postgres, embedded_stores.seaweed):
        assert set(_listening(server.pid).values()) == {"127.0.0.1"}


def test_no_port_answers_plain_http(closed_ports: list[int]) -> None:
    for port in closed_ports:
        for method, path in _REQUESTS:
            assert _plain(port, method, path) in {0, 400}, (port, method, path)


def test_no_port_takes_a_stranger_by_tls(closed_ports: list[int], tmp_path: Path) -> None:
    """Neither without a certificate, nor with one of another authority."""
    for port in closed_ports:
        assert not _greets(port, None)
        assert not _greets(port, make_certificates(tmp_path))


def test_every_port_takes_the_servers_own_parts(closed_ports: list[int], own: Certificates) -> None:
    """The two tests above can fail."""
    for port in closed_ports:
        assert _greets(port, own), port


def test_the_shell_of_seaweedfs_reaches_nothing(
    embedded_stores: EmbeddedStores, own: Certificates
) -> None:
    # Nothing there gives SeaweedFS's own client any certificate.
    assert "gateway" not in _shell(embedded_stores, Path("/"), as_other=os.geteuid() == 0)
    assert "gateway" in _shell(embedded_stores, own.key.parent, as_other=False)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *(("GET", path, "") for path in ("/", "/gateway", "/gateway?list-type=2", "/gateway?acl")),
        *(("PUT", path, "x") for path in ("/gateway/mine", "/mine")),
        *(("DELETE", path, "") for path in ("/gateway", "/gateway/mine")),
        *(("POST", "/", f"Action={act}") for act in ("ListUsers", "CreateUser&UserName=me")),
        *(("POST", "/", f"Action={act}") for act in ("ListAccessKeys", "AssumeRole&RoleArn=a")),
        ("POST", "/gateway?delete", "<Delete/>"),
    ],
)
def test_s3_without_a_signature_refuses(
    embedded_stores: EmbeddedStores, method: str, path: str, body: str
) -> None:
    url = f"http://{embedded_stores.env()['S3_ENDPOINT']}{path}"
    form = {"Content-Type": "application/x-www-form-urlencoded"} if body.startswith("Act") else {}
    answer = httpx.request(method, url, content=body, headers=form, trust_env=False)
    assert answer.status_code in {400, 401, 403}, answer.text


def test_the_database_wants_its_password(embedded_stores: EmbeddedStores) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(embedded_stores.env()["DATABASE_URL"])
    for wrong in ({}, {"password": "gateway"}, {"password": "", "user": "postgres"}):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(**{**parts, "password": "", **wrong})  # type: ignore[arg-type]


def test_who_takes_the_databases_port_gets_no_password(embedded_stores: EmbeddedStores) -> None:
    """While PostgreSQL is down its port is anybody's, and a server may ask for the password as it
    is (PostgreSQL's protocol, AuthenticationCleartextPassword)."""
    parts = psycopg.conninfo.conninfo_to_dict(embedded_stores.env()["DATABASE_URL"])
    heard: list[bytes] = []

    def impostor(server: socket.socket) -> None:
        for asks in (b"\0\0\0\3", b"\0\0\0\5salt"):
            caller, _ = server.accept()
            with caller:
                caller.settimeout(_SECONDS)
                heard.append(caller.recv(8192))
                caller.sendall(b"R" + (4 + len(asks)).to_bytes(4, "big") + asks)
                heard.append(caller.recv(8192))

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as threads:
        server.settimeout(_SECONDS)
        listening = threads.submit(impostor, server)
        port, plain = server.getsockname()[1], {"sslmode": "disable", "gssencmode": "disable"}
        for _ in range(2):
            with pytest.raises(psycopg.OperationalError, match="authentication method"):
                psycopg.connect(**{**parts, **plain, "port": port}, connect_timeout=5)
        listening.result()
    assert str(parts["password"]).encode() not in b"".join(heard)
    # After what it asked for nothing comes, not even a digest of it.
    assert heard[1::2] == [b"", b""]


def test_valkey_wants_its_password(embedded_stores: EmbeddedStores) -> None:
    path = unquote(urlsplit(embedded_stores.env()["REDIS_URL"]).path)
    for stranger in ("", ":wrong@", "default:@"):
        client = redis.Redis.from_url(f"unix://{stranger}{path}")
        with pytest.raises(redis.AuthenticationError):
            client.keys("*")
        client.close()


def test_nobody_can_take_the_place_where_valkey_gets_its_password(
    embedded_stores: EmbeddedStores,
) -> None:
    """Its protocol sends the password as it is, to whoever answers (`AUTH`): a port is anybody's
    while the server is down, a folder that is closed is not."""
    assert not _listening(embedded_stores.valkey.pid)
    url = urlsplit(embedded_stores.env()["REDIS_URL"])
    assert (url.scheme, url.hostname) == ("unix", None)
    folder = Path(unquote(url.path)).parent
    assert folder.stat().st_mode & 0o077 == 0
    if os.geteuid() == 0:
        assert not other_user.reached([folder, Path(unquote(url.path))])


def test_no_file_of_theirs_is_open(embedded_stores: EmbeddedStores) -> None:
    found = exposures(embedded_stores.data_dir, owners={POSTGRES_UID})
    # The folder of these tests lets PostgreSQL's user pass.
    assert not list(found)


@as_root
def test_another_user_reaches_no_file_or_socket_of_theirs(embedded_stores: EmbeddedStores) -> None:
    client = embedded_stores.seaweed._client()
    secret = os.urandom(6000)
    client.put_object("gateway", "attachment", io.BytesIO(secret), len(secret))
    files = list(embedded_stores.data_dir.rglob("*"))
    assert any(path.suffix == ".dat" and secret in path.read_bytes() for path in files)
    assert {"security.toml", "key.pem", "password", "PG_VERSION"} <= {path.name for path in files}
    # SeaweedFS puts sockets of its own into the machine's temporary folder.
    sockets = [
        Path(str(connection.laddr))
        for connection in psutil.Process(embedded_stores.seaweed.pid).net_connections(kind="unix")
        if connection.laddr
    ]
    assert not other_user.reached(
        [*files, *(embedded_stores.data_dir / "seaweed" / path for path in sockets)]
    )


def _plain(port: int, method: str, path: str) -> int:
    """The status of the answer; 0 where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _greets(port: int, known: Certificates | None) -> bool:
    """Whether a server answers what is sent after a handshake with this client's certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if known is not None:
        context.load_cert_chain(known.certificate, known.key)
    for protocol, hello in (
        ("http/1.1", b"GET / HTTP/1.0\r\n\r\n"),
        ("h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"),
    ):
        context.set_alpn_protocols([protocol])
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as raw:
            raw.settimeout(_SECONDS)
            with context.wrap_socket(raw) as secure:
                secure.sendall(hello)
                if secure.recv(1):
                    return True
    return False


def _shell(stores: EmbeddedStores, folder: Path, *, as_other: bool) -> str:
    options = dict(
        option.lstrip("-").split("=", 1)
        for option in psutil.Process(stores.seaweed.pid).cmdline()
        if "=" in option
    )
    addresses = [
        f"-{part}=127.0.0.1:{options[f'{part}.port']}.{options[f'{part}.port.grpc']}"
        for part in ("master", "filer")
    ]
    user = {"user": other_user.UID, "group": other_user.UID, "extra_groups": []}
    with contextlib.suppress(subprocess.TimeoutExpired):
        done: str = subprocess.run(
            [_binary(), "shell", *addresses],
            input="fs.ls /buckets\n",
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            cwd=folder,
            env={"HOME": "/nonexistent"},
            **(user if as_other else {}),  # type: ignore[call-overload]
        ).stdout
        return done
    return ""
