"""What the type checker is given: every Python file of the repository, tests and benchmarks too."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from syntax_trees import tree_of

ROOT = Path(__file__).parents[2]
MYPY = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
FILES = [
    path.relative_to(ROOT)
    for top in (*(ROOT / name for name in ("benchmarks", "examples", "tests")), ROOT)
    for path in (top.glob("*.py") if top == ROOT else top.rglob("*.py"))
    if "node_modules" not in path.parts
]


def imported() -> set[str]:
    """The names of all modules that tests and benchmarks import, by the first part as well."""
    found: set[str] = set()
    for path in FILES:
        for node in ast.walk(tree_of(ROOT / path)):
            if isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
    return found


def test_no_python_file_is_left_out() -> None:
    given = {*MYPY["packages"], *MYPY["modules"]}
    short = imported() | given
    left_out = []
    for path in FILES:
        excluded = any(re.search(pattern, path.as_posix()) for pattern in MYPY["exclude"])
        if path.parts[0] in given and not excluded:
            continue
        # Known by a short name: to a package below `tests`, or to whoever imports it.
        if path.parts[0] == "tests" and path.parts[1] in given:
            continue
        if str(path.parent) in {".", *MYPY["mypy_path"]} and path.stem in short:
            continue
        left_out.append(str(path))
    assert len(FILES) > 350
    assert left_out == []


def test_what_tests_share_is_in_a_module_of_its_own_name() -> None:
    """There are many `conftest`, and pytest imports the nearest: folders that import from theirs
    cannot run together."""
    assert not {name for name in imported() if name == "conftest" or name.startswith("test_")}
