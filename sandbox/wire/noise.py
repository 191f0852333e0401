"""Noise_XX_25519_AESGCM_SHA256, the responder's side (whatsmeow: handshake.go, socket/)."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.crypto import hkdf
from sandbox.crypto.keys import KEY_SIZE, KeyPair
from sandbox.crypto.protobuf import DecodeError, wa

PATTERN = b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0"


class NoiseError(Exception):
    """The handshake failed, or a message of the session does not decrypt."""


class SymmetricState:
    """The running hash, salt and key of a handshake; both sides keep the same one."""

    def __init__(self, header: bytes) -> None:
        self._hash = self._salt = PATTERN
        self._cipher = AESGCM(PATTERN)
        self._counter = 0
        self.authenticate(header)

    def authenticate(self, data: bytes) -> None:
        """Bind what was sent in the clear."""
        self._hash = hashlib.sha256(self._hash + data).digest()

    def mix(self, secret: bytes) -> None:
        """Take a shared secret into the key; the counter begins anew."""
        self._salt, key = self._expand(secret)
        self._cipher = AESGCM(key)
        self._counter = 0

    def encrypt(self, plaintext: bytes) -> bytes:
        """Encrypt and bind one handshake payload."""
        ciphertext = self._cipher.encrypt(self._next_iv(), plaintext, self._hash)
        self.authenticate(ciphertext)
        return ciphertext

    def decrypt(self, ciphertext: bytes) -> bytes:
        """Decrypt and bind one handshake payload; raises NoiseError."""
        try:
            plaintext = self._cipher.decrypt(self._next_iv(), ciphertext, self._hash)
        except InvalidTag as error:
            raise NoiseError("a handshake payload does not decrypt") from error
        self.authenticate(ciphertext)
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        """The two transport keys: initiator to responder, responder to initiator."""
        return self._expand(b"")

    def _expand(self, secret: bytes) -> tuple[bytes, bytes]:
        both = hkdf.derive(secret, 64, salt=self._salt)
        return both[:32], both[32:]

    def _next_iv(self) -> bytes:
        value = iv(self._counter)
        self._counter += 1
        return value


class Transport:
    """The encrypted session after the handshake; each direction counts its messages."""

    def __init__(self, *, send_key: bytes, receive_key: bytes) -> None:
        self._send = AESGCM(send_key)
        self._receive = AESGCM(receive_key)
        self._sent = 0
        self._received = 0

    def encrypt(self, plaintext: bytes) -> bytes:
        """The next outgoing message. The order of calls must be the order on the wire."""
        ciphertext = self._send.encrypt(iv(self._sent), plaintext, None)
        self._sent += 1
        return ciphertext

    def decrypt(self, ciphertext: bytes) -> bytes:
        """The next incoming message; raises NoiseError when altered or out of order."""
        try:
            plaintext = self._receive.decrypt(iv(self._received), ciphertext, None)
        except InvalidTag as error:
            raise NoiseError(f"message {self._received} does not decrypt") from error
        self._received += 1
        return plaintext


class NoiseResponder:
    """One handshake of one connection: `respond`, `finish`, `split`, in this order."""

    def __init__(self, static: KeyPair, certificate: bytes, header: bytes) -> None:
        """`certificate` is the chain for `static.public`, `header` the client's 4 bytes."""
        self._static = static
        self._certificate = certificate
        self._ephemeral = KeyPair.generate()
        self._state = SymmetricState(header)
        self._client_static: bytes | None = None

    @property
    def client_static(self) -> bytes:
        """The client's Noise key (32 bytes), known after `finish`.

        Raises:
            NoiseError: the handshake is not finished.
        """
        if self._client_static is None:
            raise NoiseError("the handshake is not finished")
        return self._client_static

    def respond(self, client_hello: bytes) -> bytes:
        """Answer the first frame with the server's hello; raises NoiseError."""
        theirs = _handshake(client_hello).clientHello.ephemeral
        self._state.authenticate(theirs)
        self._state.authenticate(self._ephemeral.public)
        self._state.mix(_agree(self._ephemeral, theirs))
        static = self._state.encrypt(self._static.public)
        self._state.mix(_agree(self._static, theirs))
        hello = wa.HandshakeMessage.ServerHello(
            ephemeral=self._ephemeral.public,
            static=static,
            payload=self._state.encrypt(self._certificate),
        )
        return bytes(wa.HandshakeMessage(serverHello=hello).SerializeToString())

    def finish(self, client_finish: bytes) -> bytes:
        """Take the second frame; gives the client payload (a serialised `ClientPayload`).

        Raises:
            NoiseError: the frame is malformed or does not decrypt.
        """
        message = _handshake(client_finish).clientFinish
        client_static = self._state.decrypt(message.static)
        self._state.mix(_agree(self._ephemeral, client_static))
        payload = self._state.decrypt(message.payload)
        self._client_static = client_static
        return payload

    def split(self) -> Transport:
        """The session's keys, seen from the server; raises NoiseError before `finish`."""
        if self._client_static is None:
            raise NoiseError("the handshake is not finished")
        to_server, to_client = self._state.split()
        return Transport(send_key=to_client, receive_key=to_server)


def iv(counter: int) -> bytes:
    """Eight zero bytes and the counter, 32 bits big endian."""
    return bytes(8) + counter.to_bytes(4, "big")


def _handshake(data: bytes) -> wa.HandshakeMessage:
    try:
        return wa.HandshakeMessage.FromString(data)
    except DecodeError as error:
        raise NoiseError("not a handshake message") from error


def _agree(pair: KeyPair, public: bytes) -> bytes:
    if len(public) != KEY_SIZE:
        raise NoiseError(f"a public key of {len(public)} bytes")
    try:
        return pair.dh(public)
    except ValueError as error:
        raise NoiseError("a public key that yields no secret") from error
