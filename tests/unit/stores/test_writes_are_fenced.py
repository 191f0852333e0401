"""Every write of the stores names the epoch of its owner, or says why it need not.

A new write fails here until it is in one of these lists.
"""

from __future__ import annotations

import ast
import re

from statements import STORES, statements
from syntax_trees import tree_of

_WRITE = re.compile(
    r"\b(?:INSERT\s+INTO|DELETE\s+FROM|UPDATE\s+(?!OF\b|SKIP\b|SET\b)\w+)\b", re.IGNORECASE
)
#: In the statement itself: the row of the session with that epoch, which a claim changes.
_FENCE = re.compile(
    r"(?:session_streams|UPDATE\s+ownership)\b.*?\bepoch\s*=\s*(?:%\(epoch\)s|r\.epoch)", re.DOTALL
)

#: Of owners, by the epoch in the statement.
FENCED = {
    "checkpoints.CheckpointStore.commit",
    "checkpoints.CheckpointStore.delete",
    "checkpoints.CheckpointStore.delete_all",
    "checkpoints.CheckpointStore.set_bad",
    "events._APPEND",
    "events._APPEND_STATUS",
    "inbox.InboxStore.record_incoming",
    "inbox.InboxStore.record_receipt",
    "labels.LabelStore.delete",
    "labels.LabelStore.put",
    "labels._GIVE",
    "labels._TAKE",
    "outbox._DISOWN",
    "outbox._MARK_FAILED",
    "outbox._MARK_SENT",
    "ownership.OwnershipStore.release",
    "ownership.OwnershipStore.renew",
    "ownership.OwnershipStore.renew_all",
    "ownership.OwnershipStore.waited",
    "pacing.PacingStore.open",
    "quarantine.QuarantineStore.put",
    "sessions.SessionStore.set_status",
}
#: In a transaction that has called `hold_fence`, or functions that are only called in one.
HELD = {
    "chats.write_timers",
    "groups.write_group",
    "history._write_chats",
    "history._write_messages",
    "history._write_names",
    "people.insert_pairs",
    "sessions.SessionStore.forget_device",
}
_CALLER = "a caller's wish, which holds whoever owns the session"
_SUPERVISOR = "the supervisor's: an assignment or a mark is a wish, and two supervisors do no harm"
_DISPATCHER = "a dispatcher's, conditional on its lease of the row"
_BRIDGE = "of the bridge with Chatwoot, both ways: what is there, which repeats do not change"
_OLD = "removes what is old, whoever owns what"
_BEFORE = "of a process before it claims: it has no epoch yet, and what it writes only paces starts"
OTHERS = {
    "api_keys.ApiKeyStore.create": _CALLER,
    "api_keys.ApiKeyStore.delete": _CALLER,
    "api_keys.ApiKeyStore.update": _CALLER,
    "apps.AppStore.create": _CALLER,
    "apps.AppStore.delete": _CALLER,
    "apps.AppStore.set_key": _CALLER,
    "apps.AppStore.update": _CALLER,
    "audit.AuditStore.add": _CALLER,
    "chats.ChatStore.clear": _CALLER,
    "chats.ChatStore.delete": _CALLER,
    "chats.ChatStore.set_archived": _CALLER,
    "chats.ChatStore.set_unread": _CALLER,
    "chatwoot.ChatwootStore.asked": _BRIDGE,
    "chatwoot.ChatwootStore.begin": _BRIDGE,
    "chatwoot.ChatwootStore.forget": _CALLER,
    "chatwoot.ChatwootStore.made": _BRIDGE,
    "dead_letters.DeadLetterStore.delete": _CALLER,
    "drained.DrainStore.add": _CALLER,
    "drained.DrainStore.remove": _CALLER,
    "events.EventStore.forget": _OLD,
    "history.HistoryStore.forget_messages": _OLD,
    "hosts.HostStore.assign": _SUPERVISOR,
    "hosts.HostStore.make": _SUPERVISOR,
    "hosts.HostStore.remove": _SUPERVISOR,
    "hosts.HostStore.retire": "a process reports that it is to be replaced",
    "hosts.HostStore.unassign": _SUPERVISOR,
    "labels.LabelStore.add": _CALLER,
    "media.MediaStore.collect": _OLD,
    "media.MediaStore.put": "a file by its hash: the same whoever notes it",
    "messages.MessageStore.mark_seen": _CALLER,
    "metrics.MetricsStore.add": "counters, which only grow",
    "metrics.MetricsStore.forget": _OLD,
    "outbox.OutboxStore.forget": _OLD,
    "outbox._ACCEPT": _CALLER,
    "outbox._TWO_EVENTS": "the end of two that are fenced",
    "ownership.OwnershipStore.claim": "makes the epoch",
    "ownership.OwnershipStore.left": "of an epoch that a newer one has followed",
    "people.PeopleStore.named": "names, which a newer one overwrites whoever brings it",
    "quarantine.QuarantineStore.delete": _CALLER,
    "sessions.SessionStore.create": _CALLER,
    "sessions.SessionStore.delete": _CALLER,
    "sessions.SessionStore.lapsed": "by the agents: under the lapsed epoch, whose owner has fenced",
    "sessions.SessionStore.mark_exported": _CALLER,
    "sessions.SessionStore.set_desired": _CALLER,
    "sessions.SessionStore.set_unowned": "the supervisor's, while nobody owns it and it is to stop",
    "sessions.SessionStore.unmark_exported": _CALLER,
    "sessions.SessionStore.update_config": _CALLER,
    "starts.StartStore.begin": _BEFORE,
    "starts.StartStore.crashed": _BEFORE,
    "starts.StartStore.forgive": _BEFORE,
    "starts.StartStore.give_up": "before a claim; while the session is to run and has not failed",
    "starts._BEGIN": _BEFORE,
    "starts._END": _BEFORE,
    "webhooks.WebhookStore.begin_batch": _DISPATCHER,
    "webhooks.WebhookStore.forget_deliveries": _OLD,
    "webhooks.WebhookStore.reclaim": "conditional on the lease and place that were seen",
    "webhooks.WebhookStore.release": _DISPATCHER,
    "webhooks.WebhookStore.replay": _CALLER,
    "webhooks.WebhookStore.set_global": "of the gateway's settings, under a lock of the table",
    "webhooks.WebhookStore.wait": _DISPATCHER,
    "webhooks._BREAK": _DISPATCHER,
    "webhooks._DEAD_LETTERED": _DISPATCHER,
    "webhooks._DELIVERED": _DISPATCHER,
    "webhooks._FAILED": _DISPATCHER,
    "webhooks._LEASE": "takes a row that nobody holds",
    "webhooks._LOG": _DISPATCHER,
    "webhooks._TAKE_PROBES": "opens a circuit for one probe",
    "workers.WorkerStore.replace": _SUPERVISOR,
    "workers.WorkerStore.report_alive": _SUPERVISOR,
    "workers.WorkerStore.report_whatsapp": _SUPERVISOR,
}


def _writes() -> dict[str, str]:
    found: dict[str, str] = {}
    for one in statements():
        if _WRITE.search(one.text):
            name = f"{one.module}.{one.place}"
            found[name] = found.get(name, "") + one.text
    return found


def test_every_write_is_fenced_or_says_why_not() -> None:
    assert set(_writes()) == FENCED | HELD | set(OTHERS)
    assert not FENCED & HELD
    assert not (FENCED | HELD) & set(OTHERS)


def test_what_counts_as_fenced_names_the_epoch() -> None:
    writes = _writes()
    assert not {name for name in FENCED if not _FENCE.search(writes[name])}


def test_what_counts_as_held_is_called_under_the_fence() -> None:
    helpers = {name.rpartition(".")[2] for name in HELD}
    loose = set()
    for path in STORES.glob("*.py"):
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            called = [
                call.func.id
                for call in ast.walk(node)
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
            ]
            uses = helpers & set(called) or f"{path.stem}" in HELD
            if uses and node.name not in helpers and "hold_fence" not in called:
                loose.add(f"{path.stem}.{node.name}")
            if node.name == "forget_device" and path.stem == "sessions":
                assert "hold_fence" in called
    assert not loose
