"""Secrets of a session's configuration: written, never read back.

Answers have a mask in their place, whatever the scope of the key: who may read a session need not
be able to sign its webhooks. A configuration that comes back with masks keeps what they stand for,
where the secret goes to the same place as before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from cluster.domain.errors import Invalid

__all__ = ["MASK", "masked", "masked_url", "unmasked"]

MASK = "***"
_URL = re.compile(r"(?P<scheme>[a-z]+://)(?P<place>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.S)
#: A part of a path that looks drawn by chance: the secret of a hook (Slack, Discord, Telegram).
_DRAWN = re.compile(r"\A(?=.*\d)(?=.*[A-Za-z])[\w:.%~-]{20,}")
#: Names, in settings of engines, of what is nobody's business.
_SECRET_NAMES = re.compile(r"(?i)(password|passwd|secret|token|api_?-?key|authorization)$")
_OWN = frozenset({"webhooks", "proxy", "metadata"})


def masked(config: dict[str, Any]) -> dict[str, Any]:
    """What is shown of a configuration; one that is none (an older import let it in): nothing."""
    shown = deepcopy(config) if isinstance(config, dict) else {}
    for hook in _hooks(shown):
        if isinstance(hook.get("url"), str):
            hook["url"] = masked_url(hook["url"])
        for parent, name in _slots_of(hook):
            parent[name] = MASK
    if isinstance(proxy := shown.get("proxy"), dict):
        proxy["server"] = _masked_place(str(proxy.get("server", "")))
        if proxy.get("password"):
            proxy["password"] = MASK
    for parent, name, _ in _named(shown):
        parent[name] = MASK
    return shown


def masked_url(url: str) -> str:
    """Without user and password, values of the query, and parts of the path drawn by chance."""
    found = _URL.fullmatch(url)
    if found is None:
        return MASK
    path = "/".join(MASK if _DRAWN.fullmatch(part) else part for part in found["path"].split("/"))
    query, _, fragment = found["rest"].removeprefix("?").partition("#")
    if found["rest"].startswith("#"):
        query, fragment = "", found["rest"][1:]
    query = "&".join(
        f"{part.partition('=')[0]}={MASK}" if "=" in part else MASK
        for part in query.split("&")
        if part
    )
    return (
        f"{found['scheme']}{_masked_place(found['place'])}{path}"
        + (f"?{query}" if query else "")
        + (f"#{MASK}" if fragment else "")
    )


def unmasked(config: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """`config` with what `before` has wherever it says the mask.

    Raises `Invalid` naming the field where nothing is kept for it. A secret stays with the very URL
    or server that it was given for: else whoever may change settings could have it sent to himself.
    """
    kept = deepcopy(config)
    known, now = list(_hooks(before)), list(_hooks(config))
    for place, hook in enumerate(_hooks(kept)):
        if MASK in str(hook.get("url")) or any(h[n] == MASK for h, n in _slots_of(hook)):
            field = f"config.webhooks.{place}"
            old = _same(now[place], now, known, field)
            hook["url"] = old["url"]
            theirs = _values(old)
            for key, (parent, name) in _keyed(hook).items():
                if parent[name] == MASK:
                    if key not in theirs:
                        raise _missing(f"{field}.{key[0]}")
                    parent[name] = theirs[key]
    if isinstance(proxy := kept.get("proxy"), dict) and MASK in (
        proxy.get("password"),
        str(proxy.get("server")).partition("@")[0],
    ):
        old_proxy = before.get("proxy")
        shown = masked({"proxy": old_proxy})["proxy"] if isinstance(old_proxy, dict) else {}
        if any(shown.get(name) != proxy.get(name) for name in ("server", "username", "password")):
            raise _missing("config.proxy.password")
        assert isinstance(old_proxy, dict)  # noqa: S101 - else nothing was shown
        proxy |= {name: old_proxy[name] for name in ("server", "password") if name in old_proxy}
    old_named = {path: parent[name] for parent, name, path in _named(before)}
    for parent, name, path in _named(kept):
        if parent[name] == MASK:
            if path not in old_named:
                raise _missing(f"config.{path}")
            parent[name] = old_named[path]
    return kept


def _hooks(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    hooks = config.get("webhooks")
    yield from (hook for hook in _listed(hooks) if isinstance(hook, dict))


def _keyed(hook: dict[str, Any]) -> dict[tuple[str, int], tuple[dict[str, Any], str]]:
    """Where a webhook has secrets, by a name that stays: of headers of the same name the how
    manieth."""
    found: dict[tuple[str, int], tuple[dict[str, Any], str]] = {}
    if isinstance(hmac := hook.get("hmac"), dict) and hmac.get("key"):
        found["hmac.key", 0] = (hmac, "key")
    for header in _listed(hook.get("customHeaders")):
        if isinstance(header, dict) and header.get("value"):
            name = f"customHeaders.{str(header.get('name')).lower()}"
            found[name, sum(1 for known, _ in found if known == name)] = (header, "value")
    return found


def _slots_of(hook: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    yield from _keyed(hook).values()


def _values(hook: dict[str, Any]) -> dict[tuple[str, int], Any]:
    return {key: parent[name] for key, (parent, name) in _keyed(hook).items()}


def _same(
    hook: dict[str, Any], now: list[dict[str, Any]], known: list[dict[str, Any]], field: str
) -> dict[str, Any]:
    """The webhook of before that `hook` is: by its URL, masked or whole, and by their order where
    several have that."""
    url = str(hook.get("url"))
    fitting = [old for old in known if url in (old.get("url"), masked_url(str(old.get("url"))))]
    if not fitting:
        raise _missing(f"{field}.url" if MASK in url else field)
    alike = [one for one in now if one.get("url") == url]
    if len(alike) == len(fitting):
        return next(old for one, old in zip(alike, fitting, strict=True) if one is hook)
    first, *others = fitting
    if any((old["url"], _values(old)) != (first["url"], _values(first)) for old in others):
        raise Invalid(
            f"{field} may be one of several webhooks: give its URL and secrets again", field=field
        )
    return first


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _masked_place(place: str) -> str:
    return f"{MASK}@{place.rpartition('@')[2]}" if "@" in place else place


def _named(config: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Texts in settings of engines that are secrets by their names: holder, name, path."""
    stack = [(config, name, name) for name in config if name not in _OWN]
    while stack:
        parent, name, path = stack.pop()
        value = parent[name]
        if isinstance(value, dict):
            stack += [(value, inner, f"{path}.{inner}") for inner in value]
        elif isinstance(value, str) and value and _SECRET_NAMES.search(name):
            yield parent, name, path


def _missing(field: str) -> Invalid:
    return Invalid(
        f"{field} is masked and nothing is kept for it, or it was kept for another URL: "
        "give it again",
        field=field,
    )
