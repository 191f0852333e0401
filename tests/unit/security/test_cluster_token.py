"""No cluster without the token that lets into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.domain.errors import Invalid
from cluster.security.cluster_token import cluster_token

_TOKEN = "t" * 64


def test_the_token_comes_from_the_environment_or_its_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("f" * 64 + "\n")
    known = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(file)}
    assert cluster_token(known) == "f" * 64
    assert cluster_token(known | {"RAY_AUTH_TOKEN": _TOKEN}) == _TOKEN


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"RAY_AUTH_TOKEN": _TOKEN},
        {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": _TOKEN},
        {"RAY_AUTH_MODE": "token"},
        {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "short"},
        {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/nowhere"},
    ],
)
def test_an_open_cluster_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(Invalid, match=r"token|TOKEN"):
        cluster_token(environment)
