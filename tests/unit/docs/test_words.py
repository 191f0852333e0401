"""Names are the field's: words that were retired do not come back as identifiers.

Prose may use them where they are plain English; settings, columns and fields of JSON keep theirs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from syntax_trees import tree_of

ROOT = Path(__file__).parents[3]
#: Retired → what the field says.
RETIRED = {
    "tell": "emit, publish, report, notify",
    "tells": "emits, publishes, reports",
    "told": "emitted, reported; payload, record, event, answer",
    "teller": "event source",
    "telling": "flush, publishing",
    "worn": "retired",
    "shunned": "cordoned",
    "suspect": "liveness",
    "suspects": "liveness",
    "excuse": "forgive",
    "excused": "forgiven",
    "happening": "event",
    "happenings": "side events",
    "together": "coalescer, batcher",
    "buried": "dead-lettered",
    "strike": "fire",
    "suffer": "apply faults",
    "spoils": "corrupts",
    "lately": "a TTL",
    "uneven": "imbalance",
    "vault": "device store manager",
    "pulse": "probe",
    "news": "events",
    "complaint": "error",
    "copier": "snapshotter",
    "abandon": "discard, release, cancel",
    "abandoned": "orphaned, discarded",
    "hinted": "notified",
}
#: The same, of several words.
RETIRED_PHRASES = {
    "let_go": "release",
    "stand_down": "disarm",
    "pass_on": "hand over",
    "look_again": "poll",
    "owned_at_most": "max reacquisitions",
    "owns_again": "reacquires",
    "way_out": "proxy connector",
    "once_started": "wait for a status",
    "kept_as": "canonical chat",
}
#: Files' own method, and a field of the sandbox's JSON.
ALLOWED = {("", "tell"), ("sandbox/control", "spoils")}


def _identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg() | ast.keyword():
                yield node.lineno, node.arg or ""
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield node.lineno, name
            case ast.alias():
                yield node.lineno, node.asname or node.name


def _words(identifier: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)}


def _retired(path: str, tree: ast.AST) -> list[str]:
    found = [(0, Path(path).stem), *_identifiers(tree)]
    return [
        f"{path}:{line}: {name}: say {better}"
        for line, name in found
        for better in (
            *(RETIRED[word] for word in _words(name) & RETIRED.keys()),
            *(better for phrase, better in RETIRED_PHRASES.items() if phrase in name.lower()),
        )
        if not any(path.startswith(where) and name == one for where, one in ALLOWED)
    ]


@pytest.mark.parametrize("package", ["actors", "api", "client", "cluster", "ops", "sandbox"])
def test_no_identifier_has_a_retired_word(package: str) -> None:
    found = [
        one
        for path in sorted((ROOT / package).rglob("*.py"))
        for one in _retired(path.relative_to(ROOT).as_posix(), tree_of(path))
    ]
    assert not found, "\n".join(found)


def test_a_retired_word_is_found_wherever_it_is() -> None:
    names = "def tell_all(told=1, *, x: 'T' = 2): self._told_at = Teller(spoils=x)"
    found = _retired("actors/some.py", ast.parse(names))
    assert len(found) == 5, found
    assert len(_retired("actors/some.py", ast.parse("self.has_let_go = KEPT_AS"))) == 2
    assert not _retired("actors/some.py", ast.parse("file.tell(); total = untold_number"))
