"""Accounts and devices by number, LID or JID."""

from __future__ import annotations

import hashlib
import secrets
import time

from sandbox.crypto.keys import KeyPair
from sandbox.server.errors import SandboxError
from sandbox.server.store import Account, Device, Store
from sandbox.wire.jid import LEGACY, LID, PN, Jid

__all__ = ["Directory", "jid_of"]

_PRIVACY = {
    "groupadd": "all",
    "last": "all",
    "status": "all",
    "profile": "all",
    "readreceipts": "all",
    "online": "all",
    "calladd": "all",
    "messages": "all",
    "defense": "off",
    "stickers": "all",
}
_ADDRESSING = "addressing"
#: whatsmeow refuses shorter numbers for link codes; E.164 ends at 15
_DIGITS = range(7, 16)


class Directory:
    """All accounts, in memory and written through."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._accounts = {a.number: a for a in store.accounts()}
        self._by_lid = {a.lid: a for a in self._accounts.values()}
        self._devices: dict[str, dict[int, Device]] = {n: {} for n in self._accounts}
        #: numbers of accounts whose clients know people by phone number only
        self._by_number = set(store.documents(_ADDRESSING))
        for device in store.devices():
            self._devices[device.number][device.device] = device

    def register(self, number: str, name: str) -> Account:
        """A new account. Raises `SandboxError` when the number is taken or is none."""
        if not (number.isascii() and number.isdigit()) or len(number) not in _DIGITS:
            raise SandboxError("a phone number has 7 to 15 digits", status=422)
        if number.startswith("0"):
            raise SandboxError("a phone number starts with its country code", status=422)
        if number in self._accounts:
            raise SandboxError(f"there is a phone {number} already", status=409)
        account = Account(
            number=number,
            lid=_lid_of(number),
            name=name,
            identity=KeyPair.generate().private,
            raw_id=secrets.randbelow(1 << 31),
            privacy=dict(_PRIVACY),
        )
        self._accounts[number] = account
        self._by_lid[account.lid] = account
        self._devices[number] = {}
        self._store.save_account(account)
        return account

    def accounts(self) -> list[Account]:
        return list(self._accounts.values())

    def account(self, number: str) -> Account:
        """Raises `SandboxError` when there is none."""
        try:
            return self._accounts[number]
        except KeyError:
            raise SandboxError(f"there is no phone {number}", status=404) from None

    def find(self, jid: Jid) -> Account | None:
        """The account of a user JID, by phone number or LID."""
        if jid.server == LID:
            return self._by_lid.get(jid.user)
        return self._accounts.get(jid.user) if jid.server in (PN, LEGACY) else None

    def lids(self, *numbers: str) -> bool:
        """Whether these accounts meet under their LIDs; else under their phone numbers, as one of
        them sees them so."""
        return self._by_number.isdisjoint(numbers)

    def set_lids(self, number: str, *, on: bool) -> None:
        """How people are named to an account, and it to others: by LID, or by phone number."""
        self._store.set_document(_ADDRESSING, number, None if on else {})
        (self._by_number.discard if on else self._by_number.add)(number)

    def save(self, account: Account) -> None:
        self._store.save_account(account)

    def devices(self, number: str) -> dict[int, Device]:
        """Devices by number; 0 is the phone."""
        return self._devices[number]

    def device(self, number: str, device: int) -> Device | None:
        return self._devices.get(number, {}).get(device)

    def link(self, account: Account, *, noise: bytes, identity: bytes, platform: str) -> Device:
        """A new linked device; numbers are never used again."""
        device = Device(
            number=account.number,
            device=account.next_device,
            noise=noise,
            identity=identity,
            platform=platform,
            linked_at=time.time(),
        )
        account.next_device += 1
        self._store.save_account(account)
        self.put(device)
        return device

    def put(self, device: Device) -> None:
        self._devices[device.number][device.device] = device
        self._store.save_device(device)

    def unlink(self, number: str, device: int) -> bool:
        """Forget a device and all that waits for it; False when there was none."""
        if device == 0 or self._devices.get(number, {}).pop(device, None) is None:
            return False
        self._store.delete_device(number, device)
        return True


def jid_of(account: Account, *, device: int = 0, lid: bool = True) -> Jid:
    """The JID of an account (or one of its devices), by LID or by phone number."""
    return Jid(account.lid, LID, device) if lid else Jid(account.number, PN, device)


def _lid_of(number: str) -> str:
    """Fifteen digits that reveal nothing of the number, but stay the same for it."""
    digest = hashlib.sha256(b"sandbox lid " + number.encode()).digest()
    return str(10**14 + int.from_bytes(digest[:8], "big") % (9 * 10**14))
