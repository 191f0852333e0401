"""Where callers get files: the URL under which a session's files are."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

__all__ = ["FilesOf", "FilesUrl"]


class FilesOf:
    """Makes the URL of a session's files."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")

    def __call__(self, session: str) -> str:
        return f"{self._base}/api/files/{session}"


async def _files(request: Request) -> FilesOf:
    # As the caller reached us, unless the operator says what callers should use.
    return FilesOf(request.app.state.public_url or str(request.base_url))


FilesUrl = Annotated[FilesOf, Depends(_files)]
