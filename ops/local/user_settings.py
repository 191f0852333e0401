"""Which settings the user made: those parts are theirs, the host starts the others itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic_settings import BaseSettings

from cluster.settings import Settings
from ops.local.generated_secrets import api_key, checkpoint_keys

__all__ = ["UserSettings", "groups", "variable_of", "variables"]


def groups(settings: Settings) -> Iterator[BaseSettings]:
    """All groups of the settings, in their order."""
    yield from (group for group in vars(settings).values() if isinstance(group, BaseSettings))


def variable_of(group: BaseSettings, field: str) -> str:
    """The environment variable of a setting."""
    return f"{group.model_config.get('env_prefix', '')}{field}".upper()


def variables() -> set[str]:
    """The environment variables of all settings."""
    return {
        variable_of(group, field)
        for group in groups(Settings())
        for field in type(group).model_fields
    }


@dataclass(frozen=True, slots=True)
class UserSettings:
    """What the user set, read once from the environment and `.env`."""

    settings: Settings

    @classmethod
    def read(cls) -> UserSettings:
        return cls(Settings())

    @property
    def has_database(self) -> bool:
        return "database_url" in self.settings.stores.model_fields_set

    @property
    def has_redis(self) -> bool:
        return "redis_url" in self.settings.stores.model_fields_set

    @property
    def has_objects(self) -> bool:
        return "s3_endpoint" in self.settings.stores.model_fields_set

    @property
    def http_port(self) -> int | None:
        """None where the user left it open."""
        http = self.settings.http
        return (http.port or None) if "port" in http.model_fields_set else None

    @property
    def webhook_networks(self) -> str:
        """Beside a gateway of one machine, receivers on this machine are the usual thing."""
        hooks = self.settings.webhooks
        return hooks.allow if "allow" in hooks.model_fields_set else "127.0.0.0/8,::1/128"

    def dispatchers(self, nodes: int) -> int:
        """More than one are for the loss of a node; Ray starts one that ended again either way."""
        hooks = self.settings.webhooks
        return hooks.dispatchers if "dispatchers" in hooks.model_fields_set else min(2, nodes)

    def fronts(self, nodes: int) -> int:
        """On how many nodes of this machine Serve's processes are forked: a replica each."""
        forks = self.settings.placement.fork
        return min(nodes, self.settings.http.replicas_on(nodes, machines=1)) if forks else 0

    @property
    def webhook_tenants(self) -> str:
        """Of this machine, unasked, only the operator's tenant reaches anything: its stores listen
        here as well."""
        hooks = self.settings.webhooks
        chosen = {"allow", "allow_tenants"} & hooks.model_fields_set
        return hooks.allow_tenants if chosen else "default"

    def secrets(self, folder: Path) -> dict[str, str]:
        """The user's secrets; those not set are made and kept in `folder`."""
        keys = self.settings.checkpoint.keys.get_secret_value()
        key = self.settings.http.api_key.get_secret_value()
        return {
            "CHECKPOINT_KEYS": keys or checkpoint_keys(folder),
            "HTTP_API_KEY": key or api_key(folder),
        }
