"""Supervisor, agents and dispatchers are forked like a session's process, and are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actors.zygote import spares as spare
from actors.zygote.import_stubs import SESSION_PROCESS
from actors.zygote.options import (
    become_control,
    control_options,
    own_cert_file,
    session_environment,
)
from cluster.settings import PlacementSettings, Settings, WhatsAppSettings


def _settings(*, fork: bool = True) -> Settings:
    return Settings(
        placement=PlacementSettings(_env_file=os.devnull, fork=fork),  # type: ignore[call-arg, unused-ignore]
        whatsapp=WhatsAppSettings(
            _env_file=os.devnull,  # type: ignore[call-arg, unused-ignore]
            sandbox_root_key="00" * 32,
            sandbox_ca_bundle="/of/the/sandbox.pem",
        ),
    )


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are forked on Linux")
@pytest.mark.parametrize("own", ["/of/the/node.pem", ""])
def test_one_has_the_certificates_of_its_node_and_is_no_spare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", own) if own else monkeypatch.delenv(
        "SSL_CERT_FILE", raising=False
    )
    settings = _settings()
    cert_file = own_cert_file(settings)
    # The variables of a session's process, to be forked from the same zygote.
    variables = control_options(settings)["runtime_env"]["env_vars"]
    assert variables == session_environment(settings)
    assert variables["SSL_CERT_FILE"] == "/of/the/sandbox.pem"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    spare.announce()
    assert spare.spares(tmp_path) == 1
    become_control(cert_file)
    assert spare.spares(tmp_path) == 0
    assert os.environ.get("SSL_CERT_FILE", "") == own
    assert SESSION_PROCESS not in os.environ


def test_where_nothing_is_forked_it_starts_as_ray_starts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = _settings(fork=False)
    assert control_options(settings) == {}
    assert own_cert_file(settings) is None
    monkeypatch.setenv("SSL_CERT_FILE", "/as/it/was.pem")
    become_control(None)
    assert os.environ["SSL_CERT_FILE"] == "/as/it/was.pem"
