"""Contacts of request bodies as vCards (version 3, which WhatsApp's clients write)."""

from __future__ import annotations

import re

from cluster.domain.errors import Invalid

__all__ = ["card_of"]

_NAME = re.compile(r"^FN(?:;[^:]*)?:(.*)$", re.MULTILINE)
_SHORT = re.compile(r"^N(?:;[^:]*)?:(.*)$", re.MULTILINE)


def card_of(
    *,
    vcard: str | None,
    name: str | None,
    organization: str | None,
    phone: str | None,
    whatsapp_id: str | None,
) -> tuple[str, str]:
    """(name to show, vCard). Raises `Invalid` naming `contacts`."""
    if vcard:
        if "BEGIN:VCARD" not in vcard or "END:VCARD" not in vcard:
            raise Invalid("vcard is no vCard", field="contacts")
        found = _NAME.search(vcard) or _SHORT.search(vcard)
        return (found[1].strip().replace(";", " ").strip() if found else "") or "Contact", vcard
    if not name or not phone:
        raise Invalid("a contact needs a vcard, or fullName and phoneNumber", field="contacts")
    waid = whatsapp_id or re.sub(r"[^0-9]", "", phone)
    lines = ["BEGIN:VCARD", "VERSION:3.0", f"FN:{_escaped(name)}"]
    if organization:
        lines.append(f"ORG:{_escaped(organization)};")
    lines += [f"TEL;type=CELL;type=VOICE;waid={waid}:{_escaped(phone)}", "END:VCARD"]
    return name, "\n".join(lines)


def _escaped(text: str) -> str:
    """RFC 2426, 5: backslash, comma, semicolon and line ends."""
    text = re.sub(r"([\\;,])", r"\\\1", text)
    return re.sub(r"\r\n|\r|\n", r"\\n", text)
