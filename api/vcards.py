"""Contacts of request bodies as vCards (version 3, which WhatsApp's clients write).

Callers' own cards are read for the name to show: of versions 2.1 to 4 (RFC 2426, RFC 6350, and the
forms that address books of phones write: quoted-printable, other charsets, folded lines).
"""

from __future__ import annotations

import base64
import quopri
import re
from collections.abc import Iterator

from cluster.domain.errors import Invalid
from cluster.domain.jid import jid_user

__all__ = ["cards_of"]

_PROPERTY = re.compile(r"\A\s*(?:[\w-]+\.)?([\w-]+)((?:;[^:]*)?):(.*)\Z", re.S)
_ESCAPED = re.compile(r"\\(.)", re.S)
_LONGEST_NAME = 1024
#: Cards in one request.
_MOST = 257


def cards_of(
    *,
    vcard: str | None,
    name: str | None,
    organization: str | None,
    phone: str | None,
    whatsapp_id: str | None,
) -> list[tuple[str, str]]:
    """(name to show, vCard) of each contact: `vcard` may hold several. Raises `Invalid` naming
    `contacts`."""
    if vcard:
        text = vcard.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
        found = list(_cards(text))
        if not found or len(found) > _MOST:
            raise Invalid("vcard is no vCard", field="contacts")
        if len(found) == 1:
            return [(_shown(found[0]), vcard)]
        return [(_shown(card), card.strip()) for card in found]
    if not name or not phone:
        raise Invalid("a contact needs a vcard, or fullName and phoneNumber", field="contacts")
    lines = ["BEGIN:VCARD", "VERSION:3.0", f"FN:{_escaped(name)}"]
    if organization:
        lines.append(f"ORG:{_escaped(organization)};")
    waid = _number(whatsapp_id or phone)
    parameters = f";waid={waid}" if waid else ""
    lines += [f"TEL;type=CELL;type=VOICE{parameters}:{_escaped(phone)}", "END:VCARD"]
    return [(name, "\n".join(lines))]


def _cards(text: str) -> Iterator[str]:
    """From each BEGIN:VCARD to the next END:VCARD."""
    lines: list[str] = []
    for line in text.split("\n"):
        word = line.strip(" \t").upper()
        if lines or word == "BEGIN:VCARD":
            lines.append(line)
        if lines and word == "END:VCARD":
            yield "\n".join(lines)
            lines = []


def _number(whatsapp_id: str) -> str:
    """Only its digits, whatever form it was given in. Raises `Invalid`."""
    digits = re.sub(r"[\s()+./-]", "", jid_user(whatsapp_id))
    if digits and not (digits.isascii() and digits.isdecimal()):
        if "@" in whatsapp_id or not re.sub(r"[^0-9]", "", digits):
            raise Invalid("whatsappId is a phone number", field="contacts")
        digits = re.sub(r"[^0-9]", "", digits)
    return digits


def _shown(card: str) -> str:
    """`FN`; without it what `N`, the organisation or the number make."""
    first: dict[str, str] = {}
    for name, value in _properties(card):
        if value.strip(" ;"):
            first.setdefault(name, value)
    if "FN" in first:
        shown = _plain(first["FN"])
    elif "N" in first:
        # Family; given; additional; prefixes; suffixes.
        family, given, more, before, after = (_parts(first["N"]) + [""] * 5)[:5]
        shown = " ".join(part for part in (before, given, more, family, after) if part)
    else:
        parts = _parts(first.get("ORG") or first.get("TEL") or "")
        shown = " ".join(part for part in parts if part)
    return " ".join(shown.split())[:_LONGEST_NAME] or "Contact"


def _properties(card: str) -> Iterator[tuple[str, str]]:
    for line in _lines(card):
        found = _PROPERTY.match(line)
        if found is None:
            continue
        name, parameters, value = found[1].upper(), found[2].upper().split(";"), found[3]
        yield name, _decoded(value, [parameter.strip() for parameter in parameters])


def _lines(card: str) -> Iterator[str]:
    """Logical lines: folded ones (RFC 6350, 3.2), and quoted-printable ones that go on (2.1)."""
    line = ""
    for part in card.split("\n"):
        if line and part[:1] in {" ", "\t"}:
            line += part[1:]
        elif line.endswith("=") and "QUOTED-PRINTABLE" in line.partition(":")[0].upper():
            line = line[:-1] + part
        else:
            yield line
            line = part
    yield line


def _decoded(value: str, parameters: list[str]) -> str:
    charset = next(
        (p.partition("=")[2].strip('"') for p in parameters if p.startswith("CHARSET=")), "UTF-8"
    )
    coding = next((p.rpartition("=")[2] for p in parameters if "ENCODING=" in p), "")
    if not coding:
        # Version 2.1 names it without a key.
        coding = next((p for p in parameters if p in {"QUOTED-PRINTABLE", "BASE64"}), "")
    try:
        if coding == "QUOTED-PRINTABLE":
            raw = quopri.decodestring(value.encode("utf-8", "surrogatepass"))
        elif coding in {"B", "BASE64"}:
            raw = base64.b64decode("".join(value.split()))
        else:
            return value
    except ValueError:
        return value
    try:
        return raw.decode(charset)
    except (LookupError, ValueError):
        # Python has charsets that no card has, and says more than that it cannot.
        return raw.decode("utf-8", "replace")


def _parts(value: str) -> list[str]:
    """At semicolons that are not escaped; commas separate several of one part."""
    parts = re.split(r"(?<!\\);", value)
    return [_plain(re.sub(r"(?<!\\),", " ", part)).strip() for part in parts]


def _plain(value: str) -> str:
    return _ESCAPED.sub(lambda found: " " if found[1] in "nN" else found[1], value)


def _escaped(text: str) -> str:
    """RFC 2426, 5: backslash, comma, semicolon and line ends."""
    text = re.sub(r"([\\;,])", r"\\\1", text)
    return re.sub(r"\r\n|\r|\n", r"\\n", text)
