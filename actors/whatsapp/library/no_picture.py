"""Removing a picture, which neonize 0.5.2 cannot: it has no way to say "none".

whatsmeow's `(*Client).SetGroupPhoto` removes the picture when it is given no bytes at all (nil);
neonize makes an empty, but present, picture of an empty argument, which WhatsApp refuses as no
image. The calls in neonize's `SetGroupPhoto` and `SetProfilePhoto` are redirected, in memory, to a
stub that hands on nil for an empty picture. Docs: docs/decisions/app-state.md.
"""

from __future__ import annotations

from actors.whatsapp.library.machines import AMD64, Amd64Code, Arm64Code, Machine
from actors.whatsapp.library.patching import PAGE, Library, Patch, write_code

__all__ = ["PATCH", "pictures_can_be_removed"]

_CALLERS = ("main.SetGroupPhoto", "main.SetProfilePhoto")
_CALLED = "go.mau.fi/whatsmeow.(*Client).SetGroupPhoto"


def pictures_can_be_removed() -> bool:
    return bool(PATCH.made())


def _make(library: Library) -> bool:
    called, *callers = library.functions(_CALLED, *_CALLERS)
    sites = [library.call(caller, called) for caller in callers]
    stub = library.near(sites[0], PAGE)
    install(library.machine, stub, original=called.start)
    for site in sites:
        library.redirect(site, stub)
    return True


def install(machine: Machine, stub: int, *, original: int) -> None:
    """Write the stub into the page at `stub`."""
    write = _stub_amd64 if machine is AMD64 else _stub_arm64
    write_code(machine, stub, write(stub, original))


def _stub_amd64(at: int, original: int) -> bytes:
    """The picture's address and length are in RDI and RSI (Go's ABIInternal; the receiver, the
    context and, on the stack, the JID come before)."""
    code = Amd64Code(at)
    code.put("48 85 f6")  # test rsi, rsi
    code.relative(b"\x0f\x85", original)  # jne SetGroupPhoto
    code.put("31 ff")  # xor edi, edi
    code.relative(b"\xe9", original)  # jmp SetGroupPhoto
    return code.bytes


def _stub_arm64(_at: int, original: int) -> bytes:
    """They are in X10 and X11: the JID has X3 to X9."""
    code = Arm64Code()
    code.branch_if_not_zero(11, "go on")
    code.move(10, 31)
    code.label("go on")
    code.jump(original)
    return code.bytes


PATCH = Patch(
    "pictures_removed",
    _make,
    functions=(_CALLED, *_CALLERS),
    promise="Pictures of the account and of groups can be removed.",
    without="Requests that remove them are answered 501.",
)
