"""The names that are shown of callers' vCards, and the cards that are made of fields."""

from __future__ import annotations

from typing import Any

import pytest

from api.vcards import cards_of
from cluster.domain.errors import Invalid


def made(**fields: Any) -> list[tuple[str, str]]:
    known = {"vcard", "name", "organization", "phone", "whatsapp_id"}
    return cards_of(**dict.fromkeys(known) | fields)


def card(*lines: str, end: str = "\n") -> str:
    return end.join(["BEGIN:VCARD", "VERSION:2.1", *lines, "TEL:+1", "END:VCARD"])


QP = "CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE"


@pytest.mark.parametrize(
    ("vcard", "shown"),
    [
        (card(f"FN;{QP}:=4A=C3=B6=72=67"), "Jörg"),
        (card(f"FN;{QP}:=4A=C3=B6=\n=72=67"), "Jörg"),
        (card(f"N;{QP}:=4D=C3=BC=6C=6C=65=72;=4A=C3=B6=72=67;;;"), "Jörg Müller"),
        (card("FN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:J=F6rg"), "Jörg"),
        (card("FN;QUOTED-PRINTABLE;CHARSET=UTF-8:=4A=C3=B6=72=67"), "Jörg"),
        (card("FN;CHARSET=NONSENSE;ENCODING=QUOTED-PRINTABLE:J=C3=B6rg"), "Jörg"),
        (card("FN;ENCODING=B:SsO2cmc="), "Jörg"),
        (card("FN;ENCODING=B:Jörg"), "Jörg"),
        (card("FN;ENCODING=B:A"), "A"),
        *(
            (card(f"FN;CHARSET={charset};ENCODING=QUOTED-PRINTABLE:J=C3=B6rg"), "Jörg")
            for charset in ("undefined", "idna", "a\0b", "zlib", "rot13", '"utf-8"', "", "x" * 500)
        ),
        (card(r"FN:Doe\, John\; Jr"), "Doe, John; Jr"),
        (card(r"FN:one\\two\nthree"), r"one\two three"),
        (card("FN:Ana ", " Maria"), "Ana Maria"),
        (card("FN:An", "\ta"), "Ana"),
        (card("N:Silva;Ana"), "Ana Silva"),
        (card("N:Silva;Ana;Maria,Rosa;Dr.;Jr."), "Dr. Ana Maria Rosa Silva Jr."),
        (card("FN:", "N:Silva;Ana"), "Ana Silva"),
        (card("item1.FN:Ana"), "Ana"),
        (card("fn:Ana"), "Ana"),
        (card("FN;LANGUAGE=pt:Ana"), "Ana"),
        (card("ORG:ACME;Sales"), "ACME Sales"),
        (card(), "+1"),
        (card("FN:Ana", end="\r\n"), "Ana"),
        (card("FN:Ana", end="\r"), "Ana"),
        (card("FN:Ana").replace("VCARD", "vcard").replace("BEGIN", "begin"), "Ana"),
        ("\ufeff" + card("FN:Ana"), "Ana"),
        ("BEGIN:VCARD\nEND:VCARD", "Contact"),
    ],
)
def test_the_name_is_what_the_address_book_says(vcard: str, shown: str) -> None:
    assert made(vcard=vcard) == [(shown, vcard)]


def test_several_cards_in_one_text_are_several_contacts() -> None:
    one, two = card("FN:Ana"), card("FN:Bo")
    assert made(vcard=f"{one}\n\n{two}\n") == [("Ana", one), ("Bo", two)]


@pytest.mark.parametrize("vcard", ["hello", "BEGIN:VCARD\nFN:Ana", "END:VCARD\nBEGIN:VCARD"])
def test_what_is_no_card_is_refused(vcard: str) -> None:
    with pytest.raises(Invalid):
        made(vcard=vcard)


@pytest.mark.parametrize(
    ("given", "waid"),
    [
        ("4915100000003", "4915100000003"),
        ("4915100000003@c.us", "4915100000003"),
        ("4915100000003:7@s.whatsapp.net", "4915100000003"),
        ("+49 151 (000) 00-003", "4915100000003"),
        ("1;x=y:2", "1"),
    ],
)
def test_a_whatsapp_id_is_digits_whatever_was_given(given: str, waid: str) -> None:
    ((_, text),) = made(name="Ana", phone="+1 2", whatsapp_id=given)
    assert f"TEL;type=CELL;type=VOICE;waid={waid}:+1 2" in text.split("\n")


def test_nothing_of_a_field_becomes_a_line_or_a_parameter() -> None:
    evil = "a;b,c\\d\r\nEND:VCARD\nTEL:9"
    ((_, text),) = made(name=evil, phone=evil, organization=evil, whatsapp_id="7")
    assert len(text.split("\n")) == 6
    assert made(vcard=text)[0][0].startswith("a;b,c\\d END:VCARD")


def test_a_whatsapp_id_without_a_number_is_refused() -> None:
    for given in ("abc", "a@lid"):
        with pytest.raises(Invalid):
            made(name="Ana", phone="1", whatsapp_id=given)


def test_a_card_is_made_of_the_fields() -> None:
    ((name, text),) = made(name="Doe; Jane", phone="+49 151", organization="A,B")
    assert name == "Doe; Jane"
    assert "FN:Doe\\; Jane" in text
    assert "waid=49151:+49 151" in text
    for phone in (None, ""):
        with pytest.raises(Invalid):
            made(name="x", phone=phone)
