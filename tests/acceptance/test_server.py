"""What the server says of itself, through WAHA's generated client."""

from __future__ import annotations

import pytest
from people import People
from waha import models


def test_alive_well_and_of_this_version(people: People) -> None:
    waha = people.waha
    assert waha.ping.ping() == {"message": "pong"}
    health = waha.health.check()
    assert health["status"] == "ok"
    assert {"postgresql", "redis", "s3"} <= health["info"].keys()
    for answer in (waha.server.get(), waha.version.get()):
        assert models.WAHAEnvironment.model_validate(answer).engine == "GOWS"
    assert models.ServerStatusResponse.model_validate(waha.server.status()).uptime > 0


def test_settings_are_returned_and_secrets_are_not(people: People) -> None:
    settings = people.waha.server.environment({"all": True})
    assert settings["S3_BUCKET"]
    text = str(settings)
    assert people.gateway.state.api_key not in text
    assert set(settings["DATABASE_URL"]) == {"*"}
    assert len(people.waha.server.environment()) <= len(settings)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/server/stop"),
        ("GET", "/api/server/debug/cpu"),
        ("GET", "/api/server/debug/heapsnapshot"),
        ("GET", "/api/server/debug/browser/trace/default"),
    ],
)
def test_what_a_cluster_without_browsers_cannot_do_says_why(
    people: People, method: str, path: str
) -> None:
    status, problem = people.refused(method, path)
    assert status == 501
    assert problem["detail"]
