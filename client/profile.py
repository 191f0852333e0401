"""The account's own name, about text and picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from client import pictures
from client.workshop import Attachment
from cluster.domain.contact import Profile as ProfileData
from cluster.domain.errors import Invalid
from cluster.domain.verbs import profile

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["Profile"]

#: WhatsApp's own bounds, characters.
_MAX_NAME, _MAX_ABOUT = 25, 139


class Profile:
    """Verbs of a session about its own account."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def get(self) -> ProfileData:
        return await self._session.request(profile.Get())

    async def set_name(self, name: str) -> None:
        """The push name, which others see."""
        if not name.strip() or len(name) > _MAX_NAME:
            raise Invalid(f"a name has 1 to {_MAX_NAME} characters", field="name")
        await self._session.request(profile.Name(name=name))

    async def set_about(self, about: str) -> None:
        """The about text; WAHA calls it status."""
        if len(about) > _MAX_ABOUT:
            raise Invalid(f"status is longer than {_MAX_ABOUT} characters", field="status")
        await self._session.request(profile.About(about=about))

    async def set_picture(self, image: bytes | Attachment) -> None:
        """Any image that Pillow reads; it is cropped to a square JPEG, as WhatsApp wants it."""
        jpeg = await pictures.square_jpeg(self._session, image)
        await self._session.request(profile.Picture(jpeg=jpeg))

    async def delete_picture(self) -> None:
        await self._session.request(profile.Picture(jpeg=""))
