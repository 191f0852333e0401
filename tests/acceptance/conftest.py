"""One running gateway for all acceptance tests: two Ray nodes, real stores, the sandbox."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from event_receiver import Receiver
from file_giver import Giver
from otlp_collector import Collector
from people import People, Person
from running_gateway import Phone, RunningGateway, until
from waha import WahaClient

from ops.embedded.process import free_ports

_names = itertools.count(1)
#: Loopback, where nobody's URL may lead to, but not 127.0.0.1: the gateway of the tests allows it.
_FILES = "127.0.0.2"
#: The gateway that all share, until it goes down.
_up: list[RunningGateway] = []


@pytest.fixture(scope="session")
def data_folder() -> Iterator[Path]:
    # Short: Ray's sockets live under it; open to the user that PostgreSQL runs as under root.
    with tempfile.TemporaryDirectory(prefix="gw-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Takes the traces of the gateway: of those requests only that ask for one."""
    with Collector.running() as one:
        yield one


@pytest.fixture(scope="session")
def gateway(data_folder: Path, collector: Collector) -> Iterator[RunningGateway]:
    """Up for the whole run; nothing in it is shared but the processes."""
    environment = {
        "MEDIA_FETCH_ALLOW": f"{_FILES}/32",
        # Readers of live streams are cut off after little.
        "HTTP_LIVE_BYTES": str(1 << 20),
        "TRACING_OTLP_ENDPOINT": collector.url,
        "TRACING_SAMPLE_RATIO": "0",
        "TRACING_DELAY_SECONDS": "0.5",
    }
    running = RunningGateway(data_folder / "main", environment=environment, dashboard=True)
    _up.append(running)
    try:
        yield running.up()
    finally:
        if _up:
            _up.pop().down()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Where tests run side by side, one worker has all that need the gateway, one after the other:
    after the last of them it goes down, and not when nothing else is left to do."""
    yield
    if "PYTEST_XDIST_WORKER" in os.environ and _up and not _shares(nextitem):
        _up.pop().down()


def _shares(item: pytest.Item | None) -> bool:
    return "gateway" in getattr(item, "fixturenames", ())


@pytest.fixture
def session_name() -> Callable[[], str]:
    """Names that no other test uses."""
    return lambda: f"s{os.getpid()}-{next(_names)}"


@pytest.fixture(scope="module")
def pair(gateway: RunningGateway) -> tuple[tuple[str, Phone], tuple[str, Phone]]:
    """Two working sessions of this module, with their phones."""
    both = []
    for number in (1, 2):
        name = f"pair{next(_names)}-{number}"
        phone = gateway.phone(f"Person {number}")
        gateway.paired(name, phone)
        both.append((name, phone))
    return both[0], both[1]


def _greeted(phone: Phone) -> bool:
    return "hello" in phone.texts()


@pytest.fixture(scope="session")
def people(gateway: RunningGateway) -> Iterator[People]:
    """Three accounts for the whole run: whoever changes their names or pictures says so."""
    found = []
    for name in ("alice", "bob", "carol"):
        phone = gateway.phone(name.title())
        if name != "carol":
            gateway.paired(f"{name}-{os.getpid()}", phone)
        lid = gateway.control.get(f"/phones/{phone.number}").raise_for_status().json()["lid"]
        found.append(Person(f"{name}-{os.getpid()}", phone, f"{lid}@lid"))
    # A LID and a number are known to be one person once there was a word between them.
    alice, *others = found
    for other in others:
        gateway.send(alice.session, other.phone.chat, "hello")
        until(partial(_greeted, other.phone), what="the first word")
    waha = WahaClient(base_url=gateway.state.url, api_key=gateway.state.api_key)
    with contextlib.closing(waha):
        yield People(gateway, waha, *found)


@pytest.fixture(scope="session")
def served_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the URL where it is served from: an address that the gateway may fetch from."""
    folder, (port,) = tmp_path_factory.mktemp("served"), free_ports(1)
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", _FILES, "-d", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://{_FILES}:{port}"
    until(lambda: _answers(url), what="the file server")
    yield folder, url
    server.kill()
    server.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def giver(people: People, served_files: tuple[Path, str]) -> Giver:
    return Giver(people, *served_files)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver.running() as one:
        yield one
