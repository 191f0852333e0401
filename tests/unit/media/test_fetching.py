"""URLs of callers: public addresses only, whatever redirects and names say; bounded."""

from __future__ import annotations

import gzip
import ipaddress
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cluster.domain.errors import BodyTooLarge, Invalid
from cluster.media.addresses import is_public
from cluster.media.fetch import Fetcher, _filename
from cluster.media.pages import first_link, read_page
from cluster.media.refused import Refused
from cluster.media.spool import Spool
from cluster.settings import MediaSettings

LIMIT = 100_000


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_everybodys(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


PLAIN = b"%PDF-1.4 " + b"x" * 1000
_COMPRESSED = {
    "/gzip": ("gzip", gzip.compress(PLAIN)),
    "/deflate": ("deflate", zlib.compress(PLAIN)),
    "/named": ("identity", PLAIN),
    "/bomb": ("gzip", gzip.compress(b"0" * (LIMIT * 1000))),
    "/cut": ("gzip", gzip.compress(PLAIN)[:-9]),
    "/lie": ("gzip", PLAIN),
    "/other": ("br", b"??"),
    "/twice": ("gzip, gzip", gzip.compress(gzip.compress(PLAIN))),
}


NAME = "fatura nº 3.pdf"
_NAMED = {"/utf-8": "utf-8", "/latin-1": "latin-1"}


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        _, port = self.connection.getsockname()
        moves = {
            "/inside": "http://10.0.0.1/secret",
            "/v6": "http://[::1]/secret",
            "/file": "file:///etc/passwd",
            "/again": "/again",
            "/moved": "/picture",
            "/by-name": f"http://localhost:{port}/picture",
        }
        if self.path in moves:
            self.send_response(302)
            self.send_header("Location", moves[self.path])
            self.end_headers()
            return
        if self.path in _COMPRESSED:
            coding, body = _COMPRESSED[self.path]
            self.send_response(200)
            self.send_header("Content-Encoding", coding)
            self.end_headers()
            self.wfile.write(body)
            return
        if self.path in _NAMED:
            self.send_response(200)
            named = f'attachment; filename="{NAME}"'.encode(_NAMED[self.path])
            self.send_header("Content-Disposition", named.decode("latin-1"))
            self.end_headers()
            return
        self.send_response(200 if self.path != "/gone" else 410)
        self.send_header("Content-Type", "image/png; charset=x")
        self.send_header("Content-Disposition", "attachment; filename*=UTF-8''p%C3%A4%2F..%2Fx.png")
        self.end_headers()
        self.wfile.write(b"x" * (LIMIT * 2 if self.path == "/large" else 1000))

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def _fetcher(allow: str) -> Fetcher:
    return Fetcher(MediaSettings(fetch_allow=allow, fetch_timeout_seconds=5))


async def test_an_allowed_network_is_fetched_from(site: str) -> None:
    async with Spool(LIMIT) as spool:
        file = await _fetcher("127.0.0.1/32").fetch(f"{site}/moved", spool)
        assert (file.size, file.mimetype, file.filename) == (1000, "image/png", "x.png")
        assert file.path.read_bytes() == b"x" * 1000
        path = file.path
    assert not path.exists(), "the spool leaves nothing"


@pytest.mark.parametrize("path", _NAMED)
async def test_a_name_is_read_in_whatever_bytes_it_comes(site: str, path: str) -> None:
    async with Spool(LIMIT) as spool:
        file = await _fetcher("127.0.0.1/32").fetch(f"{site}{path}", spool)
        assert file.filename == NAME


@pytest.mark.parametrize("path", ["/inside", "/v6", "/file", "/again", "/gone", "/by-name"])
async def test_redirects_lead_nowhere_else(site: str, path: str) -> None:
    # localhost is both 127.0.0.1 and ::1 here or there: one address that is not allowed is enough.
    allow = "127.0.0.2/32" if path == "/by-name" else "127.0.0.1/32"
    async with Spool(LIMIT) as spool:
        with pytest.raises(Invalid):
            await _fetcher(allow).fetch(f"{site}{path}", spool)


async def test_this_machine_is_not_public(site: str) -> None:
    async with Spool(LIMIT) as spool:
        for url in (site, site.replace("127.0.0.1", "localhost"), "http://2130706433/"):
            with pytest.raises(Invalid):
                await _fetcher("").fetch(url, spool)


@pytest.mark.parametrize("path", ["/gzip", "/deflate", "/named"])
async def test_what_comes_compressed_is_kept_as_it_was(site: str, path: str) -> None:
    async with Spool(LIMIT) as spool:
        file = await _fetcher("127.0.0.1/32").fetch(f"{site}{path}", spool)
        assert file.path.read_bytes() == PLAIN
        assert file.size == len(PLAIN)


@pytest.mark.parametrize("path", ["/bomb", "/cut", "/lie", "/other", "/twice"])
async def test_what_cannot_be_unpacked_within_its_bounds_is_refused(site: str, path: str) -> None:
    async with Spool(LIMIT) as spool:
        with pytest.raises(BodyTooLarge if path == "/bomb" else Invalid):
            await _fetcher("127.0.0.1/32").fetch(f"{site}{path}", spool)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("attachment; filename=\"fatura.pdf\"; filename*=UTF-8''fatura%20n%C2%BA%203.pdf",
         "fatura nº 3.pdf"),
        ("attachment; filename*=iso-8859-1'en'%A3.pdf; filename=x.pdf", "£.pdf"),
        ("attachment; filename*=nonsense''%41.pdf; filename=y.pdf", "y.pdf"),
        ("attachment; filename*=UTF-8''%FF.pdf; filename=y.pdf", "y.pdf"),
        ("attachment; filename=\"fatura nº 3.pdf\"".encode().decode("latin-1"), "fatura nº 3.pdf"),
        ("attachment; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("inline", "a b.png"),
    ],
)  # fmt: skip
def test_the_name_that_a_server_gives(disposition: str, name: str) -> None:
    headers = {"content-disposition": disposition}
    assert _filename("https://x.example/path/a%20b.png?q", headers) == name


async def test_more_than_the_limit_is_not_taken(site: str) -> None:
    async with Spool(LIMIT) as spool:
        with pytest.raises(BodyTooLarge):
            await _fetcher("127.0.0.1/32").fetch(f"{site}/large", spool)


def test_what_a_page_says_of_itself() -> None:
    html = (
        b"<html><head><title>Plain</title><meta property='og:title' content='Open &amp; Graph'>"
        b"<meta name=description content=About><meta property=og:image content='/p.png'></head>"
    )
    assert read_page(html) == {
        "title": "Open & Graph",
        "description": "About",
        "image": "/p.png",
    }
    with pytest.raises(Refused):
        read_page(b"\xff\xfe no title")
    assert first_link("see (https://x.example/a?b=1), ok") == "https://x.example/a?b=1"
    assert first_link("no link") == ""
