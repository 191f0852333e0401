"""`python -m cluster.cli`."""

from __future__ import annotations

from cluster.cli.application import application

if __name__ == "__main__":
    application(prog_name="gateway")
