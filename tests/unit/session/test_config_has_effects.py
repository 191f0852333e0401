"""Every documented field of a session's configuration is read by some part of the gateway."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from cluster.domain.session_config import BROWSERS, IgnoreConfig, SessionConfig

ROOT = Path(__file__).parents[3]
#: Where the model is declared and answered: to be there is no effect.
_DECLARING = {"cluster/domain/session_config.py", "api/models/sessions.py"}


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


#: What WAHA's engines may leave out, and this gateway does not.
_KEPT_ALWAYS = {
    *("gows.storage.messages", "gows.storage.groups", "gows.storage.chats", "gows.storage.labels"),
    *("gows.storage.contacts", "gows.storage.messageSecrets", "noweb.store.enabled"),
}
#: Fields whose one reader is the model itself, with the test that shows their effect.
_BY_THE_MODEL = {
    # IgnoreConfig.ignores
    *("ignore.status", "ignore.groups", "ignore.channels", "ignore.broadcast"),
    # ProxyConfig.url
    *("proxy.server", "proxy.username", "proxy.password"),
    # test_what_is_kept_always_cannot_be_switched_off
    *_KEPT_ALWAYS,
    *("gows", "gows.storage", "noweb", "noweb.store", "webjs"),
}
#: Of engines that are not this one: docs/api/sessions.md says that they have no effect.
_OF_OTHER_ENGINES = {"noweb.store.fullSync", "noweb.markOnline", "webjs.tagsEventsOn"}


@pytest.mark.parametrize(("path", "name"), sorted(set(_fields(SessionConfig))))
def test_somebody_reads_it(path: str, name: str) -> None:
    if path in _BY_THE_MODEL:
        return
    if path in _OF_OTHER_ENGINES:
        assert f"`{path}`" in (ROOT / "docs" / "api" / "sessions.md").read_text()
        return
    reads = re.compile(rf"""["']{name}["']|\.{name}\b""")
    for folder in ("actors", "client", "cluster"):
        for file in (ROOT / folder).rglob("*.py"):
            if str(file.relative_to(ROOT)) in _DECLARING or "cli" in file.parts:
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


@pytest.mark.parametrize("path", sorted(_KEPT_ALWAYS))
def test_what_is_kept_always_cannot_be_switched_off(path: str) -> None:
    for value, taken in ((True, True), (None, True), (False, False)):
        config: Any = value
        for name in reversed(path.split(".")):
            config = {name: config}
        if taken:
            SessionConfig.model_validate(config)
        else:
            with pytest.raises(ValidationError, match="always"):
                SessionConfig.model_validate(config)


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
