"""`python -m cluster.cli`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["session"]:
        # Speaks HTTP only: what the other commands load takes seconds, and these are for scripts.
        from cluster.cli.session.commands import alone as application
    else:
        from cluster.cli.application import application
    application(prog_name="gateway")
