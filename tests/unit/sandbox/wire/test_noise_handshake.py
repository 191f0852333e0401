"""The handshake, against an initiator that does what whatsmeow's handshake.go does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sandbox.crypto.certificate import issue_chain, verify_chain
from sandbox.crypto.keys import KeyPair
from sandbox.crypto.protobuf import wa
from sandbox.wire.frames import HEADER
from sandbox.wire.noise import NoiseError, NoiseResponder, SymmetricState, Transport

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Initiator:
    def __init__(self, root: bytes, header: bytes = HEADER) -> None:
        self.static = KeyPair.generate()
        self.ephemeral = KeyPair.generate()
        self.root = root
        self.state = SymmetricState(header)

    def hello(self) -> bytes:
        self.state.authenticate(self.ephemeral.public)
        hello = wa.HandshakeMessage.ClientHello(ephemeral=self.ephemeral.public)
        return bytes(wa.HandshakeMessage(clientHello=hello).SerializeToString())

    def finish(self, server_hello: bytes, payload: bytes) -> bytes:
        hello = wa.HandshakeMessage.FromString(server_hello).serverHello
        self.state.authenticate(hello.ephemeral)
        self.state.mix(self.ephemeral.dh(hello.ephemeral))
        static = self.state.decrypt(hello.static)
        self.state.mix(self.ephemeral.dh(static))
        verify_chain(self.state.decrypt(hello.payload), static, self.root, now=NOW)
        encrypted = self.state.encrypt(self.static.public)
        self.state.mix(self.static.dh(hello.ephemeral))
        finish = wa.HandshakeMessage.ClientFinish(
            static=encrypted, payload=self.state.encrypt(payload)
        )
        return bytes(wa.HandshakeMessage(clientFinish=finish).SerializeToString())

    def split(self) -> Transport:
        to_server, to_client = self.state.split()
        return Transport(send_key=to_server, receive_key=to_client)


@pytest.fixture
def root() -> KeyPair:
    return KeyPair.generate()


@pytest.fixture
def responder(root: KeyPair) -> NoiseResponder:
    static = KeyPair.generate()
    return NoiseResponder(static, issue_chain(root, static.public, now=NOW), HEADER)


def test_both_sides_end_with_the_same_session(root: KeyPair, responder: NoiseResponder) -> None:
    client = Initiator(root.public)
    finish = client.finish(responder.respond(client.hello()), b"client payload")
    assert responder.finish(finish) == b"client payload"
    assert responder.client_static == client.static.public
    ours, theirs = responder.split(), client.split()
    for message in (b"one", b"", b"three" * 1000):
        assert theirs.decrypt(ours.encrypt(message)) == message
        assert ours.decrypt(theirs.encrypt(message)) == message


def test_a_client_of_another_header_does_not_agree(
    root: KeyPair, responder: NoiseResponder
) -> None:
    client = Initiator(root.public, b"WA\x06\x02")
    with pytest.raises(NoiseError):
        client.finish(responder.respond(client.hello()), b"")


def test_an_altered_finish_is_refused(root: KeyPair, responder: NoiseResponder) -> None:
    client = Initiator(root.public)
    finish = client.finish(responder.respond(client.hello()), b"client payload")
    with pytest.raises(NoiseError):
        responder.finish(finish[:-1] + bytes([finish[-1] ^ 1]))
    with pytest.raises(NoiseError, match="not finished"):
        responder.split()


@pytest.mark.parametrize("hello", [b"", b"\xff\xff", b"\x12\x04\x0a\x02ab"])
def test_a_malformed_hello_is_refused(responder: NoiseResponder, hello: bytes) -> None:
    with pytest.raises(NoiseError):
        responder.respond(hello)


def test_a_key_without_a_secret_is_refused(responder: NoiseResponder) -> None:
    hello = wa.HandshakeMessage.ClientHello(ephemeral=bytes(32))
    with pytest.raises(NoiseError):
        responder.respond(wa.HandshakeMessage(clientHello=hello).SerializeToString())


def test_nothing_is_known_before_the_handshake_ends(responder: NoiseResponder) -> None:
    with pytest.raises(NoiseError, match="not finished"):
        _ = responder.client_static


def test_a_message_out_of_order_is_refused_and_the_next_one_still_read() -> None:
    sender = Transport(send_key=bytes(32), receive_key=bytes(32))
    receiver = Transport(send_key=bytes(32), receive_key=bytes(32))
    first, second = sender.encrypt(b"first"), sender.encrypt(b"second")
    with pytest.raises(NoiseError):
        receiver.decrypt(second)
    assert [receiver.decrypt(first), receiver.decrypt(second)] == [b"first", b"second"]
