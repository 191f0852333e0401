"""The bill of materials has every package of the lock, and each with the hashes it is held to."""

from __future__ import annotations

import json

from cluster.cli.audit import bill_of_materials
from cluster.local.layout import ROOT


def test_the_bill_is_the_lock() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    bill = bill_of_materials(lock)
    pinned = {line.split()[0] for line in lock.splitlines() if line[:1].isalnum()}
    assert {f"{one['name']}=={one['version']}" for one in bill["components"]} == {
        one.partition(";")[0].lower() for one in pinned
    }
    hashes = [
        told["content"]
        for one in bill["components"]
        for told in one["externalReferences"][0]["hashes"]
    ]
    assert len(hashes) == lock.count("--hash=sha256:")
    assert all(one["externalReferences"][0]["hashes"] for one in bill["components"])
    assert json.dumps(bill) == json.dumps(bill_of_materials(lock)), "the same each time"
