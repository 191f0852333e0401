"""Labels through WAHA's generated client; the phone reads them from its app state."""

from __future__ import annotations

from people import People
from waha import models


def test_labels_live_on_the_phone_as_well(people: People) -> None:
    alice, bob, waha = people.alice, people.bob, people.waha
    lead = models.Label.model_validate(
        waha.labels.create(alice.session, {"name": "Lead", "colorHex": "#64c4ff"})
    )
    assert (lead.color, lead.colorHex) == (1, "#64c4ff")
    edited = alice.settings("regular")[("label_edit", lead.id)]
    assert 'name: "Lead"' in edited
    done = waha.labels.create(alice.session, {"name": "Done", "color": 4})
    assert {one["name"] for one in waha.labels.get_all(alice.session)} >= {"Lead", "Done"}

    both = {"labels": [{"id": lead.id}, {"id": done["id"]}]}
    waha.labels.put_chat_labels(alice.session, bob.chat, both)
    association = ("label_jid", lead.id, bob.jid)
    assert "labeled: true" in alice.settings("regular")[association]
    by_lid = waha.labels.get_chat_labels(alice.session, bob.lid)
    assert [one["name"] for one in by_lid] == ["Lead", "Done"], "the same chat by its LID"
    assert waha.labels.get_chats_by_label(alice.session, lead.id) == [{"id": bob.chat}]
    waha.labels.put_chat_labels(alice.session, bob.chat, {"labels": [{"id": done["id"]}]})
    assert "labeled: false" in alice.settings("regular")[association]
    assert waha.labels.get_chats_by_label(alice.session, lead.id) == []

    waha.labels.update(alice.session, lead.id, {"name": "Hot lead", "color": 2})
    assert 'name: "Hot lead"' in alice.settings("regular")[("label_edit", lead.id)]
    assert waha.labels.delete(alice.session, done["id"]) == {"success": True}
    assert "deleted: true" in alice.settings("regular")[("label_edit", done["id"])]
    assert waha.labels.get_chat_labels(alice.session, bob.chat) == []


def test_labels_that_are_not_there_and_colours_that_do_not_exist(people: People) -> None:
    base = f"/api/{people.alice.session}/labels"
    assert people.refused("DELETE", f"{base}/7")[0] == 404
    assert people.refused("GET", f"{base}/7/chats")[0] == 404
    status, problem = people.refused("POST", base, json={"name": "x", "colorHex": "#123456"})
    assert (status, problem["field"]) == (422, "colorHex")
