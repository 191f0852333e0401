"""Bodies of the contacts and LIDs groups."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints

from api.message_ids import waha_id
from api.models import WahaModel
from api.params import SessionName
from cluster.domain.contact import Contact, LidPair
from cluster.domain.jid import jid_server, jid_user

__all__ = [
    "About",
    "ContactAnswer",
    "ContactRequest",
    "ContactUpdateBody",
    "LidToPhoneNumber",
    "ProfilePictureUrl",
    "WANumberExistResult",
]

_Name = Annotated[str, StringConstraints(max_length=100, pattern=r"^[^\x00]*$")]


class WANumberExistResult(WahaModel):
    numberExists: bool
    chatId: str | None = Field(
        None, description="Missing when the number has no WhatsApp.", examples=["11111111111@c.us"]
    )
    pn: str | None = Field(None, description="The phone-number id.", examples=["11111111111@c.us"])


class ContactRequest(WahaModel):
    contactId: str = Field(max_length=128, examples=["11111111111@c.us"])
    session: SessionName = "default"


class ContactUpdateBody(WahaModel):
    firstName: _Name = Field(min_length=1, examples=["John"])
    lastName: _Name = Field("", examples=["Doe"])


class ContactAnswer(WahaModel):
    """A person: WAHA's GOWS engine gives the first three."""

    id: str = Field(examples=["11111111111@c.us"])
    name: str = Field(description="From the address book; empty when it is not in there.")
    pushname: str = Field(description="What the person calls itself.")
    shortName: str = Field(description="First name, from the address book.")
    number: str | None = Field(None, description="Digits, when the phone number is known.")
    lid: str | None = Field(None, examples=["11111111111111@lid"])
    businessName: str = Field(description="Verified name of a business.")
    isMyContact: bool = Field(description="In the address book.")

    @classmethod
    def of(cls, contact: Contact) -> Self:
        return cls(
            id=waha_id(contact.jid),
            name=contact.name,
            pushname=contact.push_name,
            shortName=contact.first_name,
            number=jid_user(contact.jid) if jid_server(contact.jid) == "s.whatsapp.net" else None,
            lid=contact.lid or None,
            businessName=contact.business_name,
            isMyContact=bool(contact.name),
        )


class About(WahaModel):
    about: str | None = Field(None, description="Null when it is not to be read.")


class ProfilePictureUrl(WahaModel):
    profilePictureURL: str | None = Field(
        None, description="Null when there is no picture, or it is not to be seen."
    )


class LidToPhoneNumber(WahaModel):
    lid: str | None = Field(None, examples=["1111111@lid"])
    pn: str | None = Field(None, examples=["3333333@c.us"])

    @classmethod
    def of(cls, pair: LidPair) -> Self:
        return cls(lid=pair.lid or None, pn=waha_id(pair.phone) if pair.phone else None)
