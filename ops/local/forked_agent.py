"""The agent of a raylet that makes its workers' environments, as a fork of the node's zygote.

`python -I -S forked_agent.py DATA COMMAND…`: `DATA` is the node's data folder, `COMMAND` what Ray
would have started, 45 MB; that it becomes when there is no zygote. A raylet ends with what it
started, so this process becomes a small one that lasts as long as the fork (ray_watch.py). The fork
learns of the raylet's end by its standard input (ray_node.py).
"""

# ruff: noqa: E402

from __future__ import annotations

import os
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(_ROOT))

from actors.zygote.program import ForkedProgram, NoZygote

_MODULE = "ray._private.runtime_env.agent.main"
#: Seconds that the zygote may still import.
_IMPORTS = 40.0


def main() -> None:
    """Never returns."""
    data, *command = sys.argv[1:]
    end = _MODULE.replace(".", "/") + ".py"
    script = next(at for at, one in enumerate(command) if one.endswith(end))
    try:
        program = ForkedProgram(
            Path(data), _MODULE, *command[script + 1 :], folder=Path.cwd(), stdin=0, output=1
        )
        lasting = program.hand_over(_IMPORTS)
    except NoZygote as reason:
        sys.stderr.write(f"not forked: {reason}\n")
        os.execv(command[0], command)  # noqa: S606
    watch = Path(__file__).with_name("ray_watch.py")
    arguments = ["-I", "-S", str(watch), "forked-agent", str(lasting)]
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606


if __name__ == "__main__":
    main()
