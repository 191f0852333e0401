"""Prints the environment for Ray's nodes, as lines for a shell: `python -m cluster.ingress FOLDER`.

`FOLDER`: on the node; it is made, and closed to others. The cluster's token must be in the
environment: RAY_AUTH_MODE=token with RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from cluster.domain.errors import GatewayError
from cluster.ingress.haproxy import binary, environment
from cluster.security.cluster_token import cluster_token
from cluster.security.exposure import private_folder

_FALLBACK_PORT = 8500


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if not (found := binary()):
        sys.exit("no HAProxy is installed")
    folder = Path(sys.argv[1])
    try:
        token = cluster_token(os.environ)
        private_folder(folder)
    except GatewayError as error:
        sys.exit(error.detail)
    settings = environment(found, folder, fallback=_FALLBACK_PORT, token=token)
    for name, value in settings.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


if __name__ == "__main__":
    main()
