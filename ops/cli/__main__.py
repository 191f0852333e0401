"""`python -m ops.cli`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["session"]:
        # Speaks HTTP only: what the other commands load takes seconds, and these are for scripts.
        from ops.cli.session.commands import alone as application
    else:
        from ops.cli.application import application
    application(prog_name="gateway")
