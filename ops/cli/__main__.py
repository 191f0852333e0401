"""`python -m ops.cli`."""

from __future__ import annotations

import sys

from ops.cli.commands import COMMANDS, application_of


def main() -> None:
    """The command line; ends this process."""
    asked = sys.argv[1:2]
    application_of(asked if set(asked) & set(COMMANDS) else COMMANDS)(prog_name="gateway")


if __name__ == "__main__":
    main()
