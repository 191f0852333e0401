"""Every documented field of a session's configuration is read by some part of the gateway."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from cluster.domain.session_config import BROWSERS, IgnoreConfig, SessionConfig

ROOT = Path(__file__).parents[3]
#: Where the model is made and told: to be there is no effect.
_TELLING = {"cluster/domain/session_config.py", "api/models/sessions.py"}


def _fields(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        yield f"{path}{name}", name
        for part in _models(field.annotation):
            yield from _fields(part, f"{path}{name}.")


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models(part)


#: Fields whose one reader is the model itself, with the test that shows their effect.
_BY_THE_MODEL = {
    # IgnoreConfig.ignores
    *("ignore.status", "ignore.groups", "ignore.channels", "ignore.broadcast"),
    # ProxyConfig.url
    *("proxy.server", "proxy.username", "proxy.password"),
}


@pytest.mark.parametrize(("path", "name"), sorted(set(_fields(SessionConfig))))
def test_somebody_reads_it(path: str, name: str) -> None:
    if path in _BY_THE_MODEL:
        return
    reads = re.compile(rf"""["']{name}["']|\.{name}\b""")
    for folder in ("actors", "cluster"):
        for file in (ROOT / folder).rglob("*.py"):
            if str(file.relative_to(ROOT)) in _TELLING or "cli" in file.parts:
                continue
            if reads.search(file.read_text()):
                return
    pytest.fail(f"config.{path} is read nowhere")


@pytest.mark.parametrize(
    ("chat", "field"),
    [
        ("120363@g.us", "groups"),
        ("120363@newsletter", "channels"),
        ("status@broadcast", "status"),
        ("4915@broadcast", "broadcast"),
    ],
)
def test_each_kind_of_chat_is_ignored_by_its_own_field(chat: str, field: str) -> None:
    others = {name: True for name in IgnoreConfig.model_fields if name != field}
    assert IgnoreConfig.model_validate({field: True}).ignores(chat)
    assert not IgnoreConfig.model_validate(others).ignores(chat)
    assert not IgnoreConfig(status=True, groups=True).ignores("4915@s.whatsapp.net")


def test_a_proxys_url_has_all_that_was_given() -> None:
    config = {"server": "proxy.example:3128", "username": "a b", "password": "p@ss:/"}
    proxy = SessionConfig.read({"proxy": config}).proxy
    assert proxy is not None
    assert proxy.url == "http://a%20b:p%40ss%3A%2F@proxy.example:3128"
    bare = SessionConfig.read({"proxy": {"server": "socks5://[2001:db8::1]:1080"}}).proxy
    assert bare is not None
    assert bare.url == "socks5://[2001:db8::1]:1080"


def test_what_an_older_version_let_pass_is_left_out_but_never_the_proxy() -> None:
    kept = {"debug": "x", "ignore": 1, "client": {"browserName": "Netscape"}, "webhooks": 3}
    assert SessionConfig.read(kept) == SessionConfig()
    with pytest.raises(ValidationError):
        SessionConfig.read({"proxy": {"server": "not a proxy ::"}})


def test_browsers_are_named_as_whatsapp_names_them() -> None:
    from neonize.proto.waCompanionReg.WAWebProtobufsCompanionReg_pb2 import DeviceProps

    assert set(BROWSERS.values()) <= set(DeviceProps.PlatformType.keys())
