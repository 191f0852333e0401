"""Retry receipts answered one after the other and not beside a send, which neonize 0.5.2 does not
ask for.

A device that cannot decrypt asks for the message again. whatsmeow answers each such receipt in a
goroutine of its own (receipt.go, `go cli.tryHandleRetryReceipt`), and each reads a Signal session,
encrypts with it and writes it back without a lock. Two answers, or an answer and a send, use the
same counter then, and the recipient ignores one of the two without a word. Sends take turns
(send.go, `messageSendLock`); for answers whatsmeow has a semaphore of their own
(`SetMaxParallelRetryReceiptHandling`), to which neonize has no way.

So the one `go` statement is made a call that holds the lock of sends, in memory: its
`call runtime.newproc` goes to a stub, which jumps into `database/sql.withLock(lk, fn)` with what
newproc was to start as `fn`. Go passes newproc's closure in RAX (X0 on arm64); its first variable
is the client. A `sync.Locker` is a pointer to its methods and one to the lock; the former lies
beside the stub. Receipts are handled in the order in which they arrived, before what arrived after
them; a send's answer, and those to the library's own questions, do not wait in that line
(client.go, `handleFrame`), so whoever holds the lock gets on.
"""

from __future__ import annotations

import struct

from actors.whatsapp.library.machines import AMD64, ARM64, Arm64Code
from actors.whatsapp.library.patching import PAGE, Library, Patch, Refused, write_code

__all__ = ["PATCH", "code", "locked_amd64", "locked_arm64", "start_amd64", "start_arm64"]

_CALLER = "go.mau.fi/whatsmeow.(*Client).handleReceipt"
#: What the compiler makes of `go` statements: one of them is
#: `go cli.tryHandleRetryReceipt(ctx, receipt, node)`.
_STARTED = tuple(f"{_CALLER}.gowrap{number}" for number in range(1, 8))
_HANDLER = "go.mau.fi/whatsmeow.(*Client).tryHandleRetryReceipt"
_WITH_LOCK = "database/sql.withLock"
_MUTEX = ("sync.(*Mutex).Lock", "sync.(*Mutex).Unlock")
_SENDS = "go.mau.fi/whatsmeow.(*Client).SendMessage"
#: What `SendMessage` does when it returns: one of them unlocks.
_RETURNING = tuple(f"{_SENDS}.deferwrap{number}" for number in range(1, 5))
#: The client is the closure's first variable.
_CLIENT = 8
#: amd64: the last captured variable is stored, then newproc is called: mov [rax + 40], rsi; call
_STORED = bytes.fromhex("48 89 70 28 e8")
#: amd64: lea rcx, [rip + operand]
_LEA = bytes.fromhex("48 8d 0d")
#: How the goroutine reads its first variable into its first argument: mov rax, [rdx + 8];
#: ldp x0, x1, [x26, #8]
_CLIENT_IS_FIRST_AMD64 = bytes.fromhex("48 8b 42 08")
_CLIENT_IS_FIRST_ARM64 = struct.pack("<I", 0xA9408740)
#: The closure is filled in within so many bytes.
_NEAR = 160


def retries_in_turn() -> bool:
    return bool(PATCH.made())


def _make(library: Library) -> bool:
    caller, handler, sends = library.functions(_CALLER, _HANDLER, _SENDS)
    with_lock, lock, unlock = library.functions(_WITH_LOCK, *_MUTEX)
    handling = [
        started
        for started in library.known(*_STARTED)
        if library.machine.calls(library.text(started), started.start, handler.start)
    ]
    if len(handling) != 1:
        raise Refused(f"{len(handling)} goroutines handle retry receipts, expected 1")
    started = handling[0]
    amd64 = library.machine is AMD64
    start, locked = (start_amd64, locked_amd64) if amd64 else (start_arm64, locked_arm64)
    if (_CLIENT_IS_FIRST_AMD64 if amd64 else _CLIENT_IS_FIRST_ARM64) not in library.text(started):
        raise Refused("the client is not the first variable of the goroutine")
    returning = [function.start for function in library.known(*_RETURNING)]
    offset = locked(library.text(sends), sends.start, returning)
    site = caller.start + start(library.text(caller), caller.start, started.start)
    # Nothing runs this code before the first client connects: the store need not be atomic.
    stub = library.near(site, PAGE)
    # internal/abi, `ITab`: types and a hash, which nobody asks for, come before the methods.
    methods = struct.pack("<3Q2Q", 0, 0, 0, lock.start, unlock.start)
    written = code(library.machine.name, stub, offset, with_lock.start)
    write_code(library.machine, stub, methods + written)
    library.redirect(site, stub + len(methods))
    return True


def code(machine: str, methods: int, offset: int, with_lock: int) -> bytes:
    """The stub: the lock's methods are at `methods`, the lock is at `offset` in the client,
    `with_lock` is the function to go on with."""
    if machine == AMD64.name:
        return (
            bytes.fromhex("48 89 c1")  # mov rcx, rax: `fn`
            + b"\x48\x8b\x58" + bytes([_CLIENT])  # mov rbx, [rax + 8]
            + b"\x48\x81\xc3" + struct.pack("<i", offset)  # add rbx, offset: the lock
            + b"\x48\xb8" + struct.pack("<Q", methods)  # mov rax, methods
            + b"\x48\xba" + struct.pack("<Q", with_lock) + b"\xff\xe2"  # mov rdx, …; jmp rdx
        )  # fmt: skip
    stub = Arm64Code()
    stub.move(2, 0)
    stub.load(1, 0, _CLIENT)
    stub.add(1, 1, offset)
    stub.constant(0, methods)
    stub.jump(with_lock)
    return stub.bytes


def locked_amd64(code: bytes, address: int, returning: list[int]) -> int:
    """The offset in a client of the lock that `code`, which lies at `address`, takes and gives back
    when it returns, by one of the functions at `returning`. Raises `Refused` unless there is one
    such lock."""
    taken = {
        struct.unpack_from("<i", code, at + 4)[0]
        for at in range(len(code) - 8)
        # lock cmpxchg [register + offset], register
        if code[at : at + 3] == b"\xf0\x0f\xb1" and code[at + 3] & 0xC0 == 0x80
    }
    given_back = set()
    for at in _all(code, bytes.fromhex("48 8d 15")):  # lea rdx, [rip + operand]
        if address + at + 7 + _signed(code, at + 3) in returning:
            near = code[at : at + _NEAR // 2]
            adds = _all(near, bytes.fromhex("48 81 c2"))  # add rdx, offset
            given_back |= {_signed(near, one + 3) for one in adds}
    return _one(taken & given_back)


def locked_arm64(code: bytes, address: int, returning: list[int]) -> int:
    """The same for arm64."""
    words = list(struct.iter_unpack("<I", code[: len(code) & -4]))
    added = [_added(word) for (word,) in words]
    taken: set[int] = set()
    for at, (word,) in enumerate(words):
        if word & 0xFFE0FC00 == 0x88E0FC00:  # casal w, w, [x]
            before = [one for one in added[max(at - 8, 0) : at] if one and one[0] == word >> 5 & 31]
            taken |= {number for _, number in before[-1:]}
    given_back: set[int] = set()
    for function in returning:
        for at in ARM64.functions(code, address, function):
            around = added[max(at // 4 - 3, 0) : at // 4 + 6]
            given_back |= {one[1] for one in around if one}
    return _one(taken & given_back)


def _added(word: int) -> tuple[int, int] | None:
    """add x, x, #number: which register it goes to, and the number."""
    if word & 0xFFC00000 != 0x91000000 or word >> 5 & 31 == 31:
        return None
    return word & 31, word >> 10 & 0xFFF


def _one(offsets: set[int]) -> int:
    if len(offsets) != 1 or not 0 < min(offsets) < 4096:
        raise Refused(f"{len(offsets)} locks are held while something is sent, expected 1")
    return offsets.pop()


def start_amd64(code: bytes, address: int, started: int) -> int:
    """The offset in `code`, which lies at `address`, of the operand of the call that starts the
    function at `started` as a goroutine. Raises `Refused` unless there is one such place."""
    closures = [
        at for at in _all(code, _LEA) if address + at + 7 + _signed(code, at + 3) == started
    ]
    if len(closures) != 1:
        raise Refused(f"{len(closures)} closures of the goroutine, expected 1")
    stored = code.find(_STORED, closures[0], closures[0] + _NEAR)
    if stored < 0:
        raise Refused("no start of the goroutine where it was expected")
    return stored + len(_STORED)


def start_arm64(code: bytes, address: int, started: int) -> int:
    """The same for arm64: the offset of the call."""
    closures = ARM64.functions(code, address, started)
    if len(closures) != 1:
        raise Refused(f"{len(closures)} closures of the goroutine, expected 1")
    for at in range(closures[0], min(closures[0] + _NEAR, len(code) - 8), 4):
        store, call = struct.unpack_from("<II", code, at)
        # the last captured variables are stored: stp …, …, [x0, #32]; then newproc is called
        if store & 0xFFFF83E0 == 0xA9020000 and call >> 26 == 0b100101:
            return at + 4
    raise Refused("no start of the goroutine where it was expected")


def _all(code: bytes, wanted: bytes) -> list[int]:
    """Where `wanted` is, with room for an operand after it."""
    found, at = [], code.find(wanted)
    while 0 <= at <= len(code) - len(wanted) - 4:
        found.append(at)
        at = code.find(wanted, at + 1)
    return found


def _signed(code: bytes, at: int) -> int:
    return int.from_bytes(code[at : at + 4], "little", signed=True)


PATCH = Patch(
    "retries_in_turn",
    _make,
    functions=(_CALLER, *_STARTED, _HANDLER, _WITH_LOCK, *_MUTEX, _SENDS, *_RETURNING),
    promise="A device that forgot its keys and asks for many messages again gets all of them; what "
    "is sent meanwhile shares no key with them.",
    without="A few of many messages that a device asks for again at once may stay unreadable "
    "there, and so may one that is sent just then; the account's other devices have them.",
)
