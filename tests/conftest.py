"""Real stores for the tests that need them: started once, a fresh client each."""

from __future__ import annotations

import gc
import itertools
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import pytest_asyncio
import structlog

from cluster.settings import HttpSettings, Settings, StoreSettings
from cluster.stores import Stores
from cluster.stores.migrate import migrate
from ops.embedded import EmbeddedStores

_names = itertools.count()
_ATTACKS = Path(__file__).parent / "attack"
# Workers are given the width of a terminal that they do not have; rich takes it for good.
os.environ.pop("COLUMNS", None)

# As in production: what structlog itself makes of a traceback takes a second each time.
_PLAIN = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _PLAIN])

# How long an example takes depends on the machine's load, not on the code.
hypothesis.settings.register_profile("gateway", deadline=None)
hypothesis.settings.load_profile("gateway")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What one worker runs when tests run side by side: a file, all that shares the gateway of the
    acceptance tests, or a test whose code runs in a fresh process. And what belongs to the attack
    suite by its place."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        shared = "gateway" in fixtures and "acceptance" in item.path.parts
        alone = item.nodeid if "fresh" in fixtures else str(item.path)
        item.add_marker(pytest.mark.xdist_group("gateway" if shared else alone))
        if item.path.is_relative_to(_ATTACKS):
            item.add_marker(pytest.mark.attack)


def pytest_collection_finish() -> None:
    """What was imported stays: the search for garbage need not go through it again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def embedded_stores() -> Iterator[EmbeddedStores]:
    """The running servers, migrated."""
    with tempfile.TemporaryDirectory(prefix="gateway-stores-") as folder:
        # As root, PostgreSQL runs as another user and has to get through.
        Path(folder).chmod(0o711)
        with EmbeddedStores(Path(folder)) as stores:
            migrate(stores.env()["DATABASE_URL"])
            yield stores


@pytest.fixture(scope="session")
def stores_env(embedded_stores: EmbeddedStores) -> dict[str, str]:
    """`DATABASE_URL`, `REDIS_URL`, `S3_…` of the servers."""
    return embedded_stores.env()


@pytest.fixture
def store_settings(stores_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that lead to the embedded servers."""
    for name, value in stores_env.items():
        monkeypatch.setenv(name, value)
    return Settings(stores=StoreSettings(_env_file=os.devnull))  # type: ignore[call-arg, unused-ignore]


@pytest_asyncio.fixture
async def stores(store_settings: Settings) -> AsyncIterator[Stores]:
    """Open stores of this test's event loop."""
    opened = await Stores.open(store_settings)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """The OpenAPI document. One for all: it takes seconds to make."""
    from api.app import create_app

    return create_app(lambda: None, HttpSettings()).openapi()  # type: ignore[arg-type, return-value]


@pytest.fixture
def session_name() -> Callable[[], str]:
    """Names that no other test uses."""
    return lambda: f"test-{os.getpid()}-{next(_names)}"
