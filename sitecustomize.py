"""Python imports this at its start, where the checkout is on PYTHONPATH: workers of Ray that are to
host sessions are forked from their node's zygote (`actors.zygote`).

With a runtime environment the raylet starts `python setup_worker.py default_worker.py ...`, which
imports Ray (0.45 s of processor time) to set environment variables and to exec Python again. For
ours that is done here, before anything is imported. For all other processes this compares two
strings, and goes on to the `sitecustomize` that would have been imported without it.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _fork_instead() -> None:
    argv = sys.orig_argv
    if len(argv) < 3 or not argv[1].endswith("/ray/_private/workers/setup_worker.py"):
        return
    prefix = "--serialized-runtime-env-context="
    told = [one[len(prefix) :] for one in argv if one.startswith(prefix)]
    # Without our mark it is somebody else's worker; Ray replaces variables in values.
    if len(told) != 1 or '"GATEWAY_FORK": "1"' not in told[0] or "$" in told[0]:
        return
    import json

    context = json.loads(told[0])
    if (
        context["command_prefix"]
        or context["override_worker_entrypoint"]
        or os.path.realpath(context["py_executable"]) != os.path.realpath(sys.executable)
    ):
        return
    os.environ.update(context["env_vars"])
    sys.path.insert(0, os.path.join(_HERE, "actors", "zygote"))
    launch = __import__("launch")
    launch.main([one for one in argv[2:] if not one.startswith((prefix, "--language="))])


def _next() -> None:
    """The one that this file hides."""
    for folder in sys.path:
        path = os.path.join(folder, "sitecustomize.py")
        if os.path.abspath(folder or ".") != _HERE and os.path.isfile(path):
            with open(path) as file:
                code = compile(file.read(), path, "exec")
            exec(code, {"__name__": "sitecustomize", "__file__": path})  # noqa: S102
            return


try:
    _fork_instead()
except Exception as error:  # noqa: BLE001 - Ray's own way, then
    sys.stderr.write(f"zygote: {error!r}\n")
_next()
