"""Requests to every operation of an OpenAPI document, aimed at a session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Shot", "shots"]

#: Names under which a request says which session it means.
SESSION_FIELDS = frozenset({"session", "name"})
_FILLED = {"file": "false_4915100002@c.us_3EB0AAAAAAAAAAAAAAAA", "chatId": "4915100002@c.us"}
_MAX_DEPTH = 6
#: It never ends for a caller of any kind: tests of its own ask whose events it sends.
_ENDLESS = frozenset({"/api/events/stream"})


@dataclass(frozen=True)
class Shot:
    """One request."""

    method: str
    path: str
    template: str
    query: dict[str, Any]
    body: Any
    #: Whether it names the session.
    aimed: bool


def shots(document: dict[str, Any], session: str) -> Iterator[Shot]:
    """Every operation once."""
    for template, operations in document["paths"].items():
        if template in _ENDLESS:
            continue
        for method, operation in operations.items():
            yield _shot(document, method.upper(), template, operation, session)


def _shot(
    document: dict[str, Any], method: str, template: str, operation: dict[str, Any], session: str
) -> Shot:
    path, query, aimed = template, {}, False
    for parameter in operation.get("parameters", ()):
        name, place = parameter["name"], parameter["in"]
        value = _FILLED.get(name) or _value(document, parameter.get("schema", {}), session)
        if name == "session":
            value, aimed = session, True
        if place == "path":
            path = path.replace(f"{{{name}}}", str(value))
        elif place == "query" and (parameter.get("required") or name == "session"):
            query[name] = value
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    body = _value(document, schema, session) if schema else None
    if isinstance(body, dict) and not aimed and (fields := SESSION_FIELDS & body.keys()):
        body |= dict.fromkeys(fields, session)
        aimed = True
    return Shot(method, path, template, query, body, aimed)


def _value(document: dict[str, Any], schema: dict[str, Any], session: str, depth: int = 0) -> Any:
    """A value that the schema takes, as small as can be."""
    if "$ref" in schema:
        named = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return _value(document, named, session, depth)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            kinds = [kind for kind in schema[choice] if kind.get("type") != "null"]
            return _value(document, kinds[0], session, depth)
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("default") is not None:
        return schema["default"]
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            needed = set(schema.get("required", ())) | SESSION_FIELDS | {"chatId"}
            if depth > _MAX_DEPTH:
                return {}
            return {
                name: session
                if name == "session"
                else _FILLED.get(name) or _value(document, kind, session, depth + 1)
                for name, kind in schema.get("properties", {}).items()
                if name in needed
            }
        case "array":
            return [_value(document, schema.get("items", {}), session, depth + 1)]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case _:
            return "x" * max(3, schema.get("minLength", 0))
