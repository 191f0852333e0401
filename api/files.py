"""Where callers get files: the URL under which a session's files are."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from cluster.media.links import files_url

__all__ = ["FilesOf", "FilesUrl"]


class FilesOf:
    """Makes the URL of a session's files."""

    def __init__(self, base: str) -> None:
        self.base = base

    def __call__(self, session: str) -> str:
        return files_url(self.base, session)


async def _files(request: HTTPConnection) -> FilesOf:
    # As the caller reached us (`ws:` is http, too), unless the operator says what to use.
    reached = re.sub("^ws", "http", str(request.base_url))
    return FilesOf(request.app.state.public_url or reached)


FilesUrl = Annotated[FilesOf, Depends(_files)]
