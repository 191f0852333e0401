"""The bill of materials has every package of the lock, and each with the hashes it is held to."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from ops.cli.application import application
from ops.cli.audit import bill_of_materials
from ops.local.layout import ROOT


def test_the_bill_is_the_lock() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    bill = bill_of_materials(lock)
    pinned = {line.split()[0] for line in lock.splitlines() if line[:1].isalnum()}
    assert {f"{one['name']}=={one['version']}" for one in bill["components"]} == {
        one.partition(";")[0].lower() for one in pinned
    }
    hashes = [
        entry["content"]
        for one in bill["components"]
        for entry in one["externalReferences"][0]["hashes"]
    ]
    assert len(hashes) == lock.count("--hash=sha256:")
    assert all(one["externalReferences"][0]["hashes"] for one in bill["components"])
    assert json.dumps(bill) == json.dumps(bill_of_materials(lock)), "the same each time"


def test_the_command_writes_it_without_a_network(tmp_path: Path) -> None:
    """As a pipeline calls it: packages of Python, and those that the console is built with."""
    bill = tmp_path / "bill.json"
    done = CliRunner().invoke(application, ["audit", "--sbom", str(bill)])
    assert done.exit_code == 0, done.output
    written = json.loads(bill.read_text())
    references = [one["bom-ref"] for one in written["components"]]
    assert len(set(references)) > 150
    packages = json.loads((ROOT / "console" / "package-lock.json").read_text())["packages"]
    locked = {
        f"{place.rpartition('node_modules/')[2]}@{one['version']}"
        for place, one in packages.items()
        if "node_modules/" in place
    }
    npm = {r.removeprefix("pkg:npm/").replace("%40", "@") for r in references if ":npm/" in r}
    assert npm == locked
    digests = [
        h["content"]
        for one in written["components"]
        for h in one["externalReferences"][0]["hashes"]
    ]
    assert {len(digest) for digest in digests} == {64, 128}
