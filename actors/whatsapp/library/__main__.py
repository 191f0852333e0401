"""What the library of this installation keeps, as JSON: for `gateway doctor` and `library check`,
which load nothing of it themselves."""

from __future__ import annotations

import json
import sys

import structlog

from actors.whatsapp.library import promises
from actors.whatsapp.library.client_version import ClientVersionRefused, presented

if __name__ == "__main__":
    # What was not made is printed below.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    facts = promises.facts()
    try:
        facts["presents"] = presented()
    except ClientVersionRefused as error:
        facts["presents"] = f"unknown ({error})"
    sys.stdout.write(json.dumps(facts) + "\n")
