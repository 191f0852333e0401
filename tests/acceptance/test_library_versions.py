"""`gateway library`: another version is tried, taken and given back, in an environment of its own.

The registry has none that is newer than the pinned one, so next week's is the pinned wheel under
another number; the older one is the registry's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.local.layout import ROOT

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("GATEWAY_SLOW_TESTS"), reason="minutes of its own: GATEWAY_SLOW_TESTS"
    ),
    pytest.mark.timeout(1200),
]

PINNED, NEXT, OLDER = "0.5.2", "0.5.3", "0.4.3.post0"


@dataclass(frozen=True)
class Installation:
    """A virtual environment with this one's packages, and a folder of wheels in pip's place of
    the registry."""

    folder: Path
    wheels: Path

    def library(self, *arguments: str) -> tuple[int, str]:
        """Exit code of `gateway library …`, and what it said."""
        done = subprocess.run(
            [str(self.folder / "bin/python"), "-m", "ops.cli", "library", *arguments],
            cwd=ROOT,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("PIP_")},
                "PYTHONPATH": str(ROOT),
                "GATEWAY_ENV_FILE": os.devnull,
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.wheels),
                "NO_COLOR": "1",
            },
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def facts(self, *arguments: str) -> dict[str, Any]:
        code, said = self.library(*arguments, "--json")
        assert code == 0, said
        return dict(json.loads(said[said.index("{") :]))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("installation")
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # Hard links: what pip replaces here stays as it is there.
    here = Path(next(one for one in sys.path if one.endswith("site-packages")))
    shutil.copytree(here, site, dirs_exist_ok=True, copy_function=os.link)
    wheels = tmp_path_factory.mktemp("wheels")
    for version in (PINNED, OLDER):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", str(wheels), f"neonize=={version}"]
        if subprocess.run(command, check=False, timeout=300).returncode:
            pytest.skip("needs the registry")
    (pinned,) = wheels.glob(f"neonize-{PINNED}-*.whl")
    renumbered(pinned, pinned.with_name(pinned.name.replace(PINNED, NEXT)))
    return Installation(folder, wheels)


def renumbered(source: Path, target: Path) -> None:
    """The same wheel, which says everywhere that it is `NEXT`."""
    old, new = PINNED.encode(), NEXT.encode()
    records = []
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(target, "w") as made:
        for name in given.namelist():
            data = given.read(name)
            named = name.replace(f"neonize-{PINNED}.dist-info", f"neonize-{NEXT}.dist-info")
            if named.endswith("/RECORD"):
                continue
            versioned = ("neonize/__init__.py", "neonize/download.py", "METADATA")
            if named.endswith(versioned):
                data = data.replace(old, new)
            elif "neonize-linux" in named:
                assert data.count(old) == 1
                data = data.replace(old, new)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            records.append(f"{named},sha256={digest},{len(data)}")
            made.writestr(named, data)
        record = f"neonize-{NEXT}.dist-info/RECORD"
        made.writestr(record, "\n".join([*records, f"{record},,"]) + "\n")


def test_another_version_is_tried_taken_and_given_back(installation: Installation) -> None:
    before = installation.facts("show")
    assert before["version"] == PINNED

    # One that does not load is not taken.
    for command in ("check", "use"):
        code, said = installation.library(command, OLDER)
        assert code, said
    assert installation.facts("show") == before

    # One that works: everything would hold, and is tried beside the one in use.
    tried = installation.facts("check", NEXT)
    assert (tried["version"], tried["ok"]) == (NEXT, True)
    assert tried["kept"] == before["kept"]
    assert {step["name"] for step in tried["tried"]} >= {"link", "send", "receive", "label"}
    assert installation.facts("show") == before

    # Taken: nobody has it in a table, yet everything is kept.
    code, said = installation.library("use", NEXT)
    assert code == 0, said
    taken = installation.facts("show")
    assert (taken["version"], taken["kept"]) == (NEXT, before["kept"])
    # What was taken is that version and no other.
    (installation.folder / "library-accepted").write_text("9.9.9\n")
    assert installation.facts("show")["kept"] == []

    code, said = installation.library("use", "pinned")
    assert code == 0, said
    assert installation.facts("show") == before
    assert not (installation.folder / "library-accepted").exists()
