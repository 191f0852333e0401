"""What a session's process does not load, because a session never uses it.

Libraries import more than their users need: the S3 client its administration (with a second
cryptography library), the logging library a terminal's colours, the WhatsApp library a parser of
web pages for link previews (the gateway makes its own, in the API's process). In processes that
host sessions empty modules take their places: 9 MB less of private memory for each of them.
What is left out raises an error that names it when it is used after all.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any, NoReturn

__all__ = ["SESSION_PROCESS", "leave_out", "leave_out_optional"]

#: In the environment of processes that host sessions.
SESSION_PROCESS = "GATEWAY_SESSION_PROCESS"
#: Their importers do without. The second is a command line, with `click` and `pygments`.
_OPTIONAL = ("rich", "httpx._main")
#: Their importers need the names, and never the things.
_NEVER_USED = ("linkpreview", "linkpreview.exceptions", "minio.minioadmin", "phonenumbers", "tqdm")


class _Absent(ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        # A package, so that what is said to be in it can be.
        self.__path__ = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _LeftOut(f"{self.__name__}.{name}")


class _LeftOut:
    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *arguments: Any, **named: Any) -> NoReturn:
        raise ImportError(f"{self._name} is not loaded in processes that host sessions")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self()


def leave_out() -> None:
    """In a process that hosts sessions, before anything else is imported."""
    if not os.environ.get(SESSION_PROCESS):
        return
    leave_out_optional()
    for name in _NEVER_USED:
        sys.modules.setdefault(name, _Absent(name))


def leave_out_optional() -> None:
    """What nobody misses, in a process that shows nothing to anybody; as early."""
    for name in _OPTIONAL:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
