"""Python sources as syntax trees."""

from __future__ import annotations

import ast
import gc
from pathlib import Path


def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a source file, made without the garbage collector.

    Up to Python 3.11.7 the parser keeps its depth in a global: a collection in the middle of it
    lets another thread in and ends in `SystemError: AST constructor recursion depth mismatch`
    (https://github.com/python/cpython/issues/106905).
    """
    collected = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        if collected:
            gc.enable()
