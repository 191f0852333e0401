"""Settings as an operator would write them: by environment variable, secrets masked."""

from __future__ import annotations

from cluster.settings import Settings

__all__ = ["effective"]


def effective(settings: Settings, *, all: bool = False) -> dict[str, str]:
    """Name of the environment variable → value in effect. Without `all` only what was set."""
    found: dict[str, str] = {}
    for group in vars(settings).values():
        prefix = str(group.model_config.get("env_prefix", ""))
        for name in type(group).model_fields:
            if all or name in group.model_fields_set:
                # A SecretStr shows itself as asterisks.
                found[f"{prefix}{name}".upper()] = str(getattr(group, name))
    return dict(sorted(found.items()))
