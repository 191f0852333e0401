"""Examples of bodies, put together from those of their fields. Pure."""

from __future__ import annotations

from typing import Any

__all__ = ["example_of"]

_DEEP = 6
_OF_TYPES: dict[str, Any] = {
    "string": "text",
    "integer": 1,
    "number": 1.0,
    "boolean": True,
    "null": None,
}


def example_of(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> Any:
    """A value that fits a JSON schema: its own example where it has one, else what its parts give.
    `schemas`: those that `$ref` names. Optional fields appear where they have an example."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas, depth + 1)
    if "example" in schema:
        return schema["example"]
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("default") is not None:
        return schema["default"]
    for choice in ("anyOf", "oneOf", "allOf"):
        if schema.get(choice):
            return example_of(schema[choice][0], schemas, depth + 1)
    if schema.get("type") == "object":
        return _object(schema, schemas, depth)
    if schema.get("type") == "array":
        fits = depth < _DEEP and schema.get("items")
        return [example_of(schema["items"], schemas, depth + 1)] if fits else []
    return _OF_TYPES.get(schema.get("type", ""), {})


def _object(schema: dict[str, Any], schemas: dict[str, Any], depth: int) -> dict[str, Any]:
    if depth >= _DEEP:
        return {}
    required = schema.get("required", [])
    return {
        name: example_of(part, schemas, depth + 1)
        for name, part in schema.get("properties", {}).items()
        if name in required or part.get("examples") or "example" in part
    }
