"""Every method of WAHA's generated client that the tables offer is driven by the acceptance suite.

The acceptance tests judge the effect; this one sees to it that none was forgotten.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import waha
from syntax_trees import tree_of
from tables_of_paths import GENERATED, Operation, in_tables, shape

ACCEPTANCE = Path(__file__).parents[2] / "acceptance"


def methods() -> dict[tuple[str, str], Operation]:
    """(attribute of the client, method) → (HTTP method, path)."""
    client = waha.WahaClient(base_url="http://localhost", api_key="-")
    groups = {
        type(part).__name__: name
        for name, part in vars(client).items()
        if type(part).__name__.endswith("Api")
    }
    found = {}
    for group in tree_of(GENERATED).body:
        if not isinstance(group, ast.ClassDef):
            continue
        for method in group.body:
            if not isinstance(method, ast.FunctionDef) or method.name.startswith("_"):
                continue
            text = ast.unparse(method)
            url = re.search(r"url = f?'(.*)'", text)
            verb = re.search(r"self\._http\.request\('(\w+)'", text)
            assert url, method.name
            assert verb, method.name
            found[groups[group.name], method.name] = (verb[1], shape(url[1]))
    return found


def driven() -> set[tuple[str, str]]:
    """(group, method) of everything that acceptance tests reach for."""
    return {
        (node.value.attr if isinstance(node.value, ast.Attribute) else node.value.id, node.attr)
        for path in ACCEPTANCE.glob("test_*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute | ast.Name)
    }


def test_every_method_is_in_a_table_and_driven_where_it_is_offered() -> None:
    known, called = dict(in_tables()), driven()
    unknown = {name for name, operation in methods().items() if operation not in known}
    assert not unknown
    offered = {name for name, op in methods().items() if known[op] in {"works", "differs"}}
    assert len(offered) > 140
    assert sorted(offered - called) == []


def test_the_index_states_the_true_count() -> None:
    states = Counter(state for _, state in in_tables())
    text = (ACCEPTANCE.parents[1] / "docs" / "api.md").read_text()
    counts = re.search(
        r"(\d+) paths in all: (\d+) work, (\d+) differ, (\d+) are not possible", text
    )
    assert counts
    assert [int(n) for n in counts.groups()] == [
        states.total(),
        states["works"],
        states["differs"],
        states["not possible"],
    ]
