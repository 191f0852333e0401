"""What a command ends with; docs/cli.md has the table."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode", "of_status"]


class ExitCode(IntEnum):
    """Scripts branch on these."""

    OK = 0
    #: Anything that has no number of its own.
    FAILED = 1
    #: The command line was wrong (Click's own number).
    USAGE = 2
    #: No gateway is up, or nothing answers at its URL.
    NOT_UP = 3
    #: There is no such session.
    NOT_FOUND = 4
    #: The session's state does not allow it.
    STATE = 5
    #: The key is missing, wrong, or does not allow it; or too many requests.
    REFUSED = 6
    #: It did not happen in the time given.
    TIMEOUT = 7


_BY_STATUS = {
    401: ExitCode.REFUSED,
    403: ExitCode.REFUSED,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.STATE,
    429: ExitCode.REFUSED,
    503: ExitCode.NOT_UP,
}
#: Of 422, which WAHA answers for states and for malformed values.
_STATES = {"session_not_working", "session_exists"}


def of_status(status: int | None, code: str = "") -> ExitCode:
    """For an HTTP status and a problem's code; None: nothing answered."""
    if status is None:
        return ExitCode.NOT_UP
    if code in _STATES:
        return ExitCode.STATE
    return _BY_STATUS.get(status, ExitCode.FAILED)
