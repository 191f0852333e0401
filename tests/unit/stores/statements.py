"""Every SQL statement of the stores, as their sources have it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from syntax_trees import tree_of

STORES = Path(__file__).parents[3] / "cluster" / "stores"
_STATEMENT = re.compile(
    r"\b(SELECT|INSERT INTO|UPDATE \w+|DELETE FROM|RETURNING|LOCK TABLE|NOTIFY|LISTEN)\b"
)


@dataclass(frozen=True)
class Statement:
    """One string of a module that is SQL, or a part of it."""

    module: str
    #: `Class.method`, or the name of the module's constant.
    place: str
    text: str


def statements() -> Iterator[Statement]:
    """Of all modules, in their order."""
    for path in sorted(STORES.glob("*.py")):
        tree = tree_of(path)
        for top in tree.body:
            yield from _of(path.stem, "", top)


def _of(module: str, outer: str, node: ast.stmt) -> Iterator[Statement]:
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            yield from _of(module, node.name, inner)
        return
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            place = f"{outer}.{name}" if outer else name
        case ast.Assign(targets=[ast.Name(id=name)]):
            place = name
        case ast.AnnAssign(target=ast.Name(id=name)):
            place = name
        case _:
            return
    doc = _docstring(node)
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part is not doc:
            text = re.sub(r"--.*", "", part.value)
            if _STATEMENT.search(text):
                yield Statement(module, place, text)


def _docstring(node: ast.stmt) -> ast.AST | None:
    body = getattr(node, "body", None)
    if body and isinstance(body[0], ast.Expr):
        return body[0].value
    return None
