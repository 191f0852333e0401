"""What must not be in a process that forks: threads, a Go runtime, and seeded random numbers.

neonize loads its Go library, and starts a thread for its log, when it is imported. In the zygote
neither happens: the library's functions are noted with the types neonize gives them, the thread is
noted, and the first use in a forked process loads the library and starts the thread.

Ray's C++ seeds its generator when it first draws an id, and a fork draws on from there: all forks
would draw the same ids. Each class that is made an actor class while the zygote imports draws one;
there it is the kernel's.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["importing", "load"]

_lock = threading.Lock()
_libraries: list[_Deferred] = []
_threads: list[threading.Thread] = []
_CDLL = ctypes.CDLL
_importing = False


class _Function:
    """A function of a library that is not loaded. Keeps what is set on it."""

    def __init__(self, library: _Deferred, name: str) -> None:
        self.__dict__["_at"] = (library, name)

    def __call__(self, *arguments: Any) -> Any:
        library, name = self._at
        load()
        return getattr(library, name)(*arguments)

    _at: tuple[_Deferred, str]


class _Version(_Function):
    """neonize asks for it at once, and would download another library: checked when loaded."""

    def __call__(self, *arguments: Any) -> Any:
        return self._at[0].expected if _importing else super().__call__(*arguments)


class _Deferred(ctypes.CDLL):
    """Becomes the library when `load` is called."""

    def __init__(self, name: str) -> None:  # not loaded, so not the base's
        from neonize.download import __GONEONIZE_VERSION__

        self._name = name
        self.expected = __GONEONIZE_VERSION__.encode()
        self.__dict__["GetVersion"] = _Version(self, "GetVersion")
        _libraries.append(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        function = self.__dict__[name] = _Function(self, name)
        return function

    def become(self) -> None:
        real = _CDLL(self._name)
        noted, expected = dict(self.__dict__), self.expected
        self.__dict__.clear()
        self.__dict__.update(real.__dict__)
        self.__class__ = _CDLL  # type: ignore[assignment]
        for name, function in noted.items():
            if isinstance(function, _Function):
                try:
                    found = real[name]
                except AttributeError:
                    continue  # neonize, too, passes over those that this version does not have
                for attribute, value in function.__dict__.items():
                    if attribute != "_at":
                        setattr(found, attribute, value)
                self.__dict__[name] = found
        if self.GetVersion() != expected:
            raise RuntimeError(f"{self._name} is not neonize {expected.decode()}")


def load() -> None:
    """In a forked process: do what was put off. Elsewhere nothing was."""
    with _lock:
        while _libraries:
            _libraries[0].become()
            del _libraries[0]
        while _threads:
            _threads.pop(0).start()


class _ActorClassIDs:
    """In the place of `ray.actor.ActorClassID`, of which Ray 2.60 uses this only."""

    @staticmethod
    def from_random() -> Any:
        from ray import ActorClassID

        return ActorClassID(os.urandom(ActorClassID.size()))


@contextmanager
def importing() -> Iterator[None]:
    """Imports in here load no Go library, start no thread, and seed no generator of ids."""
    actor: Any = importlib.import_module("ray.actor")

    def cdll(name: Any, *arguments: Any, **named: Any) -> Any:
        if name is not None and "neonize" in str(name):
            return _Deferred(str(name))
        return _CDLL(name, *arguments, **named)

    def put_off(thread: threading.Thread) -> None:
        _threads.append(thread)

    global _importing
    start = threading.Thread.start
    threading.Thread.start = put_off  # type: ignore[method-assign, assignment]
    ctypes.CDLL = cdll  # type: ignore[misc, assignment]
    ids = actor.ActorClassID
    actor.ActorClassID = _ActorClassIDs
    _importing = True
    try:
        yield
    finally:
        _importing = False
        threading.Thread.start = start  # type: ignore[method-assign]
        ctypes.CDLL = _CDLL  # type: ignore[misc]
        actor.ActorClassID = ids
