"""A model of session ownership, small enough to be searched exhaustively.

Time is counted in ticks from now, so that nothing but the number of starts bounds a run. Two
processes start, renew, stop, crash and freeze at any moment; requests and answers take any time,
which is what a store that is away, or a partition, looks like. The store has no clock: whatever
the server's says, nothing is compared with it. What the code does by rule is a guard with a name;
a search without one of them must find what it is there for.

The owner's decisions come from the product (`LeaseClock`); the store's part is `Store`, which a
test compares with the SQL.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, TypeAlias

from actors.session.lease import LeaseClock

#: What a search is about. `connections`: who is connected when. `ratchets`: owners also send,
#: checkpoint and stop cleanly, and none freezes. `stores`: and what their ends leave on a disk,
#: while no time passes. `staying`: who is connected when, where an owner that is connected stays so
#: without proof as long as no other machine is there, and renewals that were given up arrive all
#: the same; its successors, who are from elsewhere, act at once. `seen`: who is connected when,
#: where the agent of a successor's node reads leases at any moment. The questions do not mix, and
#: apart they are small.
Question = Literal["connections", "ratchets", "stores", "staying", "seen"]
#: Ratchet position of a store without sessions: whatever is sent begins anew.
EMPTY = -1
TTL, FENCE_MARGIN, KILL_MARGIN = 3, 2, 1
#: What an owner may stay beyond its lease.
AWAY = 2
STARTS: dict[Question, int] = {
    "connections": 3,
    "ratchets": 2,
    "stores": 3,
    "staying": 2,
    "seen": 3,
}
#: How often another machine joins, or leaves again.
_JOINS = 2
_SENDS = 3

_WHOLE = "a store is finished or not there"
GUARDS = frozenset(
    {
        # The successor connects only a lease after the answer to its claim, or when the
        # predecessor is proven dead.
        "waits out the lease",
        # The death of one that still waited itself proves nothing of who was before it.
        "proof needs one that had waited",
        # Neither does its letting go.
        "releases only what it waited for",
        # An owner says that it has waited when it has.
        "waits before it says so",
        # An owner without proof drops its connection before the lease ends.
        "fences itself",
        # The kernel kills an owner that cannot.
        "dead man's switch",
        # A process owns again at once only what nobody else owned since it closed its connection.
        "waits for others than itself",
        # It closed its connection before somebody writes down for it that it left.
        "is closed before it says so",
        # A process whose client was closed while it came up, and may come up still, ends.
        "ends with its client",
        # A lease counts from before its renewal was sent.
        "counts from before sending",
        # A renewal of an epoch that is not the newest is refused.
        "renews its own epoch only",
        # Writes of an epoch that is not the newest are refused.
        "writes under its epoch",
        # Only a clean hand-over's checkpoint keeps its ratchets.
        "forgets ratchets",
        # A store that was restored is not there until its ratchets are forgotten.
        _WHOLE,
        # The store on a disk is the newest only for the very next epoch.
        "only the next epoch takes a store",
        # What was seen counts for the version of the lease that is claimed, and no other.
        "counts from what was seen of that version",
        # Who may stay is waited for so long.
        "waits out what an owner may stay",
        # An owner that is not alone any more limits itself, and then has its lease shortened.
        "stays no longer before it says so",
        # Not again under the same epoch: what was sent in between may arrive late.
        "stays no more, once it was not alone",
        # A lease is shortened only when whoever was before has been waited for.
        "stays in what was before it",
        # Who has a newer owner says that it left when it has.
        "stays connected no more when it left",
        # A release says that it was clean only after the last checkpoint.
        "checkpoints before release",
    }
)


class Store(NamedTuple):
    """Table `ownership`, `session_streams.epoch`, and the newest checkpoint."""

    epoch: int = 0
    released: bool = True
    clean: bool = False
    #: The owner has waited out who was before it.
    free: bool = True
    #: (epoch, ratchet position)
    checkpoint: tuple[int, int] = (0, EMPTY)
    #: How long an owner may act after its last renewal.
    lease: int = TTL
    #: Ticks since an agent had the answer that showed this version first; -1: none has.
    seen: int = -1

    def claim(self, grace: int = 0) -> tuple[Store, int, bool]:
        """(after it, ticks somebody may still act, handed over)"""
        wait = 0 if self.released else self.lease
        after = self._replace(
            epoch=self.epoch + 1,
            released=False,
            clean=False,
            free=not wait,
            lease=max(wait, TTL + grace),
            seen=-1,
        )
        left = max(0, wait - max(0, self.seen))
        return after, left, self.epoch > 0 and self.released and self.clean

    def lengthened(self, epoch: int, lease: int, *, always: bool = False, seen: int = -1) -> Store:
        """After a renewal. `seen`: what an agent has seen of it."""
        if not self.renew(epoch):
            return self
        longest = lease if self.free or always else max(self.lease, lease)
        return self._replace(lease=longest, seen=seen)

    def waited(self, epoch: int) -> Store:
        return self._replace(free=True, seen=-1) if epoch == self.epoch else self

    def renew(self, epoch: int, *, any_epoch: bool = False) -> bool:
        return (epoch == self.epoch or any_epoch) and not self.released

    def release(self, epoch: int, *, clean: bool, always: bool = False) -> Store:
        if epoch != self.epoch:
            return self
        free = self.free or always
        return self._replace(released=free, clean=free and clean, seen=-1)


class Process(NamedTuple):
    """One process that wants to own the session."""

    phase: str = "idle"  # idle, claiming, waiting, connecting, connected
    epoch: int = 0
    proven_at: int = 0
    wait_until: int = 0
    #: its predecessor's death would end its waiting
    provable: bool = False
    #: it has no device store, one whose ratchets it has not forgotten, or one to connect with
    device: str = "none"  # none, unfinished, ready
    frozen: bool = False
    #: ("claim" | "renew", sent at), on its way to the store
    request: tuple[str, int] | None = None
    #: ("claim" | "renew", sent at, facts…), on its way back
    answer: tuple[str, int, int, int, bool, bool] | None = None
    #: what it may stay beyond its lease, and what the request under way says of that
    grace: int = 0
    asked: int = 0
    #: the answer's: no other machine is there
    alone: bool = False
    #: a renewal that it does not wait for any more: (epoch, what it says)
    late: tuple[int, int] | None = None
    #: when it ran last
    ran_at: int = 0
    #: ratchet position of its device store
    position: int = EMPTY
    #: its predecessor let go with its last checkpoint
    handed_over: bool = False
    #: the epoch that it owned and fenced, its connection closed, when it goes on
    held: int = 0
    #: a client that was closed while it connected may still come up
    ghost: bool = False
    #: it had the store know that it left, and is connected
    says_left: bool = False

    def later(self, longest: int) -> Process:
        """A tick on: times are relative to now, and those as long ago as a lease are all alike."""
        return self._replace(
            proven_at=max(self.proven_at - 1, -longest),
            ran_at=max(self.ran_at - 1, -TTL) if self.frozen and self.grace else 0,
            wait_until=max(self.wait_until - 1, 0),
            request=self.request and (self.request[0], max(self.request[1] - 1, -longest)),
            answer=self.answer
            and (self.answer[0], max(self.answer[1] - 1, -longest), *self.answer[2:]),
        )

    def is_of(self, epoch: int) -> bool:
        """It lives, the store has its claim under that epoch, and does not know that it left: one
        that fenced itself and goes on has somebody else write that down."""
        claimed = self.answer is not None and self.answer[0] == "claim" and self.answer[2]
        return epoch in (0 if self.says_left else self.epoch, claimed)

    def clock(self) -> LeaseClock:
        return LeaseClock(ttl=TTL, margin=FENCE_MARGIN, proven_at=self.proven_at, grace=self.grace)


class Around(NamedTuple):
    """All that a process' next steps depend on beside itself."""

    store: Store
    used: int
    may_start: bool
    disk: tuple[int, int] | None
    alone: bool
    #: the other process is the owner before it, and lives
    predecessor: bool
    #: the other process has a connection, or is about to
    connected: bool


#: Label, the process after it, the store after it, how far the peers are then, what is wrong.
_Move: TypeAlias = tuple[str, Process, Store, int, str]
#: Every process and every store that came up: states have their places in these, which are compared
#: at once.
_known: list[Process] = []
_known_stores: list[Store] = []


#: Places of the store and of the processes, which are in one order as it does not matter which is
#: which; how far the peers have followed the ratchet; starts; the device store of a dead process on
#: the node's disk: (epoch, ratchet position); whether no other machine is there, and how often that
#: changed. A plain tuple: most of a search is making them.
State: TypeAlias = tuple[int, int, int, int, int, tuple[int, int] | None, bool, int]


@dataclass(frozen=True)
class Violation:
    """What went wrong, and the steps to it."""

    what: str
    steps: tuple[str, ...]


def search(
    guards: frozenset[str] = GUARDS, *, about: Question, limit: int = 1_000_000
) -> Violation | int:
    """The shortest way to a violation, or the number of states when there is none."""
    # Nothing of it refers to itself, and looking for that takes as long as the search.
    gc.disable()
    try:
        return _search(guards, about, limit)
    finally:
        gc.enable()


def _search(guards: frozenset[str], about: Question, limit: int) -> Violation | int:
    store, processes = Store(), (_place(Process()), _place(Process()))
    if about == "staying":
        store, _, _ = Store().claim(AWAY)
        owner = Process(phase="connected", epoch=1, device="ready", grace=AWAY)
        processes = _pair(_place(Process()), _place(owner))
    first: State = (_store_place(store), *processes, 0, 0, None, True, 0)
    #: from where each was come to
    seen: dict[State, State | None] = {first: None}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        for place, label, following, wrong in _steps(state, guards, about):
            if wrong:
                return Violation(
                    wrong, (*_path(seen, state, guards, about), _step_of(place, label))
                )
            if following not in seen:
                seen[following] = state
                queue.append(following)
        assert len(seen) < limit, "the model is too large"
    return len(seen)


def _path(
    seen: dict[State, State | None], state: State, guards: frozenset[str], about: Question
) -> tuple[str, ...]:
    """The steps to it, each taken anew: to note them all takes as long as to find them."""
    steps: list[str] = []
    while (before := seen[state]) is not None:
        taken = next(step for step in _steps(before, guards, about) if step[2] == state)
        steps.append(_step_of(*taken[:2]))
        state = before
    return tuple(reversed(steps))


def _step_of(place: int | None, label: str) -> str:
    return label if place is None else f"{_known[place].phase}/{_known[place].epoch} {label}"


@cache
def _place(process: Process) -> int:
    _known.append(process)
    return len(_known) - 1


@cache
def _store_place(store: Store) -> int:
    _known_stores.append(store)
    return len(_known_stores) - 1


def _pair(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one <= other else (other, one)


def _steps(
    state: State, guards: frozenset[str], about: Question
) -> Iterator[tuple[int | None, str, State, str]]:
    """(the process that takes it, what it is, the state after it, what is wrong)"""
    at, first, second, used, starts, disk, alone, joins = state
    may_start = starts < STARTS[about]
    # Of two of a kind, one.
    for place, beside in ((first, second), (second, first))[: 1 + (first != second)]:
        predecessor, phase = _other(place, beside)
        moves = _moves(place, at, used, may_start, disk, alone, predecessor, phase, guards, about)
        for label, following, store, then_used, left, wrong in moves:
            low, high = (following, beside) if following <= beside else (beside, following)
            then_starts = starts + 1 if label == "starts" else starts
            after = (store, low, high, then_used, then_starts, left, alone, joins)
            yield place, label, after, wrong
    if about == "staying" and joins < _JOINS:
        after = (at, first, second, used, starts, disk, not alone, joins + 1)
        yield None, "a machine joins or leaves", after, ""
    if about != "stores" and _may_wait(first, guards) and _may_wait(second, guards):
        longest = TTL + AWAY if about == "staying" else TTL
        low, high = _pair(_aged(first, longest, guards), _aged(second, longest, guards))
        after = (_seen_longer(at), low, high, used, starts, disk, alone, joins)
        yield None, "time passes", after, ""
    if about == "seen" and _known_stores[at].seen < 0 and _known_stores[at].epoch:
        read = _store_place(_known_stores[at]._replace(seen=0))
        after = (read, first, second, used, starts, disk, alone, joins)
        yield None, "an agent reads leases", after, ""


@cache
def _seen_longer(at: int) -> int:
    store = _known_stores[at]
    if store.seen < 0:
        return at
    return _store_place(store._replace(seen=min(store.seen + 1, TTL)))


def _left_behind(
    disk: tuple[int, int] | None, process: Process, label: str
) -> tuple[int, int] | None:
    """What is on the node's disk after a step of a process: nobody takes it while its process
    lives."""
    ends = label in ("crashes", "fences itself", "learns that it is not the owner")
    if ends and process.device != "none":
        return process.epoch, process.position
    if label in ("takes the store on disk", "its node is lost"):
        return None
    return disk


@cache
def _may_wait(place: int, guards: frozenset[str]) -> bool:
    """Whether time may pass: a running owner acts at its deadline, not after it."""
    process = _known[place]
    if process.frozen or "fences itself" not in guards:
        return True
    if process.phase not in ("connecting", "connected"):
        return True
    return process.clock().stays(0) > 0


@cache
def _aged(place: int, longest: int, guards: frozenset[str]) -> int:
    """A tick on, with the kernel's part: it needs nobody to run."""
    process = _known[place].later(longest)
    if process.phase in ("connecting", "connected") and "dead man's switch" in guards:
        # Armed anew as long as it runs; never beyond its lease (tests/unit/session/test_lease.py).
        held = TTL - KILL_MARGIN
        longest = process.proven_at + held + process.grace
        armed = min(process.ran_at + held, longest) if process.grace else longest
        if armed <= 0:
            process = Process()
    return _place(process)


@cache
def _other(place: int, beside: int) -> tuple[bool, str]:
    """Whether the other process is the owner before it, and lives; its phase, if it has a
    connection or is about to."""
    phase = _known[beside].phase
    predecessor = _known[beside].is_of(_known[place].epoch - 1)
    return predecessor, phase if phase in ("connecting", "connected") else ""


@cache
def _moves(
    place: int,
    at: int,
    used: int,
    may_start: bool,
    disk: tuple[int, int] | None,
    alone: bool,
    predecessor: bool,
    other: str,
    guards: frozenset[str],
    about: Question,
) -> tuple[tuple[str, int, int, int, tuple[int, int] | None, str], ...]:
    """What a process may do, and what may happen to it, with what is on the disk then; most of it
    comes up in many states. `other`: see `_other`."""
    process = _known[place]
    around = Around(
        store=_known_stores[at],
        used=used,
        may_start=may_start,
        disk=disk,
        alone=alone,
        predecessor=predecessor,
        connected=bool(other),
    )
    moves = []
    for label, following, store, then_used, wrong in _process(around, process, guards, about):
        left = _left_behind(disk, process, label) if about == "stores" else None
        if not wrong and other == following.phase == "connected":
            wrong = "two connections at once"
        moves.append((label, _place(following), _store_place(store), then_used, left, wrong))
    return tuple(moves)


def _process(
    around: Around, process: Process, guards: frozenset[str], about: Question
) -> Iterator[_Move]:
    store, used = around.store, around.used
    linked = about in ("connections", "staying", "seen")

    def step(
        label: str, following: Process, after: Store = store, use: int = used, wrong: str = ""
    ) -> _Move:
        return label, following, after, use, wrong

    # What happens to it.
    if process.request:
        grace = AWAY if about == "staying" and around.alone else 0
        yield step(*_arrives(store, process, guards, grace))
        if about == "staying" and process.request[0] == "renew" and process.late is None:
            given_up = process._replace(request=None, late=(process.epoch, process.asked))
            yield step("does not wait for its renewal any more", given_up)
    if process.late:
        epoch, asked = process.late
        arrived = process._replace(late=None)
        yield step("a late renewal arrives", arrived, store.lengthened(epoch, TTL + asked))
    if process.phase != "idle":
        yield step("crashes", Process())
        if about == "stores" and process.device != "none":
            yield step("its node is lost", Process())
        if not process.frozen and (
            about in ("connections", "seen") or (about == "staying" and process.epoch == 1)
        ):
            yield step("freezes", process._replace(frozen=True))
    if process.frozen:
        yield step("thaws", process._replace(frozen=False))
        return
    # A write that was on its way for long: accepted?
    if 0 < process.epoch < store.epoch and "writes under its epoch" not in guards:
        yield step("writes", process, wrong="a stale owner's write was accepted")
    # What it does.
    if process.answer:
        label, following, after = _learns(store, process, guards)
        if about == "ratchets" and following.phase == "waiting" and following.device == "none":
            # With its store, at once: what may happen in between is another question.
            following = next(_opens(around, following, guards | {_WHOLE}))[1]
        yield step(label, following, after)
    if process.ghost:
        yield step("comes up, closed", process, wrong="a connection that nobody owns")
    if process.phase == "idle" and around.may_start:
        claiming = process._replace(phase="claiming", request=("claim", 0))
        if about == "staying":
            _, answered, after = _arrives(store, claiming, guards, 0)
            yield step("starts", _learns(after, answered, guards)[1], after)
        else:
            yield step("starts", claiming)
    if process.phase == "waiting":
        waited = process.wait_until <= 0 or (process.provable and not around.predecessor)
        if about == "stores":
            # What "connections" is about holds here.
            waited = not around.connected and process.epoch == store.epoch
        alive = process.clock().stays(0) > 0 or "fences itself" not in guards
        if linked and not store.free and (waited or "waits before it says so" not in guards):
            yield step("says that it has waited", process, store.waited(process.epoch))
        if about in ("connections", "seen") and process.epoch == store.epoch:
            always = "releases only what it waited for" not in guards
            after = store.release(process.epoch, clean=False, always=always)
            yield step("stops while it waits", Process(), after)
        if not linked and process.device != "ready":
            yield from (step(*found) for found in _opens(around, process, guards))
        elif (waited or "waits out the lease" not in guards) and alive:
            phase = "connected" if about == "staying" else "connecting"
            yield step("connects", process._replace(phase=phase))
    if process.phase == "connecting":
        if process.clock().remaining(0) <= 0 and "fences itself" in guards:
            sure = "ends with its client" in guards
            yield step("fences itself", Process() if sure else Process(ghost=True))
            return
        yield step("comes up", process._replace(phase="connected"))
    if (
        about != "stores"
        and process.phase in ("waiting", "connecting", "connected")
        and not (process.request or process.answer)
    ):
        asking = process._replace(request=("renew", 0), asked=process.grace)
        if about == "staying" and process.epoch > 1:
            _, answered, after = _arrives(store, asking, guards, 0)
            yield step("renews", _learns(after, answered, guards)[1], after)
        else:
            yield step("renews", asking)
    if process.phase == "connected":
        if process.clock().remaining(0) <= 0 and "fences itself" in guards:
            yield step("fences itself", Process())
            if about in ("connections", "seen"):
                yield step("fences itself and goes on", Process(held=process.epoch))
                if "is closed before it says so" not in guards:
                    yield step("says that it left", process._replace(says_left=True))
            if process.clock().stays(0) <= 0:
                return
        if about == "staying":
            return
        if not linked:
            yield from _uses(around, process, guards)
        elif process.epoch == store.epoch:
            yield step("stops cleanly", Process(), store.release(process.epoch, clean=True))


def _uses(around: Around, process: Process, guards: frozenset[str]) -> Iterator[_Move]:
    """A connected owner sends, checkpoints and stops."""
    store, used = around.store, around.used
    if used < _SENDS:
        stale = process.position != EMPTY and process.position < used
        position = used + 1
        yield (
            "sends",
            process._replace(position=position),
            store,
            position,
            "a ratchet was used twice" if stale else "",
        )
    own = process.epoch == store.epoch
    saved = store._replace(checkpoint=(process.epoch, process.position)) if own else store
    if saved != store:
        yield "checkpoints", process, saved, used, ""
    if own:
        last = saved if "checkpoints before release" in guards else store
        released = last.release(process.epoch, clean=True)
        yield "stops cleanly", Process(), released, used, ""


def _arrives(
    store: Store, process: Process, guards: frozenset[str], grace: int
) -> tuple[str, Process, Store]:
    """Its request reaches the store. `grace`: what an owner may stay at the moment."""
    assert process.request is not None
    what, sent_at = process.request
    if what == "claim":
        after, remaining, handed_over = store.claim(grace)
        if "waits out what an owner may stay" not in guards:
            remaining = min(remaining, TTL)
        provable = store.free or "proof needs one that had waited" not in guards
        own = process.held == store.epoch or "waits for others than itself" not in guards
        if process.held and own:
            remaining = 0
        answer = ("claim", sent_at, after.epoch, remaining, handed_over, provable)
    else:
        asked = process.asked
        if "stays no longer before it says so" not in guards:
            asked = grace
        always = "stays in what was before it" not in guards
        seen = -1 if "counts from what was seen of that version" in guards else store.seen
        after = store.lengthened(process.epoch, TTL + asked, always=always, seen=seen)
        owned = store.renew(process.epoch, any_epoch="renews its own epoch only" not in guards)
        answer = ("renew", sent_at, process.epoch, 0, owned, False)
    return (
        f"{what} reaches the store",
        process._replace(request=None, answer=answer, alone=grace > 0),
        after,
    )


def _learns(store: Store, process: Process, guards: frozenset[str]) -> tuple[str, Process, Store]:
    """An answer reaches it."""
    assert process.answer is not None
    what, sent_at, epoch, remaining, good, provable = process.answer
    proven = sent_at if "counts from before sending" in guards else 0
    if what == "renew":
        if not good:
            said = process._replace(answer=None, epoch=0)
            if process.phase != "connected" or "stays connected no more when it left" in guards:
                said = Process()
            return "learns that it is not the owner", said, store
        grace = process.grace if process.alone else 0
        if process.alone and "stays no more, once it was not alone" not in guards:
            grace = AWAY
        return (
            "learns that it is the owner",
            process._replace(
                answer=None, proven_at=max(process.proven_at, proven), grace=grace, alone=False
            ),
            store,
        )
    return (
        "learns its epoch",
        process._replace(
            phase="waiting",
            answer=None,
            epoch=epoch,
            proven_at=proven,
            wait_until=remaining,
            provable=provable,
            handed_over=good,
            held=0,
            grace=AWAY if process.alone else 0,
            alone=False,
        ),
        store,
    )


def _opens(
    around: Around, process: Process, guards: frozenset[str]
) -> Iterator[tuple[str, Process]]:
    """An owner that waits has its device store brought."""
    if process.device == "unfinished":
        yield "forgets", process._replace(device="ready", position=EMPTY)
        return
    if around.disk is not None:
        last = "only the next epoch takes a store" not in guards
        if around.disk[0] == process.epoch - 1 or last:
            yield (
                "takes the store on disk",
                process._replace(device="ready", position=around.disk[1]),
            )
            return
    saved_epoch, position = around.store.checkpoint
    trusted = process.handed_over and saved_epoch == process.epoch - 1
    if trusted or "forgets ratchets" not in guards:
        yield "restores", process._replace(device="ready", position=position)
    elif _WHOLE in guards:
        yield "restores and forgets", process._replace(device="ready", position=EMPTY)
    else:
        yield "restores", process._replace(device="unfinished", position=position)
