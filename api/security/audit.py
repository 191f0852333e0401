"""The audit log: what changed sessions, settings and keys, by whom, with what outcome."""

from __future__ import annotations

import structlog
from starlette.types import Message, Scope, Send

from api.gateway import Gateway
from api.security.authorization import needs, template_of
from api.security.caller import address_of, tool_of
from cluster.domain.errors import GatewayError
from cluster.domain.principal import Action, Principal
from cluster.stores.audit import AuditEntry

__all__ = ["audited"]

log = structlog.get_logger(__name__)

_WATCHED = frozenset({Action.CONTROL, Action.SETTING, Action.DELETE, Action.APP})


def audited(scope: Scope, send: Send, principal: Principal, gateway: Gateway) -> Send:
    """`send` that notes the answer to a control action, refused ones too, before it is out."""
    if scope["method"] in {"GET", "HEAD", "OPTIONS"}:
        return send

    async def noted(message: Message) -> None:
        if message["type"] == "http.response.start":
            await _note(scope, principal, gateway, message["status"])
        await send(message)

    return noted


async def _note(scope: Scope, principal: Principal, gateway: Gateway, status: int) -> None:
    template = template_of(scope)
    takes = needs(scope["method"], template)
    tool = tool_of(scope)
    # What an agent sends is noted as well: nobody wrote it down elsewhere.
    watched = _WATCHED if tool is None else _WATCHED | {Action.SEND}
    if not isinstance(takes, str) and watched.isdisjoint(takes):
        return
    action = f"{scope['method']} {template}"
    entry = AuditEntry(
        tenant=principal.tenant,
        who=principal.who,
        address=address_of(scope),
        action=action if tool is None else f"MCP {tool.name}: {action}",
        session=tool.session if tool else str(scope.get("path_params", {}).get("session", "")),
        status=status,
        request_id=str(scope.get("state", {}).get("request_id", "")),
    )
    facts = {"who": entry.who, "tenant": entry.tenant, "action": entry.action, "status": status}
    log.info("audit", session=entry.session, address=entry.address, **facts)
    try:
        await gateway.keys.note(entry)
    except GatewayError as error:
        # The action has happened; that it is in the log above must do.
        log.error("audit.not_kept", error=error.code, **facts)
