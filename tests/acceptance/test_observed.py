"""What an operator sees of a running gateway: traces, logs, metrics, and sends that are paced."""

from __future__ import annotations

import json
import os
import secrets
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from event_receiver import Receiver
from otlp_collector import Collector
from prometheus_client.parser import text_string_to_metric_families
from running_gateway import Phone, RunningGateway, until

from ops.local.layout import Layout

Pair = tuple[tuple[str, Phone], tuple[str, Phone]]


def test_one_trace_leads_from_the_request_to_whatsapp_and_to_the_webhook(
    gateway: RunningGateway, pair: Pair, collector: Collector, receiver: Receiver
) -> None:
    (session, _), (_, bob) = pair
    hook = {"url": receiver.url, "events": ["message.any", "message.ack"]}
    answer = gateway.api.put(f"/api/sessions/{session}", json={"config": {"webhooks": [hook]}})
    assert answer.is_success, answer.text
    gateway.working(session)
    trace, caller = secrets.token_hex(16), secrets.token_hex(8)
    sent = gateway.api.post(
        "/api/sendText",
        json={"session": session, "chatId": bob.chat, "text": "followed"},
        headers={"traceparent": f"00-{trace}-{caller}-01"},
    )
    assert sent.status_code == 201, sent.text
    assert sent.headers["traceparent"].split("-")[1] == trace, "returned to the caller"
    until(lambda: "followed" in bob.texts(), what="the message")
    wanted = {
        "POST /api/sendText": "ingress",
        "session.send": "session",
        "whatsapp.send": "session",
        "whatsapp.receipt": "session",
        "checkpoint.write": "session",
        "webhook.deliver": "webhooks",
    }
    until(
        lambda: wanted.keys() <= {span.name for span in collector.of(trace)},
        what=f"spans: {[span.name for span in collector.of(trace)]}",
    )
    spans = collector.of(trace)
    assert {span.name: span.part for span in spans} == wanted
    by_id = {span.id: span for span in spans}
    first = next(span for span in spans if span.name == "POST /api/sendText")
    assert first.parent == caller
    for span in spans:
        while span.id != first.id:
            span = by_id[span.parent]
    delivered = [headers for headers, body, _ in receiver.got if b"followed" in body]
    assert delivered
    assert delivered[0]["traceparent"].split("-")[1] == trace, "the receiver can go on with it"
    text = json.dumps([span.attributes for span in spans])
    assert bob.number not in text
    assert "followed" not in text


def lines_of(folder: Path) -> Iterator[tuple[str, str]]:
    """(file, line) of every log of the gateway's own processes and Ray's."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in {".log", ".out", ".err"}:
            for line in path.read_text(errors="replace").splitlines():
                yield path.name, line


def test_no_log_contains_a_number_or_a_key(
    gateway: RunningGateway, pair: Pair, collector: Collector
) -> None:
    (session, alice), (other, bob) = pair
    trace = secrets.token_hex(16)
    answer = gateway.api.post(
        "/api/sendText",
        json={"session": session, "chatId": bob.chat, "text": "for the log"},
        headers={"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01", "X-Request-Id": "rq-77"},
    )
    assert answer.status_code == 201
    made = gateway.api.post(
        "/api/keys", json={"isAdmin": False, "isActive": True, "session": session}
    ).json()
    # Paths with numbers, refusals, wrong keys, keys in addresses.
    for path in (
        f"/api/{session}/chats/{bob.number}@c.us/messages",
        f"/api/{session}/chats/{bob.number}%40c.us/messages/none",
        f"/api/contacts?contactId={bob.number}@c.us&session={session}",
        f"/api/contacts/check-exists?phone={bob.number}&session={session}",
        f"/api/{session}/nothing/{bob.number}",
        f"/api/{session}/events?x-api-key={made['key']}",
    ):
        gateway.api.get(path)
    gateway.api.get("/api/sessions", headers={"X-Api-Key": f"key_{'w' * 43}"})
    gateway.api.post(f"/api/{other}/auth/request-code", json={"phoneNumber": bob.number})
    bob.post("/messages", to=alice.number, text="and back")
    until(lambda: "and back" in json.dumps(gateway.history(session, bob.chat)), what="an answer")
    layout = Layout.at(gateway.data)
    everywhere = [layout.logs, layout.ray / "session_latest" / "logs"]
    lids = [
        gateway.control.get(f"/phones/{p.number}").raise_for_status().json()["lid"]
        for p in (alice, bob)
    ]
    secret = [alice.number, bob.number, *map(str, lids), made["key"], gateway.state.api_key]
    secret += ["key_" + "w" * 43, "for the log", "and back"]
    found, ours = [], []
    for folder in everywhere:
        for name, line in lines_of(folder):
            found += [(name, one, line[:300]) for one in secret if one in line]
            if line.startswith("{") and '"part"' in line:
                ours.append(json.loads(line))
    assert found == []
    assert {"session", "ingress", "supervisor", "webhooks", "agent"} <= {o["part"] for o in ours}
    mine = [line for line in ours if line["part"] == "session" and line.get("epoch")]
    assert mine
    assert all({"session", "node", "timestamp", "level", "event"} <= line.keys() for line in mine)
    requests = [line for line in ours if line.get("request_id") == "rq-77"]
    assert {line["part"] for line in requests} >= {"ingress", "session"}
    assert any(line.get("trace_id") == trace for line in requests)


def test_a_paced_session_says_when_and_keeps_its_word(gateway: RunningGateway, pair: Pair) -> None:
    _, (watching, _) = pair
    phone, friend, stranger = (gateway.phone() for _ in range(3))
    pacing = {
        "enabled": True,
        "profile": "trusted",
        "messagesPerMinute": 30,
        "burst": 2,
        "newChatsPerDay": 1,
        "jitter": 0,
    }
    name = f"paced-{phone.number}"
    made = gateway.api.post("/api/sessions", json={"name": name, "config": {"pacing": pacing}})
    assert made.status_code == 201, made.text
    phone.post("/scan", qr=gateway.qr(name))
    gateway.working(name)
    gateway.send(name, friend.chat, "the only new chat of today")
    until(lambda: friend.texts() == ["the only new chat of today"], what="the first one")
    held = gateway.send(name, stranger.chat, "has to wait")
    assert held["ack"] == 0
    assert held["gateway"]["waitsFor"] == "new_chats"
    assert 80_000 < held["gateway"]["estimatedSeconds"] <= 86_400
    texts = [f"paced {n}" for n in range(4)]
    for text in texts:
        gateway.send(name, friend.chat, text)
    until(lambda: friend.texts()[1:] == texts, what="others pass, in order")
    queue = gateway.api.get(f"/api/{name}/outbox").json()
    assert queue["waiting"] == 1
    assert queue["pacing"] == {
        "messagesPerMinute": 30,
        "burst": 2,
        "newChatsPerDay": 1,
        "newChats": 1,
        "warmedUp": 1,
    }
    waiting = queue["messages"][0]
    one = gateway.api.get(f"/api/{name}/outbox/{waiting['id']}")
    assert int(one.headers["Retry-After"]) > 80_000
    assert one.json()["state"] == "accepted"
    assert stranger.texts() == []
    stranger.post("/messages", to=phone.number, text="who are you?")
    until(lambda: stranger.texts() == ["has to wait"], what="no new chat any more")
    state = gateway.api.get(f"/api/{name}/outbox/{waiting['id']}").json()["state"]
    assert state in {"sent", "delivered", "read"}
    assert gateway.api.get(f"/api/{watching}/outbox").json()["pacing"] is None, "the sandbox"


@pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS"), reason="a gateway of its own: GATEWAY_SLOW_TESTS"
)
def test_tls_at_serve(data_folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("gateway.example")]), False)
        .sign(key, hashes.SHA256())
    )
    pem, private = data_folder / "tls.pem", data_folder / "tls.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    secured = RunningGateway(
        data_folder / "tls",
        nodes=1,
        environment={"HTTP_TLS_CERT_FILE": str(pem), "HTTP_TLS_KEY_FILE": str(private)},
    )
    try:
        secured.up()
        assert secured.state.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(pem))
        context.check_hostname = False
        address = f"{secured.state.url}/ping"
        assert httpx.get(address, verify=context, trust_env=False).status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.get(address.replace("https", "http"), trust_env=False)
    finally:
        secured.down()


@pytest.mark.parametrize("given", [{"burst": 0}, {"jitter": 2}, {"profile": "reckless"}])
def test_figures_that_make_no_sense_are_refused(
    gateway: RunningGateway, given: dict[str, object]
) -> None:
    answer = gateway.api.post("/api/sessions", json={"name": "no", "config": {"pacing": given}})
    assert answer.status_code == 422, answer.text


def test_metrics_report_what_an_operator_asks(gateway: RunningGateway, pair: Pair) -> None:
    (session, phone), (other, friend) = pair
    gateway.send(session, friend.chat, "counted")

    def figures() -> dict[str, dict[str, float]]:
        text = gateway.api.get("/metrics").raise_for_status().text
        found: dict[str, dict[str, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                label = ",".join(sorted(sample.labels.values()))
                found.setdefault(sample.name, {})[label] = sample.value
        return found

    def all_counted() -> bool:
        # Processes write down what they count every ten seconds or so.
        now = figures()
        return (
            now["gateway_send_latency_seconds_count"][""] > 0
            and now["gateway_messages_total"]["out"] > 0
            and now["gateway_messages_total"]["in"] > 0
            and now["gateway_checkpoint_lag_seconds_count"][""] > 0
            and bool(now.get("gateway_node_memory_per_session_bytes"))
        )

    until(all_counted, 40, "what processes count")
    now = figures()
    wanted = {
        *("gateway_sessions", "gateway_send_latency_seconds_bucket", "gateway_checkpoint_bytes"),
        *("gateway_checkpoint_lag_max_seconds", "gateway_lease_renewals_total"),
        *("gateway_takeovers_total", "gateway_webhook_lag_seconds_count", "gateway_spool_depth"),
        *("gateway_webhook_retries_total", "gateway_webhook_lag_events", "gateway_outbox_depth"),
        *("gateway_store_errors_total", "gateway_node_session_memory_bytes"),
    }
    assert wanted <= now.keys()
    assert now["gateway_lease_renewals_total"][""] > 0
    for memory in now["gateway_node_memory_per_session_bytes"].values():
        assert 5e6 < memory < 1e9, "a session's process is some tens of megabytes"
    text = gateway.api.get("/metrics").text
    for secret in (session, other, phone.number, friend.number):
        assert secret not in text
    labels = {name for names in now.values() for name in names}
    assert len(labels) < 80, "no unbounded label"
