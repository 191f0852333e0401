"""Names are words of the field; docs/glossary.md has those of the house that stay."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from syntax_trees import tree_of

ROOT = Path(__file__).parents[2]
ROOMS = ("actors", "api", "client", "cluster", "ops", "sandbox", "benchmarks", "examples")

#: What the field says instead.
INSTEAD = {
    "tell": "emit, publish, report",
    "told": "emit, publish, report",
    "teller": "event source",
    "happenings": "events",
    "look": "poll, probe",
    "looks": "polls, probes",
    "looked": "polled, probed, read",
    "poke": "wake, notify",
    "poked": "woken, notified",
    "away": "unreachable",
    "beat": "heartbeat, window",
    "beats": "heartbeats",
    "parked": "held",
    "shunned": "cordoned",
    "excuse": "forgive",
    "worn": "retired",
    "vault": "device store",
    "copier": "snapshotter",
    "suspects": "liveness",
    "leftovers": "orphaned spools",
    "buried": "dead lettered",
    "lean": "import stubs",
}
#: Plain English, or a name of somebody else.
ALLOWED = {
    "move_away": "to another node",
    "_move_away": "to another node",
    "MoveAway": "to another node",
    "_FAR_AWAY": "of a server",
    "away_from": "a field of a log line: the node that is left",
    "looked_up": "to look up",
    "_look_up": "to look up",
    "_LOOKS_UP": "to look up",
    "tell": "of a file",
    "look": "what supervisors of the version before call",
}
#: Names of tests are sentences: of these words only the other meanings are the field's.
SENTENCES = INSTEAD.keys() - {"away", "look", "looked", "lean"}


def names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name) | ast.Name(id=name) | ast.arg(arg=name):
                yield name
            case ast.Attribute(attr=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name


def words(name: str) -> set[str]:
    return {one.lower() for one in re.findall("[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def files() -> Iterator[Path]:
    yield ROOT / "serve_app.py"
    for room in ROOMS:
        yield from (ROOT / room).rglob("*.py")


def test_names_of_tests_are_words_of_the_field() -> None:
    strange = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "tests").rglob("*.py")
        for name in names(tree_of(path))
        if words(name) & SENTENCES and name not in ALLOWED
    }
    assert not strange


def test_names_are_words_of_the_field() -> None:
    found: set[str] = set()
    strange: dict[str, str] = {}
    for path in files():
        for name in names(tree_of(path)):
            if of_the_house := sorted(words(name) & INSTEAD.keys()):
                found.add(name)
                if name not in ALLOWED:
                    place = f"{path.relative_to(ROOT)}: {name}"
                    strange[place] = ", ".join(INSTEAD[one] for one in of_the_house)
    assert not strange
    assert found == ALLOWED.keys(), "an exception that nobody needs any more"


def test_words_of_a_name() -> None:
    assert words("_LOOK_SECONDS") == {"look", "seconds"}
    assert words("MoveAway") == {"move", "away"}
    assert words("till_told") == {"till", "told"}
