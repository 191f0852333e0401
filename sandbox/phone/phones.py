"""All virtual phones of a server."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sandbox.phone.phone import Phone
from sandbox.server import privacy_tokens
from sandbox.server.errors import SandboxError
from sandbox.server.store import Device

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["Phones"]


class Phones:
    """One phone for each account; switched on while the server runs."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._phones: dict[str, Phone] = {}
        server.on_new_device.append(self._greet)

    async def start(self) -> None:
        """Switch on the phones of all known accounts."""
        for account in self._server.directory.accounts():
            phone = self._phones[account.number] = Phone(self._server, account)
            await phone.start()

    async def stop(self) -> None:
        for phone in self._phones.values():
            await phone.stop()

    async def add(self, number: str, name: str = "") -> Phone:
        """A new account with its phone. Raises `SandboxError` when there is one."""
        account = self._server.directory.register(number, name or f"Phone {number[-4:]}")
        phone = self._phones[number] = Phone(self._server, account)
        await phone.start()
        return phone

    async def scan(self, qr: str) -> Phone:
        """Scan with the phone that has the client's push name, which is made when there is none: so
        the suite of whatsapp-rust links devices, and several to one phone. A name `restricted:…`
        makes an account that takes messages with a privacy token only, `scenario:FLAGS:…` one with
        those flags (`sandbox.server.privacy_tokens`). Raises `SandboxError`."""
        name = self._server.pairing.push_name(qr)
        found = next((one for one in self.all() if name and one.account.name == name), None)
        if found is None:
            while (number := f"1555{secrets.randbelow(10**7):07}") in self._phones:
                pass
            found = await self.add(number, name)
            kind, flags, *_ = [*name.split(":"), ""]
            wanted = {"restricted": {"restricted"}, "scenario": set(flags.split(","))}
            privacy_tokens.set_scenario(self._server, number, wanted.get(kind, set()))
            if "nct_syncd_delivery=1" in wanted.get(kind, set()):
                await found.settings.share_salt()
        await found.scan(qr)
        return found

    def get(self, number: str) -> Phone:
        """Raises `SandboxError` when there is none."""
        try:
            return self._phones[number.lstrip("+")]
        except KeyError:
            raise SandboxError(f"there is no phone {number}", status=404) from None

    def all(self) -> list[Phone]:
        return list(self._phones.values())

    async def _greet(self, device: Device) -> None:
        """What a phone sends to a device it just linked: the keys of its settings, and its past."""
        phone = self._phones.get(device.number)
        if phone is not None:
            await phone.share_keys(device.device)
            await phone.archive.share(device.device)
