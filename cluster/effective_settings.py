"""Settings as an operator would write them: by environment variable, secrets masked."""

from __future__ import annotations

import re

from cluster.settings import Settings

__all__ = ["effective"]

_MASK = "**********"
#: What carries secrets without being one: `https://user:password@host/path?token=…`.
_USER = re.compile(r"(?<=://)[^/@\s,]*@")
_QUERY = re.compile(r"\?[^\s,]*")
_HEADERS = re.compile(r"headers?$")


def effective(settings: Settings, *, all: bool = False) -> dict[str, str]:
    """Name of the environment variable → value in effect. Without `all` only what was set."""
    found: dict[str, str] = {}
    for group in vars(settings).values():
        prefix = str(group.model_config.get("env_prefix", ""))
        for name in type(group).model_fields:
            if all or name in group.model_fields_set:
                found[f"{prefix}{name}".upper()] = _shown(name, getattr(group, name))
    return dict(sorted(found.items()))


def _shown(name: str, value: object) -> str:
    # A SecretStr shows itself as asterisks.
    text = str(value)
    if _HEADERS.search(name):
        return _MASK if text else ""
    if "://" in text:
        return _QUERY.sub(f"?{_MASK}", _USER.sub(f"{_MASK}@", text))
    return text
