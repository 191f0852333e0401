"""Prints the environment for Ray's nodes, as lines for a shell: `python -m cluster.ingress FOLDER`.

`FOLDER`: on the node, closed to others.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from cluster.ingress.haproxy import binary, environment

_FALLBACK_PORT = 8500


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if not (found := binary()):
        sys.exit("no HAProxy is installed")
    for name, value in environment(found, Path(sys.argv[1]), fallback=_FALLBACK_PORT).items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


if __name__ == "__main__":
    main()
