"""Chatting, chats, files and stories through WAHA's generated client; the phones are the judges."""

from __future__ import annotations

import base64
import io
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest
from PIL import Image
from running_gateway import Phone, RunningGateway, until
from sample_media import photo, sound, video
from waha import WahaClient

_names = itertools.count(1)


@dataclass
class Talk:
    """A session, its own phone, and two other people."""

    gateway: RunningGateway
    waha: WahaClient
    session: str
    own: Phone
    bob: Phone
    carol: Phone

    def body(self, **more: Any) -> dict[str, Any]:
        return {"session": self.session, "chatId": self.bob.chat} | more

    def arrived(self, sent: dict[str, Any], at: Phone | None = None) -> dict[str, Any]:
        """What a phone decrypted of a message that the gateway says it sent."""
        wire_id = sent["id"].split("_")[2]
        phone = at or self.bob
        return until(
            lambda: next((e for e in phone.inbox() if e["id"] == wire_id), None),
            what=f"{wire_id} on the phone",
        )

    def attachment(self, entry: dict[str, Any], at: Phone | None = None) -> bytes:
        phone = at or self.bob
        answer = phone.control.get(f"/phones/{phone.number}/inbox/{entry['id']}/media")
        return answer.raise_for_status().content

    def received(self, text: str, chat: str = "") -> dict[str, Any]:
        """A message of the history by its text."""
        return until(
            lambda: next(
                (
                    m
                    for m in self.gateway.history(self.session, chat or self.bob.chat)
                    if m["body"] == text and not m["fromMe"]
                ),
                None,
            ),
            what=f"{text!r} in the history",
        )

    def stored(self, message_id: str, chat: str = "") -> dict[str, Any]:
        found = self.waha.chats.get_chat_message(self.session, chat or self.bob.chat, message_id)
        return dict(found)

    def settings(self, collection: str) -> str:
        path = f"/phones/{self.own.number}/settings/{collection}"
        return self.own.control.get(path).raise_for_status().text


@pytest.fixture(scope="module")
def talk(gateway: RunningGateway) -> Iterator[Talk]:
    session, own = f"talk{os.getpid()}-{next(_names)}", gateway.phone("Alice")
    bob, carol = gateway.phone("Bob"), gateway.phone("Carol")
    gateway.paired(session, own)
    waha = WahaClient(base_url=gateway.state.url, api_key=gateway.state.api_key)
    yield Talk(gateway, waha, session, own, bob, carol)
    waha.close()


def encoded(data: bytes, **more: Any) -> dict[str, Any]:
    return {"data": base64.b64encode(data).decode(), **more}


def test_an_image_arrives_with_caption_size_and_thumbnail(talk: Talk) -> None:
    data = photo("PNG", (640, 480))
    sent = talk.waha.chatting.send_image(
        talk.body(file=encoded(data, mimetype="image/png"), caption="look")
    )
    entry = talk.arrived(sent)
    part = entry["message"]["imageMessage"]
    assert (part["caption"], part["width"], part["height"]) == ("look", 640, 480)
    small = Image.open(io.BytesIO(base64.b64decode(part["jpegThumbnail"])))
    assert (small.format, max(small.size)) == ("JPEG", 200)
    assert talk.attachment(entry) == data
    assert sent["hasMedia"]
    own = talk.gateway.api.get(sent["media"]["url"])
    assert (own.content, own.headers["content-type"]) == (data, "image/png")


def test_sound_becomes_a_voice_note(talk: Talk) -> None:
    sent = talk.waha.chatting.send_voice(talk.body(file=encoded(sound(3)), convert=True))
    entry = talk.arrived(sent)
    part = entry["message"]["audioMessage"]
    assert (part["ptt"], part["seconds"]) == (True, 3)
    assert part["mimetype"] == "audio/ogg; codecs=opus"
    assert len(base64.b64decode(part["waveform"])) == 64
    assert talk.attachment(entry).startswith(b"OggS")


def test_film_becomes_mp4(talk: Talk) -> None:
    film = video("avi")
    sent = talk.waha.chatting.send_video(
        talk.body(file=encoded(film), convert=True, caption="film")
    )
    part = talk.arrived(sent)["message"]["videoMessage"]
    assert (part["mimetype"], part["seconds"], part["caption"]) == ("video/mp4", 2, "film")
    assert talk.attachment(talk.arrived(sent))[4:8] == b"ftyp"
    note = talk.waha.chatting.send_video(talk.body(file=encoded(film), convert=True, asNote=True))
    assert talk.arrived(note)["type"] == "ptvMessage"


def test_stickers_and_files(talk: Talk) -> None:
    sticker = talk.waha.chatting.send_sticker(talk.body(file=encoded(photo("JPEG", (300, 200)))))
    made = Image.open(io.BytesIO(talk.attachment(talk.arrived(sticker))))
    assert (made.format, made.size) == ("WEBP", (512, 512))
    sent = talk.waha.chatting.send_file(
        talk.body(
            file=encoded(b"%PDF-1.4 x", mimetype="application/pdf", filename="a.pdf"), caption="doc"
        )
    )
    part = talk.arrived(sent)["message"]["documentMessage"]
    assert (part["fileName"], part["caption"]) == ("a.pdf", "doc")


def test_a_streamed_upload_is_sent_by_its_url(talk: Talk) -> None:
    data = os.urandom(3_000_000)

    def parts() -> Iterator[bytes]:
        for start in range(0, len(data), 1 << 18):
            yield data[start : start + (1 << 18)]

    answer = talk.gateway.api.post(
        f"/api/{talk.session}/media/upload?filename=big.zip",
        content=parts(),
        headers={"Content-Type": "application/zip"},
    )
    assert answer.status_code == 201, answer.text
    sent = talk.waha.chatting.send_file(talk.body(file={"url": answer.json()["url"]}))
    entry = talk.arrived(sent)
    part = entry["message"]["documentMessage"]
    assert (part["fileName"], part["mimetype"]) == ("big.zip", "application/zip")
    assert talk.attachment(entry) == data


def test_received_files_are_fetched_when_asked_for(talk: Talk) -> None:
    data = photo("JPEG", (320, 200))
    talk.bob.post(
        "/messages",
        to=talk.own.number,
        text="a photo",
        media="image",
        data=base64.b64encode(data).decode(),
        mimetype="image/jpeg",
    )
    message = talk.received("a photo")
    assert message["hasMedia"]
    assert message["media"]["mimetype"] == "image/jpeg"
    url = message["media"]["url"]
    whole = talk.gateway.api.get(url)
    assert (whole.content, whole.headers["content-type"]) == (data, "image/jpeg")
    part = talk.gateway.api.get(url, headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, data[2:6])
    assert httpx.get(url).status_code == 401, "files need the key too"
    forwarded = talk.waha.chatting.forward_message(
        {"session": talk.session, "chatId": talk.carol.chat, "messageId": message["id"]}
    )
    entry = talk.arrived(forwarded, talk.carol)
    assert entry["message"]["imageMessage"]["contextInfo"]["isForwarded"] is True
    assert talk.attachment(entry, talk.carol) == data


def test_places_cards_lists_and_previews(talk: Talk) -> None:
    chatting = talk.waha.chatting
    sent = chatting.send_location(talk.body(latitude=38.5, longitude=-77.25, title="Office"))
    place = talk.arrived(sent)["message"]["locationMessage"]
    assert (place["degreesLatitude"], place["name"]) == (38.5, "Office")
    assert sent["location"]["longitude"] == "-77.25"
    contacts = [{"fullName": "Jane Doe", "phoneNumber": "+91 1"}, {"fullName": "J", "vcard": None}]
    contacts[1] = {"vcard": "BEGIN:VCARD\nVERSION:3.0\nFN:John\nEND:VCARD"}
    cards = talk.arrived(chatting.send_contact_vcard(talk.body(contacts=contacts)))
    shown = cards["message"]["contactsArrayMessage"]["contacts"]
    assert [card["displayName"] for card in shown] == ["Jane Doe", "John"]
    rows = [{"title": "One", "rowId": "1"}]
    listing = {"title": "Menu", "button": "Choose", "sections": [{"title": "S", "rows": rows}]}
    assert talk.arrived(chatting.send_list(talk.body(message=listing)))["type"] == "listMessage"
    preview = {
        "url": "https://x.example/1",
        "title": "Title",
        "description": "About",
        "image": encoded(photo("PNG", (400, 300))),
    }
    text = "see https://x.example/1"
    sent = chatting.send_link_custom_preview(talk.body(text=text, preview=preview))
    card = talk.arrived(sent)["message"]["extendedTextMessage"]
    assert (card["title"], card["description"]) == ("Title", "About")
    assert card["jpegThumbnail"]
    assert card["thumbnailDirectPath"], "the large picture was uploaded"


def test_polls_and_votes_decrypt_on_both_sides(talk: Talk) -> None:
    def votes(poll_id: str) -> Any:
        path = f"/phones/{talk.bob.number}/polls/{poll_id}/votes"
        return talk.bob.control.get(path).raise_for_status().json()["entries"]

    sent = talk.waha.chatting.send_poll(
        talk.body(poll={"name": "Where?", "options": ["here", "there"], "multipleAnswers": False})
    )
    poll = talk.arrived(sent)["message"]["pollCreationMessage"]
    assert [o["optionName"] for o in poll["options"]] == ["here", "there"]
    talk.bob.post("/polls", to=talk.own.number, question="Lunch?", options=["pizza", "pasta"])
    theirs = talk.received("Lunch?")
    for poll_id, choice in ((theirs["id"], "pasta"), (sent["id"], "there")):
        talk.waha.chatting.send_poll_vote(talk.body(pollMessageId=poll_id, votes=[choice]))
        wire_id = poll_id.split("_")[2]
        found = until(partial(votes, wire_id), what="the vote")
        assert found == [{"by": talk.own.number, "options": [choice]}]
    asked_by_us = sent["id"].split("_")[2]
    talk.bob.post(f"/polls/{asked_by_us}/votes", options=["here"])

    def emitted() -> list[list[str]]:
        answer = talk.gateway.api.get(
            f"/api/{talk.session}/events", params={"types": "poll.vote", "limit": 100}
        )
        events = answer.raise_for_status().json()
        found = events.get("events", events) if isinstance(events, dict) else events
        # Votes of one's own are emitted as well, before they are opened.
        opened = [e["payload"]["vote"] for e in found if "vote" in e["payload"]]
        return [vote["selectedOptions"] for vote in opened]

    until(lambda: ["here"] in emitted(), what="Bob's vote, opened, as an event")


def test_reactions_stars_and_seen(talk: Talk) -> None:
    talk.bob.post("/messages", to=talk.own.number, text="react to me")
    message = talk.received("react to me")
    wire_id = message["id"].split("_")[2]
    key = {"session": talk.session, "messageId": message["id"]}
    talk.waha.chatting.set_reaction(key | {"reaction": "👍"})
    reaction = until(
        lambda: next((e for e in talk.bob.inbox() if e["type"] == "reactionMessage"), None)
    )["message"]["reactionMessage"]
    assert (reaction["text"], reaction["key"]["id"]) == ("👍", wire_id)
    talk.waha.chatting.set_star(key | {"chatId": talk.bob.chat, "star": True})
    until(lambda: wire_id in talk.settings("regular_high"), what="the star on the phone")

    def unread() -> int:
        found = talk.waha.chats.get_chats_overview(talk.session, {"ids": talk.bob.chat})
        return int(found[0]["_chat"]["unreadCount"])

    assert unread() > 0
    talk.waha.chatting.send_seen(talk.body())
    assert unread() == 0

    def read() -> bool:
        path = f"/phones/{talk.bob.number}/receipts"
        entries = talk.bob.control.get(path).json()["entries"]
        return any(e["type"] == "read" and wire_id in e["ids"] for e in entries)

    until(read, what="blue ticks at Bob")
    talk.waha.chatting.start_typing(talk.body())
    talk.waha.chatting.stop_typing(talk.body())
    path = f"/phones/{talk.bob.number}/inbox"
    states = until(
        lambda: talk.bob.control.get(path, params={"kind": "chatstate"}).json()["entries"][1:]
    )
    assert "paused" in states[-1]["stanza"]


def test_edits_pins_and_deletions_reach_the_phone_and_the_history(talk: Talk) -> None:
    sent = talk.waha.chatting.send_text(talk.body(text="frist"))
    wire_id = sent["id"].split("_")[2]
    talk.waha.chats.edit_message(talk.session, talk.bob.chat, sent["id"], {"text": "first"})

    def changes() -> list[dict[str, Any]]:
        found = [e["message"] for e in talk.bob.inbox() if e["type"] == "protocolMessage"]
        return [m["protocolMessage"] for m in found]

    (edit,) = until(changes)
    assert (edit["type"], edit["key"]["id"]) == ("MESSAGE_EDIT", wire_id)
    assert edit["editedMessage"] == {"conversation": "first"}
    until(lambda: talk.stored(sent["id"])["body"] == "first", what="the edit in the history")
    talk.waha.chats.pin_message(talk.session, talk.bob.chat, sent["id"], {"duration": 86400})
    pin = until(
        lambda: next((e for e in talk.bob.inbox() if e["type"] == "pinInChatMessage"), None)
    )
    assert pin["message"]["pinInChatMessage"]["key"]["id"] == wire_id
    talk.waha.chats.unpin_message(talk.session, talk.bob.chat, sent["id"])
    talk.waha.chats.delete_message(talk.session, talk.bob.chat, sent["id"])
    until(lambda: any(c["type"] == "REVOKE" for c in changes()), what="the deletion")
    until(lambda: talk.stored(sent["id"])["body"] == "", what="the deletion in the history")
    talk.bob.post("/messages", to=talk.own.number, text="theri text")
    theirs = talk.received("theri text")
    talk.bob.post("/edit", message_id=theirs["id"].split("_")[2], text="their text")
    until(lambda: talk.stored(theirs["id"])["body"] == "their text", what="their edit")
    answer = talk.gateway.api.put(
        f"/api/{talk.session}/chats/{talk.bob.chat}/messages/{theirs['id']}", json={"text": "x"}
    )
    assert answer.status_code == 422, "nobody edits what others wrote"


def test_groups_mention_everybody_and_quote_by_the_groups_addresses(talk: Talk) -> None:
    members = [{"id": talk.bob.chat}, {"id": talk.carol.chat}]
    made = talk.waha.groups.create_group(talk.session, {"name": "Trio", "participants": members})
    chat = made["id"]
    body = {"session": talk.session, "chatId": chat}
    sent = talk.waha.chatting.send_text(body | {"text": "everybody", "mentions": ["all"]})
    context = talk.arrived(sent)["message"]["extendedTextMessage"]["contextInfo"]
    assert len(context["mentionedJid"]) == 2
    talk.carol.post("/messages", to=chat, text="quote me")
    theirs = talk.received("quote me", chat)
    reply = talk.waha.chatting.send_text(body | {"text": "quoted", "reply_to": theirs["id"]})
    quoted = talk.arrived(reply)["message"]["extendedTextMessage"]["contextInfo"]
    assert quoted["stanzaId"] == theirs["id"].split("_")[2]
    assert quoted["quotedMessage"] == {"conversation": "quote me"}


def test_the_list_of_chats_and_paging(talk: Talk) -> None:
    texts = [f"page {n}" for n in range(5)]
    for text in texts:
        talk.waha.chatting.send_text(
            {"session": talk.session, "chatId": talk.carol.chat, "text": text}
        )
    chats = talk.waha.chats.get_chats(talk.session)
    assert chats[0]["id"] == talk.carol.chat, "the latest first"
    overview = talk.waha.chats.post_chats_overview(
        talk.session, {"pagination": {"limit": 1}, "filter": {"ids": [talk.carol.chat]}}
    )
    assert overview[0]["lastMessage"]["body"] == "page 4"
    pages = [
        talk.waha.chats.get_chat_messages(
            talk.session, talk.carol.chat, {"limit": 2, "offset": offset, "filter.fromMe": "true"}
        )
        for offset in (0, 2)
    ]
    assert [m["body"] for page in pages for m in page] == texts[:0:-1]
    for change in (talk.waha.chats.archive_chat, talk.waha.chats.unread_chat):
        change(talk.session, talk.carol.chat)
    shown = talk.waha.chats.get_chats_overview(talk.session, {"ids": talk.carol.chat})[0]["_chat"]
    assert (shown["archived"], shown["markedAsUnread"]) == (True, True)
    assert "markChatAsRead" in talk.settings("regular_low")
    talk.waha.chats.unarchive_chat(talk.session, talk.carol.chat)
    talk.waha.chats.clear_messages(talk.session, talk.carol.chat)
    assert talk.waha.chats.get_chat_messages(talk.session, talk.carol.chat, {"limit": 9}) == []
    talk.waha.chats.delete_chat(talk.session, talk.carol.chat)
    assert talk.carol.chat not in [c["id"] for c in talk.waha.chats.get_chats(talk.session)]


def test_stories_reach_contacts_and_are_taken_back(talk: Talk) -> None:
    talk.own.post("/settings", chat=talk.bob.number, setting="contact", name="Bob")

    def shown(kind: str) -> dict[str, Any] | None:
        found = [e for e in talk.bob.inbox() if e["chat"] == "status@broadcast"]
        return next((e for e in found if e["type"] == kind), None)

    def posted() -> dict[str, Any] | None:
        # The contact travels as app state: until it is there, the story goes to nobody.
        talk.waha.status.send_text_status(
            talk.session, {"text": "my day", "backgroundColor": "#38b42f", "font": 1}
        )
        return shown("extendedTextMessage")

    story = until(posted, what="the story")
    assert story["message"]["extendedTextMessage"]["backgroundArgb"] == 0xFF38B42F
    data = photo("JPEG", (200, 200))
    talk.waha.status.send_image_status(talk.session, {"file": encoded(data), "caption": "c"})
    entry = until(lambda: shown("imageMessage"), what="the picture")
    assert talk.attachment(entry) == data
    talk.waha.status.send_voice_status(
        talk.session, {"file": encoded(sound(1)), "convert": True, "backgroundColor": "#000000"}
    )
    until(lambda: shown("audioMessage"), what="the voice")
    talk.waha.status.delete_status(talk.session, {"id": entry["id"]})
    gone = until(lambda: shown("protocolMessage"), what="taken back")
    assert gone["message"]["protocolMessage"]["key"]["id"] == entry["id"]


def test_conversion_alone(talk: Talk) -> None:
    for kind, data, start in (("voice", sound(1), b"OggS"), ("video", video("avi"), b"\0\0\0")):
        answer = talk.gateway.api.post(
            f"/api/{talk.session}/media/convert/{kind}", json=encoded(data)
        )
        assert answer.is_success, answer.text
        assert answer.content.startswith(start)


@pytest.mark.parametrize(
    ("path", "more", "status", "names"),
    [
        ("/api/sendImage", {"file": {"url": "http://127.0.0.1:22/"}}, 422, "not public"),
        ("/api/sendImage", {"file": {"url": "http://169.254.169.254/meta"}}, 422, "not public"),
        ("/api/sendImage", {"file": {"url": "file:///etc/passwd"}}, 422, "http"),
        ("/api/sendImage", {"file": {"url": f"upload:{'0' * 64}"}}, 404, ""),
        ("/api/sendImage", {"file": encoded(b"no image")}, 422, "no image"),
        ("/api/sendVoice", {"file": {"data": "%%%"}}, 422, "base64"),
        ("/api/sendPoll", {"poll": {"name": "x", "options": ["a", "a"]}}, 422, "differ"),
        ("/api/sendPollVote", {"pollMessageId": "3EB0FFFFFFFFFFFFFF", "votes": []}, 404, "poll"),
        ("/api/forwardMessage", {"messageId": "3EB0FFFFFFFFFFFFFF"}, 404, "history"),
        ("/api/sendText", {"text": "x", "mentions": ["all"]}, 422, "groups"),
        (
            "/api/sendButtons",
            {"buttons": [{"type": "reply", "text": "x"}]},
            501,
            "do not show buttons",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_sends_nothing(
    talk: Talk, path: str, more: dict[str, Any], status: int, names: str
) -> None:
    before = talk.gateway.control.get("/state").json()["counters"]["message"]
    answer = talk.gateway.api.post(path, json=talk.body(**more))
    assert answer.status_code == status, answer.text
    assert names in answer.text
    assert talk.gateway.control.get("/state").json()["counters"]["message"] == before


def test_the_same_key_with_the_same_file_is_one_message(talk: Talk) -> None:
    body = talk.body(file=encoded(photo("PNG", (50, 50))), caption="once")
    answers = [
        talk.gateway.api.post("/api/sendImage", json=body, headers={"Idempotency-Key": "img-1"})
        for _ in range(2)
    ]
    assert len({a.json()["id"] for a in answers}) == 1
    talk.arrived(answers[0].json())
    captions = [e["text"] for e in talk.bob.inbox()]
    assert captions.count("once") == 1


def test_the_same_key_after_a_failure_is_answered_the_same(talk: Talk) -> None:
    api = talk.gateway.api
    group = {"name": "Left", "participants": [{"id": talk.bob.chat}]}
    made = api.post(f"/api/{talk.session}/groups", json=group).raise_for_status().json()
    left = api.post(f"/api/{talk.session}/groups/{made['JID']}/leave")
    left.raise_for_status()
    for chat, status in ((made["JID"], 403), ("4999000000000@c.us", 422)):
        body = talk.body(text="to nobody") | {"chatId": chat}
        first, again = (
            api.post("/api/sendText", json=body, headers={"Idempotency-Key": f"nobody-{status}"})
            for _ in range(2)
        )
        assert first.status_code == again.status_code == status, (first.text, again.text)
        of_the_request = {"instance", "requestId", "timestamp"}
        answered = [
            {k: v for k, v in one.json().items() if k not in of_the_request}
            for one in (first, again)
        ]
        assert answered[0] == answered[1]


def test_new_message_ids_can_be_sent_under(talk: Talk) -> None:
    chosen = talk.waha.chatting.get_new_message_id(talk.session)["id"]
    sent = talk.waha.chatting.send_text(talk.body(text="chosen", id=chosen))
    assert sent["id"].split("_")[2] == chosen
    assert talk.arrived(sent)["text"] == "chosen"


def test_the_sandbox_answered_everything(talk: Talk, until_quiet: Callable[[], None]) -> None:
    until_quiet()
    assert talk.gateway.control.get("/state").json()["unhandled"] == {}


@pytest.fixture
def until_quiet(talk: Talk) -> Callable[[], None]:
    def wait() -> None:
        counted = -1

        def still() -> bool:
            nonlocal counted
            before, counters = counted, talk.gateway.control.get("/state").json()["counters"]
            counted = sum(counters.values())
            return before == counted

        until(still, what="quiet")

    return wait
