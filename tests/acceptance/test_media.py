"""Files by every way they can be given: by URL, as base64, in a form, uploaded before.

The phone that decrypts them is the judge.
"""

from __future__ import annotations

import base64
import os

import pytest
from file_giver import WAYS, Giver
from people import People
from running_gateway import until
from sample_media import photo, sound, video


@pytest.mark.parametrize("way", WAYS)
def test_images_and_documents(giver: Giver, way: str) -> None:
    data = photo("JPEG", (120, 90))
    sent = giver.send(way, "/api/sendImage", data, f"{way}.jpg", "image/jpeg", caption=f"by {way}")
    entry, decrypted = giver.arrived(sent)
    assert (entry["type"], entry["text"], decrypted) == ("imageMessage", f"by {way}", data)
    data = os.urandom(70_000)
    sent = giver.send(way, "/api/sendFile", data, f"{way}.bin", "application/x-thing")
    entry, decrypted = giver.arrived(sent)
    part = entry["message"]["documentMessage"]
    assert (part["fileName"], part["mimetype"]) == (f"{way}.bin", "application/x-thing")
    assert decrypted == data


@pytest.mark.parametrize("way", ["url", "form"])
def test_what_is_converted_on_its_way(giver: Giver, way: str) -> None:
    sent = giver.send(way, "/api/sendVoice", sound(2), "a.wav", "audio/wav", convert="true")
    entry, decrypted = giver.arrived(sent)
    part = entry["message"]["audioMessage"]
    assert (part["ptt"], part["seconds"], decrypted[:4]) == (True, 2, b"OggS")
    film = video("avi")
    sent = giver.send(way, "/api/sendVideo", film, "a.avi", "video/avi", convert="true")
    entry, decrypted = giver.arrived(sent)
    assert entry["message"]["videoMessage"]["seconds"] == 2
    assert entry["message"]["videoMessage"]["jpegThumbnail"]
    assert decrypted[4:8] == b"ftyp"
    assert 0 <= decrypted.find(b"moov") < decrypted.find(b"mdat"), "the index comes first"
    sent = giver.send(way, "/api/sendSticker", photo("PNG", (80, 40)), "a.png", "image/png")
    entry, decrypted = giver.arrived(sent)
    assert (entry["type"], decrypted[8:12]) == ("stickerMessage", b"WEBP")


def test_pictures_conversion_and_stories_take_forms_and_urls(giver: Giver, people: People) -> None:
    alice, bob, waha = people.alice, people.bob, people.waha
    picture = photo("PNG", (90, 60))
    answer = giver.api.put(
        f"/api/{alice.session}/profile/picture", files={"file": ("p.png", picture, "image/png")}
    )
    assert answer.json() == {"success": True}
    assert waha.profile.get_my_profile(alice.session)["picture"]
    waha.profile.delete_profile_picture(alice.session)
    assert waha.profile.set_profile_picture(
        alice.session, {"file": giver.given("url", picture, "p.png")}
    )["success"]
    waha.profile.delete_profile_picture(alice.session)
    group = waha.groups.create_group(
        alice.session, {"name": "Files", "participants": [{"id": bob.chat}]}
    )
    group_id = group["JID"] if "JID" in group else group["id"]
    answer = giver.api.put(
        f"/api/{alice.session}/groups/{group_id}/picture",
        files={"file": ("p.png", picture, "image/png")},
    )
    assert answer.json() == {"success": True}
    seen = bob.group(group_id)
    assert seen
    assert seen["picture_id"]
    for name, data, start in (("voice", sound(1), b"OggS"), ("video", video("avi"), b"\0\0\0")):
        path = f"/api/{alice.session}/media/convert/{name}"
        by_form = giver.api.post(path, files={"data": data})
        by_url = giver.api.post(path, json=giver.given("url", data, name))
        assert by_form.content[:4].startswith(start), by_form.text
        in_json = giver.api.post(
            path, files={"data": data}, headers={"Accept": "application/json"}
        ).json()
        assert in_json["mimetype"] == by_form.headers["content-type"]
        assert base64.b64decode(in_json["data"], validate=True)[:4].startswith(start)
        assert by_url.content[:4].startswith(start), by_url.text
    alice.phone.post("/settings", chat=bob.phone.number, setting="contact", name="Bob")
    for name, data in (("image", picture), ("voice", sound(1)), ("video", video("avi"))):

        def arrived(name: str = name, data: bytes = data) -> bool:
            fields = {} if name == "image" else {"convert": "true"}
            path = f"/api/{alice.session}/status/{name}"
            giver.api.post(path, data=fields, files={"file": data}).raise_for_status()
            kind = {"voice": "audio"}.get(name, name)
            return any(
                e["chat"] == "status@broadcast" and e["type"] == f"{kind}Message"
                for e in bob.phone.inbox()
            )

        until(arrived, what=f"the {name} story")
