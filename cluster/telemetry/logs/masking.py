"""Takes phone numbers, addresses of people, keys and tokens out of what is logged. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

__all__ = ["Masker"]

#: Digits that stand alone and are long enough for a phone number (E.164: 15 at most), a LID or a
#: group; also in paths (`/4915…@c.us`), file names and Go's `4915…:3@s.whatsapp.net`.
#: Not within hexadecimal ids, and not the decimals of a figure.
_NUMBER = re.compile(r"(?<![0-9A-Za-z])(?<!\d\.)(\+?\d{2})\d{4,19}(\d{2})(?![0-9A-Za-z])")
#: Of WhatsApp's addresses whatever stands before the `@`.
_ADDRESS = re.compile(
    r"([0-9][0-9.:_-]{4,40})@(s\.whatsapp\.net|c\.us|g\.us|lid|hosted|newsletter)"
)
#: Percent-encoded, as in access logs.
_ENCODED = re.compile(r"(?i)([0-9]{5,20})(%40)")
_TOKENS = re.compile(
    r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"
    r"|(?i:bearer\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<![A-Za-z0-9])key_[A-Za-z0-9_-]{24,}"
    # A QR code pairs whoever shows it.
    r"|2@[A-Za-z0-9+/=,@-]{40,}"
)
#: The password of a URL, and secrets of query strings.
_IN_URL = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")
_IN_QUERY = re.compile(r"(?i)((?:x-api-key|api[_-]?key|access_token|token|secret)=)[^&\s\"']+")
#: Names under which nothing is logged at all.
_SECRET_NAMES = re.compile(
    r"(?i)(^|_|-)(password|passwd|secret|token|api_?key|authorization|qr|pairing_code)$"
)
#: Ids of ours, some of which are nothing but digits for a part; others by these names are masked.
_IDS = frozenset({"request_id", "trace_id", "node"})
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z|[0-9a-f]{32}\Z|[0-9a-f]{56}\Z")
_MASK = "***"
_DEPTH = 6
#: Shorter values would be found by accident.
_SECRET_LENGTH = 8
#: Texts up to so many characters (names of events, sessions, nodes) come again and again: so many
#: are remembered.
_SHORT, _REMEMBERED = 64, 2048


class Masker:
    """Masks texts, and events as structlog has them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets`: what this process knows and must never log, wherever it stands."""
        known = sorted({s for s in secrets if len(s) >= _SECRET_LENGTH}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None
        self._short = lru_cache(_REMEMBERED)(self._masked)

    def text(self, text: str) -> str:
        """`text` without what is nobody's business: `4915100001@c.us` is `49***01@c.us`."""
        return self._short(text) if len(text) <= _SHORT else self._masked(text)

    def _masked(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(_MASK, text)
        if "@" in text or "eyJ" in text or "key_" in text or "earer" in text:
            text = _IN_URL.sub(rf"\1:{_MASK}@", text)
            text = _TOKENS.sub(_MASK, text)
            text = _ADDRESS.sub(lambda m: f"{_ends(m[1])}@{m[2]}", text)
        if "%40" in text:
            text = _ENCODED.sub(lambda m: f"{_ends(m[1])}{m[2]}", text)
        if "=" in text:
            text = _IN_QUERY.sub(rf"\1{_MASK}", text)
        return _NUMBER.sub(rf"\1{_MASK}\2", text)

    def event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """An event with every text in it masked, however deep."""
        return {name: self._value(name, value, 0) for name, value in event.items()}

    def _value(self, name: str, value: Any, depth: int) -> Any:
        if isinstance(value, bool | float) or value is None:
            return value
        if _is_secret(name) if len(name) <= _SHORT else _SECRET_NAMES.search(name):
            return _MASK if value else value
        if isinstance(value, int):
            # Times and sizes stay; a number that was made of a phone number does not.
            return self.text(str(value)) if name in {"phone", "number", "chat"} else value
        if isinstance(value, str):
            as_it_is = name == "timestamp" or (name in _IDS and _ID.match(value))
            return value if as_it_is else self.text(value)
        if depth >= _DEPTH:
            return self.text(repr(value))
        if isinstance(value, Mapping):
            return {self.text(str(k)): self._value(str(k), v, depth + 1) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(name, one, depth + 1) for one in value]
        return self.text(str(value))


@lru_cache(_REMEMBERED)
def _is_secret(name: str) -> bool:
    return _SECRET_NAMES.search(name) is not None


def _ends(digits: str) -> str:
    return f"{digits[:2]}{_MASK}{digits.split(':')[0].split('.')[0][-2:]}"
