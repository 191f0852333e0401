"""A program that is loaded before it may run: `python -m ops.local.prepared NICE MODULE
ARGUMENT…`.

It imports the module, which takes seconds, while what it needs still starts; a line at its standard
input has it call the module's `main`, and the end of it without one ends it.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module


def main() -> None:
    """Ends as the module's `main` does."""
    _, nice, name, *arguments = sys.argv
    os.nice(int(nice))
    # What is imported stays: looking for garbage in it takes a third of the time.
    gc.disable()
    module = import_module(name)
    gc.freeze()
    gc.enable()
    if sys.stdin.readline():
        sys.argv = [name, *arguments]
        module.main()


if __name__ == "__main__":
    main()
