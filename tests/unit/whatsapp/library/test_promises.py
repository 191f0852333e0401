"""All changes are made to the pinned library, or none of those that are switched off."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.whatsapp.library.machines import AMD64, ARM64
from actors.whatsapp.library.promises import PATCHES
from actors.whatsapp.library.versions import TRIED

ROOT = Path(__file__).parents[4]
PRINT_KEPT = (
    "from actors.whatsapp.library.promises import prepare, status;"
    "prepare(); print([p.name for p in status() if p.kept])"
)


@pytest.mark.usefixtures("machine")
def test_the_pinned_library_takes_every_patch(fresh: Callable[..., str]) -> None:
    assert fresh(PRINT_KEPT) == str([patch.name for patch in PATCHES])


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("off", ["retries_in_turn,pictures_removed", "all"])
def test_they_can_be_switched_off(off: str, fresh: Callable[..., str]) -> None:
    left = [p.name for p in PATCHES if off != "all" and p.name not in off.split(",")]
    assert fresh(PRINT_KEPT, environment={"WHATSAPP_LIBRARY_PATCHES_OFF": off}) == str(left)


@pytest.mark.usefixtures("machine")
def test_a_version_that_nobody_tried_is_left_alone(fresh: Callable[..., str]) -> None:
    unknown = "from neonize._binder import gocode; gocode.GetVersion = lambda: b'9.9.9';"
    assert fresh(unknown + PRINT_KEPT) == "[]"
    accepted = {"WHATSAPP_LIBRARY_ACCEPTED": "9.9.9"}
    everything = [patch.name for patch in PATCHES]
    assert fresh(unknown + PRINT_KEPT, environment=accepted) == str(everything)


def test_the_pinned_version_was_tried_on_every_machine() -> None:
    assert set(TRIED["0.5.2"]) == {AMD64.name, ARM64.name}
    assert all(TRIED["0.5.2"].values())


def test_names_are_unique_and_both_sides_are_described() -> None:
    assert len({patch.name for patch in PATCHES}) == len(PATCHES)
    assert all(patch.promise and patch.without for patch in PATCHES)


#: As the zygote's forks meet the library: noted, and loaded on first use.
NOTED = (
    "from actors.zygote import deferred\nwith deferred.importing():\n    import neonize._binder\n"
)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("noted", ["", NOTED], ids=["loaded", "noted"])
def test_a_version_is_presented_before_anything_else_used_the_library(
    noted: str, fresh: Callable[..., str]
) -> None:
    version = "2.3000.1999999999"
    program = (
        "from actors.whatsapp.library.promises import facts\n"
        "from actors.whatsapp.library.client_version import presented\n"
        "print('client_version' in facts()['kept'], presented())"
    )
    printed = fresh(noted + program, environment={"WHATSAPP_CLIENT_VERSION": version})
    assert printed == f"True {version}"


@pytest.mark.usefixtures("machine")
def test_where_the_version_is_not_found_the_librarys_own_is_presented(
    fresh: Callable[..., str],
) -> None:
    program = (
        "from actors.whatsapp.library import client_version as v;"
        "own, variables = v.presented(), v.variables;"
        "v.variables = lambda: [];"
        "from actors.whatsapp.library.promises import facts;"
        "smaller = facts()['smaller'];"
        "v.variables = variables;"
        "print(list(smaller), v.presented() == own)"
    )
    version = {"WHATSAPP_CLIENT_VERSION": "2.3000.1999999999"}
    assert fresh(program, environment=version) == "['client_version'] True"


@pytest.mark.usefixtures("machine")
def test_the_sandbox_is_trusted_before_anything_else_used_the_library(
    fresh: Callable[..., str],
) -> None:
    trust = "from actors.whatsapp.library.sandbox_root import trust_root\ntrust_root(bytes(32))"
    fresh(NOTED + trust)


def test_the_table_of_promises_is_whole_and_names_what_shows_each() -> None:
    """docs/promises.md: every promise on every platform, and tests that there are."""
    page = (ROOT / "docs/promises.md").read_text()
    names = {patch.name for patch in PATCHES} | {"client_version"}
    rows: dict[str, list[list[str]]] = {}
    for line in page.splitlines():
        if found := re.match(r"\| `(\w+)`", line):
            cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
            rows.setdefault(found[1], []).append(cells)
    assert rows.keys() == names
    for name, (platforms, shown) in rows.items():
        assert len(platforms) == 4, name
        assert all(platforms), name
        assert len(shown) == 3, name
        for cell in shown[1:]:
            tests = re.findall(r"`([\w/.]+\.py)(?:::(\w+))?`", cell)
            assert tests, f"{name}: what shows it"
            for file, test in tests:
                assert test in (ROOT / file).read_text(), f"{name}: {file}::{test}"
