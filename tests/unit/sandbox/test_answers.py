"""What devices of any client ask of the sandbox, and what they are sent: without a wire between."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from neonize.proto.waHistorySync.WAWebProtobufsHistorySync_pb2 import HistorySync
from neonize.proto.waSyncAction.WAWebProtobufSyncAction_pb2 import SyncActionValue

from sandbox.crypto import media, settings
from sandbox.crypto.keys import DJB_TYPE, KeyPair
from sandbox.crypto.protobuf import wa
from sandbox.phone import history
from sandbox.phone.phone import Phone
from sandbox.phone.phones import Phones
from sandbox.server import chatstates, newsletters, privacy_tokens
from sandbox.server.directory import jid_of
from sandbox.server.handlers import mex
from sandbox.server.server import Server
from sandbox.wire.jid import SERVER_JID, Jid
from sandbox.wire.node import Node

ALICE, BOB = "4915300000001", "4915300000002"


class Device:
    """A linked device: what it is sent, it keeps."""

    open = True

    def __init__(self, server: Server, phone: Phone) -> None:
        self._identity = KeyPair.generate()
        made = server.directory.link(
            phone.account, noise=os.urandom(32), identity=self._identity.public, platform="test"
        )
        self.number, self.device = made.number, made.device
        self.active = self.available = False
        self.media_host = "mmg.whatsapp.net"
        self.sent: list[Node] = []
        self._server = server
        server.peers.enter(self)

    async def send(self, node: Node) -> None:
        self.sent.append(node)

    async def end(self, node: Node | None = None) -> None:
        self.active = False

    async def say(self, node: Node) -> None:
        await self._server.handle(self, node)

    async def ask(self, xmlns: str, kind: str, *content: Node, to: Any = SERVER_JID) -> Node:
        number = str(len(self.sent))
        asked = Node.make("iq", list(content), id=number, xmlns=xmlns, type=kind, to=to)
        await self.say(asked)
        return next(n for n in self.sent if n.tag == "iq" and n.get("id") == asked.get("id"))

    async def query(self, number: str, **variables: Any) -> Any:
        content = json.dumps({"variables": variables})
        answer = await self.ask("w:mex", "get", Node.make("query", content, query_id=number))
        result = answer.child("result")
        assert result is not None, answer
        return json.loads(result.data)["data"]

    async def upload_keys(self) -> None:
        signed = KeyPair.generate().public
        key = [
            Node.make("id", b"\0\0\1"),
            Node.make("value", signed),
            Node.make("signature", self._identity.sign(DJB_TYPE + signed)),
        ]
        keys = []
        for n in range(1, 4):
            parts = [Node.make("id", bytes([0, 0, n])), Node.make("value", bytes([n]) * 32)]
            keys.append(Node.make("key", parts))
        await self.ask(
            "encrypt",
            "set",
            Node.make("registration", b"\0\0\0\7"),
            Node.make("type", b"\5"),
            Node.make("identity", self._identity.public),
            Node.make("list", keys),
            Node.make("skey", key),
        )

    async def log_in(self) -> None:
        await self.upload_keys()
        await self.ask("passive", "set", Node.make("active"))
        await settled(self._server)

    def last(self, tag: str, **attrs: str) -> Node | None:
        tagged = [n for n in self.sent if n.tag == tag]
        fits = [n for n in tagged if all(n.get(k) == v for k, v in attrs.items())]
        return fits[-1] if fits else None


async def settled(server: Server) -> None:
    while server._work:
        await asyncio.gather(*server._work, return_exceptions=True)
    await asyncio.sleep(0)


@pytest_asyncio.fixture
async def phones() -> AsyncIterator[Phones]:
    server = Server(None)
    phones = Phones(server)
    yield phones
    await phones.stop()
    await server.stop()


@pytest_asyncio.fixture
async def alice(phones: Phones) -> Phone:
    return await phones.add(ALICE, "Alice")


@pytest_asyncio.fixture
async def bob(phones: Phones) -> Phone:
    return await phones.add(BOB, "Bob")


@pytest_asyncio.fixture
async def server(phones: Phones) -> Server:
    return phones._server


@pytest.fixture
def linked(server: Server) -> Callable[[Phone], Device]:
    return lambda phone: Device(server, phone)


Linked = Callable[[Phone], Device]


async def test_calls_are_acknowledged_and_links_are_made(alice: Phone, linked: Linked) -> None:
    device = linked(alice)
    for to in (Jid(BOB, "s.whatsapp.net"), "@call"):
        what = "reject" if isinstance(to, Jid) else "link_create"
        await device.say(Node.make("call", [Node.make(what, media="audio")], id=what, to=to))
        ack = device.last("ack", id=what)
        assert ack is not None
        assert ack.get("class") == "call"
    assert ack is not None
    made = ack.child("link_create")
    assert made is not None
    assert made.get("token")


async def test_the_digest_is_that_of_the_keys(alice: Phone, linked: Linked) -> None:
    device = linked(alice)
    refused = await device.ask("encrypt", "get", Node.make("digest"))
    assert refused.get("type") == "error"
    await device.upload_keys()
    digest = (await device.ask("encrypt", "get", Node.make("digest"))).child("digest")
    assert digest is not None
    parts = {child.tag: child for child in digest.children()}
    assert parts["registration"].data == b"\0\0\0\7"
    assert [one.data[-1] for one in parts["list"].children("id")] == [1, 2, 3]
    signed = {child.tag: child.data for child in parts["skey"].children()}
    hashed = parts["identity"].data + signed["value"] + signed["signature"]
    hashed += b"".join(bytes([n]) * 32 for n in (1, 2, 3))
    assert parts["hash"].data == hashlib.sha1(hashed).digest()  # noqa: S324 - theirs


async def test_a_device_that_is_active_before_it_has_keys_is_greeted_when_it_has(
    server: Server, alice: Phone, linked: Linked
) -> None:
    device = linked(alice)
    await device.ask("passive", "set", Node.make("active"))
    await settled(server)
    asked = device.last("notification", type="encrypt")
    assert asked is not None, "it is notified that it has none"
    count = asked.child("count")
    assert count is not None
    assert count.get("value") == "0"
    assert device.last("message") is None
    await device.upload_keys()
    await settled(server)
    greetings = [n for n in device.sent if n.tag == "message" and n.get("category") == "peer"]
    assert len(greetings) == 4, "the keys of its settings, and three parts of the past"
    await device.ask("passive", "set", Node.make("active"))
    await settled(server)
    assert len([n for n in device.sent if n.tag == "message"]) == 4, "once"


async def test_posts_of_a_channel_reach_its_followers(
    server: Server, alice: Phone, bob: Phone, linked: Linked
) -> None:
    owner, follower = linked(alice), linked(bob)
    await owner.log_in()
    await follower.log_in()
    made = await owner.query("8823471724422422", input={"name": "News", "description": None})
    channel = Jid.parse(made["xwa2_newsletter_create"]["id"])
    joined = await follower.query("24404358912487870", newsletter_id=str(channel))
    assert joined["xwa2_newsletter_join_v2"]["thread_metadata"]["name"]["text"] == "News"
    text = wa.Message(conversation="Rain").SerializeToString()

    def post(id: str, **attrs: str) -> Node:
        return Node.make("message", [Node.make("plaintext", text)], id=id, to=channel, **attrs)

    await owner.say(post("P1", type="text"))
    ack = owner.last("ack", id="P1")
    assert ack is not None
    assert ack.get("server_id") == "100"
    heard = follower.last("message", id="P1")
    assert heard is not None
    assert (heard.get("from"), heard.get("server_id")) == (str(channel), "100")
    assert heard.children("plaintext")[0].data == text
    assert owner.last("message", id="P1") is None, "not back to where it came from"
    await follower.say(post("P2"))
    refused = follower.last("ack", id="P2")
    assert refused is not None
    assert refused.get("error") == "403"
    assert await owner.ask("newsletter", "set", Node.make("live_updates"), to=channel)
    reaction = Node.make("reaction", code="👍")
    reacted = Node.make("message", [reaction], id="R", to=channel, type="reaction", server_id="100")
    await follower.say(reacted)
    await follower.say(reacted)
    found = newsletters.find(server, channel)
    assert found is not None
    assert found.posts[0]["reactions"] == {"👍": 1}, "one of each"
    assert owner.last("notification", type="newsletter") is not None
    await owner.say(post("P1", edit="8"))
    found = newsletters.find(server, channel)
    assert found is not None
    assert found.posts[0]["message"] == ""
    nowhere = Node.make("message", [], id="N", to=Jid("1", "newsletter"))
    await owner.say(nowhere)
    assert owner.last("ack", id="N", error="404")


async def test_the_queries_of_three_libraries_have_an_answer(
    server: Server, alice: Phone, bob: Phone, linked: Linked
) -> None:
    """Baileys 7 (lib/Types/Mex.js) by the path that it reads, and whatsapp-rust (mex_ids.rs)."""
    device = linked(alice)
    follower = linked(bob)
    made = await device.query("25149874324715067", input={"name": "News"})
    channel = made["xwa2_newsletter_create"]["id"]
    await follower.query("24404358912487870", newsletter_id=channel)
    read: dict[str, tuple[str, dict[str, Any]]] = {
        "24250201037901610": ("xwa2_newsletter_update", {"updates": {"name": "Other"}}),
        "6563316087068696": ("xwa2_newsletter", {"input": {"key": channel, "type": "JID"}}),
        "25383075034668475": ("xwa2_newsletter", {"input": {"key": channel, "type": "JID"}}),
        "33101596156151910": ("xwa2_newsletter_subscribed", {}),
        "9783111038412085": ("xwa2_newsletter_subscribers", {}),
        "29766401636284406": ("xwa2_newsletter_mute_v2", {}),
        "9864994326891137": ("xwa2_newsletter_unmute_v2", {}),
        "7130823597031706": ("xwa2_newsletter_admin", {}),
        "29186079397702825": ("xwa2_newsletter_admin", {}),
        "23983697327930364": ("xwa2_fetch_account_reachout_timelock", {}),
        "24503548349331633": ("xwa2_message_capping_info", {}),
        "7341777602580933": (
            "xwa2_newsletter_change_owner",
            {"user_id": f"{BOB}@s.whatsapp.net"},
        ),
    }
    for number, (path, variables) in read.items():
        about = {} if path.endswith("subscribed") else {"newsletter_id": channel}
        answer = await device.query(number, **about, **variables)
        assert answer.get(path), (number, answer)
    assert await follower.query(
        "6551828931592903", newsletter_id=channel, user_id=f"{ALICE}@s.whatsapp.net"
    )
    assert await follower.query("30062808666639665", newsletter_id=channel)
    assert server.journal.unhandled == {}
    assert len(mex._QUERIES) > 35


async def test_what_changes_about_a_group_is_sent_whole(
    alice: Phone, bob: Phone, linked: Linked
) -> None:
    device = linked(bob)
    await device.log_in()
    made = await alice.iq(
        "w:g2",
        "set",
        Jid("", "g.us"),
        Node.make("create", [Node.make("participant", jid=jid_of(bob.account))], subject="G"),
    )
    group = made.child("group")
    assert group is not None
    jid = Jid(group.get("id"), "g.us")
    for change in ("announcement", "not_announcement", "invite"):
        await alice.iq("w:g2", "set", jid, Node.make(change))
        notification = device.last("notification", type="w:gp2")
        assert notification is not None
        part = notification.child(change)
        assert part is not None, notification
        assert part.get("code" if change == "invite" else "v_id"), notification


async def test_an_about_text_is_sent_to_who_knows_the_person(
    server: Server, alice: Phone, bob: Phone, linked: Linked
) -> None:
    device = linked(bob)
    await device.log_in()
    server.store.watch(ALICE, device.number, device.device, by_lid=True)
    await alice.iq("status", "set", SERVER_JID, Node.make("status", "Away"))
    notification = device.last("notification", type="status")
    assert notification is not None
    part = notification.child("set")
    assert part is not None
    assert part.data == b"Away"


async def test_typing_waits_a_moment_for_who_comes_back(
    server: Server, alice: Phone, bob: Phone, linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = linked(bob)
    await device.upload_keys()
    await alice.type(BOB)
    await device.log_in()
    assert device.last("chatstate") is not None
    device.sent.clear()
    device.active = False
    await alice.type(BOB)
    monkeypatch.setattr(chatstates, "TTL_SECONDS", 0.0)
    await device.log_in()
    assert device.last("chatstate") is None


async def test_who_is_addressed_by_number_hears_of_no_lid(
    server: Server, alice: Phone, bob: Phone, linked: Linked
) -> None:
    server.directory.set_lids(ALICE, on=False)
    device = linked(alice)
    await device.log_in()
    await bob.send_text(ALICE, "hi")
    message = [n for n in device.sent if n.tag == "message" and not n.get("category")][-1]
    assert message.get("from") == f"{BOB}@s.whatsapp.net"
    assert "lid" not in str(message)
    listed = [Node.make("user", jid=Jid(BOB, "s.whatsapp.net"))]
    query = Node.make("query", [Node.make("devices", version=2), Node.make("lid")])
    asked = Node.make("usync", [query, Node.make("list", listed)], sid="1", mode="query")
    answer = await device.ask("usync", "get", asked)
    assert "lid" not in str(answer)
    people = [Node.make("participant", jid=Jid(BOB, "s.whatsapp.net"))]
    create = Node.make("create", people, subject="G")
    made = await device.ask("w:g2", "set", create, to=Jid("", "g.us"))
    group = made.child("group")
    assert group is not None
    assert group.get("addressing_mode") == "pn"
    await bob.send_text(f"{group.get('id')}@g.us", "in the group")
    received = [n for n in device.sent if n.tag == "message"][-1]
    assert received.get("participant") == f"{BOB}@s.whatsapp.net"
    assert "@lid" not in str(received)
    server.directory.set_lids(ALICE, on=True)
    await bob.send_text(ALICE, "hi again")
    assert device.sent[-1].jid("from").server == "lid"


async def test_a_restricted_account_takes_messages_with_its_token_only(
    server: Server, alice: Phone, bob: Phone, linked: Linked
) -> None:
    privacy_tokens.restrict(server, ALICE, on=True)
    device = linked(bob)
    await device.log_in()
    to = jid_of(alice.account)

    async def error(id: str, token: bytes | None) -> str:
        content = [] if token is None else [Node.make("tctoken", token)]
        await device.say(Node.make("message", content, id=id, to=to, type="text"))
        ack = device.last("ack", id=id)
        assert ack is not None
        return ack.get("error")

    assert await error("M1", None) == "463"
    token = Node.make("token", jid=jid_of(bob.account), t=5, type="trusted_contact")
    await alice.iq("privacy", "set", SERVER_JID, Node.make("tokens", [token]))
    notification = device.last("notification", type="privacy_token")
    assert notification is not None
    tokens = notification.child("tokens")
    assert tokens is not None
    given = tokens.children("token")[0]
    assert (given.get("t"), given.get("type")) == ("5", "trusted_contact")
    assert await error("M2", b"wrong") == "463"
    assert await error("M3", given.data) == ""
    assert await error("M4", None) == "463"


async def test_a_token_made_with_the_shared_salt_opens_a_restricted_account(
    server: Server, alice: Phone, bob: Phone, linked: Linked
) -> None:
    device = linked(bob)
    await device.log_in()
    salt = privacy_tokens.salt(server, BOB)
    right = hmac.digest(salt, str(jid_of(alice.account)).encode(), "sha256")
    wrong = hmac.digest(salt, str(jid_of(bob.account)).encode(), "sha256")

    async def error(id: str, token: bytes) -> str:
        node = Node.make("message", [Node.make("cstoken", token)], id=id, to=jid_of(alice.account))
        await device.say(node)
        ack = device.last("ack", id=id)
        assert ack is not None
        return ack.get("error")

    privacy_tokens.restrict(server, ALICE, on=True)
    assert await error("M1", wrong) == "463"
    assert await error("M2", right) == ""
    privacy_tokens.set_scenario(server, ALICE, {"restricted", "cs_enabled=0"})
    assert await error("M3", right) == "463"

    # A device learns the salt by its first history, or as a setting, and whether to use it.
    blob = history.sync("INITIAL_BOOTSTRAP", [], push_names={}, pairs=[], nct_salt=salt)
    assert HistorySync.FromString(blob.SerializeToString()).nctSalt == salt
    value = settings.nct_salt(salt)[1].value.SerializeToString()
    assert SyncActionValue.FromString(value).nctSaltSyncAction.salt == salt
    answer = await device.ask("abt", "get", Node.make("props", protocol="1"))
    props = answer.child("props")
    assert props is not None
    codes = {one.get("config_code"): one.get("config_value") for one in props.children("prop")}
    assert codes == {"10518": "1", "24941": "1"}


async def test_a_phone_uploads_again_what_the_media_server_forgot(
    server: Server, alice: Phone, bob: Phone, linked: Linked
) -> None:
    device = linked(alice)
    await device.log_in()
    message_id = await bob.send_media(ALICE, "image", b"\xff\xd8" * 9, mimetype="image/jpeg")
    [entry] = await alice.wait_inbox(0, 5)
    image = wa.Message.FromString(bytes.fromhex(entry["raw"])).imageMessage
    bob.lose_media(message_id)
    assert server.media.get(image.directPath.partition("?")[0]) is None

    async def ask(id: str, key: bytes) -> Node:
        said = wa.ServerErrorReceipt(stanzaId=id).SerializeToString()
        sealed, iv = media.seal_retry(said, media_key=key, message_id=id)
        parts = [Node.make("enc_p", sealed), Node.make("enc_iv", iv)]
        rmr = Node.make("rmr", jid=jid_of(bob.account), from_me=False)
        to = jid_of(alice.account, lid=False)
        content = [Node.make("encrypt", parts), rmr]
        await device.say(Node.make("receipt", content, id=id, to=to, type="server-error"))
        for _ in range(100):
            if found := device.last("notification", type="mediaretry", id=id):
                return found
            await asyncio.sleep(0.02)
        raise AssertionError("no answer")

    retry = await ask(message_id, image.mediaKey)
    parts = {child.tag: child.data for child in (retry.child("encrypt") or Node("x")).children()}
    plain = media.open_retry(
        parts["enc_p"], parts["enc_iv"], media_key=image.mediaKey, message_id=message_id
    )
    answer = wa.MediaRetryNotification.FromString(plain)
    assert answer.result == wa.MediaRetryNotification.ResultType.SUCCESS
    assert server.media.get(answer.directPath.partition("?")[0]) is not None
    unknown = await ask("3AUNKNOWN", os.urandom(32))
    assert unknown.child("error") is not None


async def test_a_community_has_groups_and_their_members(
    server: Server, alice: Phone, bob: Phone, linked: Linked
) -> None:
    """What whatsapp-rust's suite asks of communities (tests/e2e/tests/community.rs)."""
    owner, guest = linked(alice), linked(bob)
    await guest.log_in()
    made = Node.make("create", [Node.make("parent"), Node.make("create_general_chat")], subject="C")
    answer = (await owner.ask("w:g2", "set", made, to=Jid("", "g.us"))).child("group")
    assert answer is not None
    assert answer.child("parent") is not None
    community = Jid(answer.get("id"), "g.us")

    async def subgroups() -> dict[str, Any]:
        data = await owner.query("9935467776504344", group_id=str(community))
        found: dict[str, Any] = data["xwa2_group_query_by_id"]
        return found

    found = await subgroups()
    assert found["default_sub_group"]["participants_count"] == 1
    [talk] = found["sub_groups"]["edges"]
    assert talk["node"]["properties"] == {"general_chat": True}

    plain = Node.make("create", [], subject="Sub")
    sub = (await owner.ask("w:g2", "set", plain, to=Jid("", "g.us"))).child("group")
    assert sub is not None
    group = Jid(sub.get("id"), "g.us")
    asked = Node.make("group", jid=group)
    link = Node.make("links", [Node.make("link", [asked], link_type="sub_group")])
    assert "error" not in str(await owner.ask("w:g2", "set", link, to=community))
    assert "409" in str(await owner.ask("w:g2", "set", link, to=community)), "once"
    assert len((await subgroups())["sub_groups"]["edges"]) == 2

    join = Node.make("join_linked_group", jid=group)
    outside = await guest.ask("w:g2", "set", join, to=community)
    assert outside.get("type") == "error"
    person = Node.make("participant", jid=jid_of(bob.account))
    await owner.ask("w:g2", "set", Node.make("add", [person]), to=community)
    assert (await subgroups())["default_sub_group"]["participants_count"] == 2
    joined = await guest.ask("w:g2", "set", join, to=community)
    assert str(jid_of(bob.account)) in str(joined)
    everybody = Node.make("linked_groups_participants")
    people = await owner.ask("w:g2", "get", everybody, to=community)
    assert str(jid_of(bob.account)) in str(people)
    linked_one = Node.make("query_linked", type="sub_group", jid=group)
    assert "linked_parent" in str(await guest.ask("w:g2", "get", linked_one, to=community))
    listed = await owner.ask("w:g2", "get", Node.make("sub_groups"), to=community)
    assert str(listed).count("<group ") == 3

    unlink = Node.make("unlink", [asked], unlink_type="sub_group")
    assert "error" not in str(await owner.ask("w:g2", "set", unlink, to=community))
    notification = guest.last("notification", type="w:gp2")
    assert notification is not None
    assert notification.child("unlink") is not None
    refused = await guest.ask("w:g2", "set", Node.make("delete_parent"), to=community)
    assert refused.get("type") == "error"
    await owner.ask("w:g2", "set", Node.make("delete_parent"), to=community)
    gone = await owner.ask("w:g2", "get", Node.make("query", request="interactive"), to=community)
    assert gone.get("type") == "error"
    assert server.journal.unhandled == {}
