"""`python -m ops.cli`."""

from __future__ import annotations

import sys

from ops.cli.commands import COMMANDS, application_of

if __name__ == "__main__":
    asked = sys.argv[1:2]
    application_of(asked if set(asked) & set(COMMANDS) else COMMANDS)(prog_name="gateway")
