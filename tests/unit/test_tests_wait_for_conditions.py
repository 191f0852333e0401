"""Tests wait for what they claim: no sleep and then an assertion, and no private of what is tested
is replaced. `waiting.until`, `stays` and `idle` are there instead."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from syntax_trees import tree_of

TESTS = Path(__file__).parents[1]
Function = ast.FunctionDef | ast.AsyncFunctionDef

#: Here time itself has to pass, at least so much; a busy machine only makes it more.
TIME_PASSES = {
    "test_checkpoint_chains::test_a_clean_end_has_the_last_change_in_a_checkpoint": (
        "the checkpoint of the first change is under way"
    ),
    "test_closed_while_connecting::"
    "test_no_connection_follows_a_close_while_the_library_reconnects": "the moment of the close",
    "test_drain::test_a_node_is_drained_restarted_and_filled_again_under_traffic": (
        "traffic flows before, and a node that is drained is left alone for a while"
    ),
    "test_forged_tokens::test_keys_rotate_while_the_gateway_runs": "the lifetime of a key set",
    "test_live_stores_are_opened_elsewhere::ask_twice": "a process that has nothing to do ends",
    "test_redis_cut::work": "the event loop hears that the connection broke",
    "test_starts::test_a_session_that_worked_for_a_while_begins_anew": "it works for so long",
    "test_zygote::test_a_process_that_has_nothing_to_do_wakes_seldom": (
        "how often it wakes is counted over a while"
    ),
}
#: What is replaced is not what is tested, or is its start and not its work.
PRIVATES = {
    "test_current_settings::_latest": "what this process read before is forgotten",
    "test_going_down::_end_if_cut_off": "loops of their own beside what ends",
    "test_going_down::_repeat": "the same",
    "test_hostile_messages::_client_known": "there is no library behind this client",
    "test_message_id::_made": "a process tries a patch once, and here it has to begin anew",
    "test_message_id::_tried": "the same",
    "test_spool::_to_disk": "counts the calls of fsync by what they are for",
    "test_timing_of_keys::_credentials": "gives a key that notes how it is compared",
}


def functions(tree: ast.Module) -> Iterator[Function]:
    yield from (node for node in ast.walk(tree) if isinstance(node, Function))


def is_sleep(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Expr):
        return False
    call = statement.value.value if isinstance(statement.value, ast.Await) else statement.value
    if not isinstance(call, ast.Call):
        return False
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name != "sleep" or not call.args:
        return False
    # One turn of the event loop is no time.
    return not (isinstance(call.args[0], ast.Constant) and call.args[0].value == 0)


def asserts(statement: ast.stmt) -> bool:
    return any(isinstance(node, ast.Assert) for node in ast.walk(statement))


def blocks(function: Function) -> Iterator[list[ast.stmt]]:
    """Of this function, without those of the functions in it and of loops that wait."""
    waiting: list[ast.AST] = [function]
    while waiting:
        node = waiting.pop()
        for name in ("body", "orelse", "finalbody", "handlers"):
            block = getattr(node, name, [])
            if name != "handlers" and isinstance(block, list):
                yield block
            waiting += [
                inner for inner in block if not isinstance(inner, (*Function.__args__, ast.While))
            ]


def sleeps_and_asserts(function: Function) -> bool:
    return any(
        is_sleep(statement) and any(asserts(following) for following in block[at + 1 : at + 3])
        for block in blocks(function)
        for at, statement in enumerate(block)
    )


def replaced_privates(function: Function) -> Iterator[str]:
    """Names of attributes, as `_mark_sent`; constants, as `_EVERY`, are settings."""
    for node in ast.walk(function):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr == "setattr":
            for given in node.args[:2]:
                if isinstance(given, ast.Constant) and isinstance(given.value, str):
                    name = given.value.rpartition(".")[2]
                    if name.startswith("_") and name != name.upper() and name[1:2] != "_":
                        yield name


def found() -> tuple[set[str], set[str]]:
    """Tests that sleep and assert, and the privates that are replaced, as `file::name`."""
    sleeping, privates = set(), set()
    for path in sorted(TESTS.rglob("*.py")):
        if "node_modules" in path.parts:
            continue
        for function in functions(tree_of(path)):
            if sleeps_and_asserts(function):
                sleeping.add(f"{path.stem}::{function.name}")
            privates |= {f"{path.stem}::{name}" for name in replaced_privates(function)}
    return sleeping, privates


def test_nobody_sleeps_and_asserts_and_replaces_privates() -> None:
    sleeping, privates = found()
    assert sleeping == TIME_PASSES.keys()
    assert privates == PRIVATES.keys()
