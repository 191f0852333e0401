"""A transaction of several round trips holds its rows for as long as its client is silent: which
ones there are, and who can be kept waiting by a machine that is cut off inside."""

from __future__ import annotations

import ast
from pathlib import Path

from syntax_trees import tree_of

_STORES = Path("cluster/stores")
#: Those that hold a fence are ended after two seconds of silence (`hold_fence`).
_FENCED = {
    ("sessions.py", "forget_device"),
    ("history.py", "record"),
    ("groups.py", "write"),
    ("chats.py", "set_timer"),
    ("people.py", "paired"),
    ("people.py", "finish_moves"),
}
_OTHERS = {
    ("media.py", "collect"): "files whose time is over; who stores one of them again waits",
    ("webhooks.py", "set_global"): "sent as one (a pipeline): nothing waits for the client",
}


def test_every_transaction_is_known() -> None:
    found: dict[tuple[str, str], ast.AST] = {}
    for path in sorted(_STORES.glob("*.py")):
        for function in ast.walk(tree_of(path)):
            if isinstance(function, ast.AsyncFunctionDef | ast.FunctionDef):
                for call in ast.walk(function):
                    if _called(call) == "transaction":
                        found[path.name, function.name] = function
    assert found.keys() - _OTHERS.keys() == _FENCED
    for key, function in found.items():
        names = {_called(call) for call in ast.walk(function)}
        assert ("hold_fence" in names) == (key in _FENCED), key
    pipeline = found["webhooks.py", "set_global"]
    assert "pipeline" in {_called(call) for call in ast.walk(pipeline)}
    # What is asked inside would be waited for.
    assert not any(
        isinstance(one, ast.Await) and _called(one.value) in {"fetchone", "fetchall"}
        for one in ast.walk(pipeline)
    )


def test_transactions_are_made_nowhere_else() -> None:
    for folder in ("actors", "api", "client", "cluster", "ops"):
        for path in sorted(Path(folder).rglob("*.py")):
            if path.parent != _STORES:
                calls = {_called(node) for node in ast.walk(tree_of(path))}
                assert "transaction" not in calls, path


def _called(node: ast.AST) -> str:
    return (
        node.func.attr
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        else node.func.id
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        else ""
    )
