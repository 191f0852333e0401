"""No task ends unnoticed: every place that makes one is known, with who looks after it."""

from __future__ import annotations

import ast
from pathlib import Path

from syntax_trees import tree_of

_MADE_BY = {"create_task", "ensure_future", "TaskGroup"}
_AWAITED = "awaited by who makes it, or cancelled when that one ends"
_SUPERVISED = "a part of a session: its end ends the session (`Owner.supervise`)"
_CALLBACK = "its end is looked at as soon as it comes, in a callback"
_PASSED_ON = "passes its error on to everybody who waits"
_CAUGHT = "short, and catches what it can meet; the next one is made anew"
#: (file, function): where tasks are made without `endless`.
_KNOWN = {
    ("actors/checkpoint/checkpointer.py", "start"): _SUPERVISED,
    ("actors/checkpoint/restore.py", "read"): _AWAITED,
    ("actors/hosts/renewals.py", "renew"): _PASSED_ON,
    ("actors/hosts/slot.py", "__init__"): "the host looks at `done`",
    ("actors/hosts/slot.py", "_after_cut_off"): _AWAITED,
    ("actors/hosts/slot.py", "_back_or_elsewhere"): _AWAITED,
    ("actors/hosts/slot.py", "_run_session"): _AWAITED,
    ("actors/session/disk.py", "becomes_full"): _PASSED_ON,
    ("actors/session/eager_downloads.py", "arrived"): _CAUGHT,
    ("actors/hosts/relocation.py", "reaches_postgresql"): _AWAITED,
    ("actors/supervisor/coalescer.py", "do"): _PASSED_ON,
    ("actors/session/lease.py", "_renewed"): _AWAITED,
    ("actors/session/lease.py", "start"): _SUPERVISED,
    ("actors/session/opening.py", "device"): _AWAITED,
    ("actors/session/outbox.py", "_record"): _CALLBACK,
    ("actors/session/outbox.py", "start"): _SUPERVISED,
    ("actors/session/owner.py", "supervised"): _SUPERVISED,
    ("actors/session/reach.py", "_begin_probe"): "the next send without an answer begins it again",
    ("actors/session/serving.py", "_take_step"): _CAUGHT,
    ("actors/session/session.py", "run"): _AWAITED,
    (
        "actors/supervisor/beside.py",
        "begin",
    ): "catches all; the next tick begins it again",
    ("actors/supervisor/cut_off.py", "_answered"): _AWAITED,
    ("actors/delivery/dispatcher.py", "_take"): "catches all, and counts it as a failed delivery",
    ("actors/whatsapp/neonize_client.py", "_disconnect"): _AWAITED,
    ("actors/whatsapp/neonize_client.py", "close"): _AWAITED,
    ("actors/whatsapp/neonize_client.py", "emit_name"): _CAUGHT,
    ("actors/whatsapp/stream.py", "_pump"): "the group's error is the pump's",
    ("actors/whatsapp/stream.py", "start"): _CALLBACK,
    ("actors/peers.py", "one_that_reaches_postgresql"): _AWAITED,
    ("api/openapi.py", "install"): _CAUGHT,
    ("api/openapi.py", "serve"): _CAUGHT,
    ("api/routers/live.py", "events_over_websocket"): _AWAITED,
    ("api/security/middleware.py", "_watched"): _AWAITED,
    ("client/live.py", "changed"): "readers poll, and begin it again when it has ended",
    ("client/routing.py", "ping"): "says that it ended; the next one is made anew",
    ("client/session.py", "_followed"): _AWAITED,
    ("cluster/local_calls.py", "__init__"): _PASSED_ON,
    ("cluster/local_calls.py", "connected"): _CAUGHT,
    ("cluster/reach.py", "connects"): _AWAITED,
    ("cluster/stores/__init__.py", "open"): "catches and logs all",
    ("cluster/stores/circuit_breaker.py", "_begin_watch"): "the next call begins it again",
    ("cluster/stores/group_commit.py", "_begin_alone"): _PASSED_ON,
    ("cluster/stores/group_commit.py", "one"): _PASSED_ON,
    ("cluster/stores/notifier.py", "notify"): "catches all; the next notification begins it again",
    ("ops/ingress/direct_requests.py", "_call"): _CALLBACK,
    ("ops/ingress/direct_requests.py", "begin"): _CALLBACK,
}


def _found() -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for folder in ("actors", "api", "client", "cluster", "ops"):
        for path in sorted(Path(folder).rglob("*.py")):
            for function in ast.walk(tree_of(path)):
                if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                for call in ast.walk(function):
                    if (
                        isinstance(call, ast.Call)
                        and _name(call.func) in _MADE_BY
                        and not any(
                            isinstance(one, ast.Call) and _name(one.func) == "endless"
                            for one in call.args
                        )
                    ):
                        found[str(path), function.name] = call.lineno
    return found


def _name(node: ast.expr) -> str:
    return (
        node.attr
        if isinstance(node, ast.Attribute)
        else node.id
        if isinstance(node, ast.Name)
        else ""
    )


def test_every_task_is_known() -> None:
    assert _found().keys() == _KNOWN.keys()
