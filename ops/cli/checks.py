"""`gateway test`: everything CI checks, in the order of how soon it answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ops.cli.another_user import run_as_another_user
from ops.cli.console import console, fail
from ops.local.layout import ROOT

__all__ = ["run_checks"]

_PYTHON = sys.executable
_CHECKS = {
    "ruff check": [_PYTHON, "-m", "ruff", "check", "."],
    "ruff format": [_PYTHON, "-m", "ruff", "format", "--check", "."],
    "import-linter": [str(Path(_PYTHON).parent / "lint-imports")],
}
#: Half a minute of one processor: beside the tests, which wait a third of their time.
_SLOW_CHECKS = {
    "mypy": [_PYTHON, "-m", "mypy"],
    "bandit": [
        *(_PYTHON, "-m", "bandit", "--quiet", "--configfile", "pyproject.toml", "-ll"),
        *("--recursive", "actors", "api", "client", "cluster", "ops", "sandbox", "serve_app.py"),
    ],
}


#: What can be asked for by name, and what pytest is given then.
_TIERS = {
    "unit": ["tests/unit"],
    "fast": ["tests/unit"],
    "attack": ["-m", "attack", "tests"],
    "all": ["tests"],
}
_UNCHECKED = {"unit", "attack"}
#: One file to a worker; the order stays, as the longest come first.
_BESIDE = ["--dist", "loadgroup", "--no-loadscope-reorder"]
_MOST_WORKERS = 4


def _workers(tier: str | None) -> int:
    """More than there are processors, as tests wait a third of their time; unit tests most."""
    processors = os.cpu_count() or 1
    return min(2 * processors if tier == "unit" else processors + 1, _MOST_WORKERS)


#: Of the tests' own processes, workers too; not of Ray's and of other programs.
_COVERAGE = [
    *(
        f"--cov={name}"
        for name in ("actors", "api", "client", "cluster", "ops", "sandbox", "serve_app")
    ),
    *("--cov-branch", "--cov-report=term:skip-covered"),
]


def run_checks(
    arguments: Annotated[list[str] | None, typer.Argument(help="Given to pytest.")] = None,
    as_another_user: Annotated[
        bool,
        typer.Option("--as-another-user", help="As root: the tests as a user who may nothing."),
    ] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Report the lines and branches that no test runs.")
    ] = False,
) -> None:
    """Lint, format, import directions, then types and tests, beside each other.

    `unit`: the unit tests alone; `fast`: they and the checks; `attack`: what an attacker would try;
    `all`: the slow tests too. Whatever else is given goes to pytest.
    """
    given = list(arguments or [])
    tier = given.pop(0) if given and given[0] in _TIERS else None
    tests = [_PYTHON, "-m", "pytest"]
    if tier or not given:
        tests += ["-n", str(_workers(tier)), *_BESIDE]
    tests += _COVERAGE if coverage else []
    tests += [*(_TIERS[tier] if tier else []), *given]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # Tests start hundreds of processes: each would compile what it imports.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if tier == "all":
        environment["GATEWAY_SLOW_TESTS"] = "1"
    checked = tier not in _UNCHECKED
    for name, command in _CHECKS.items() if checked else ():
        console.rule(f"[bold]{name}")
        began = time.monotonic()
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        _finish(name, code, began)
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(_first_failure, _SLOW_CHECKS if checked else {}, environment)
        console.rule("[bold]pytest")
        began = time.monotonic()
        if as_another_user:
            code = run_as_another_user(tests, environment)
        else:
            code = subprocess.run(tests, cwd=ROOT, env=environment, check=False).returncode
        _finish("pytest", code, began)
    if failed := beside.result():
        fail(failed)


def _first_failure(checks: dict[str, list[str]], environment: dict[str, str]) -> str:
    """Run them one after the other; which one failed, if any. What it says comes at once."""
    for name, command in checks.items():
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            console.print(f"\n{escape(done.stdout)}", soft_wrap=True)
            return f"{name} (exit code {done.returncode})"
        _succeeded(name, began)
    return ""


def _finish(name: str, code: int, began: float) -> None:
    if code:
        fail(f"{name} (exit code {code})")
    _succeeded(name, began)


def _succeeded(name: str, began: float) -> None:
    console.print(f"[green]✓[/] {name} [dim]{time.monotonic() - began:.1f} s[/]")
