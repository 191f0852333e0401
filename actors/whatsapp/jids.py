"""Between the library's JID messages and the strings the rest of the gateway uses."""

from __future__ import annotations

from neonize.proto.Neonize_pb2 import JID

from cluster.domain.jid import split_jid

__all__ = ["from_text", "to_text"]


def to_text(jid: JID, *, device: bool = False) -> str:
    """`4915100001@s.whatsapp.net`, or with its device `4915100001:3@s.whatsapp.net`."""
    if not jid.Server:
        return ""
    suffix = f":{jid.Device}" if device and jid.Device else ""
    return f"{jid.User}{suffix}@{jid.Server}" if jid.User else jid.Server


def from_text(text: str) -> JID:
    """The library's form of `user[:device]@server`."""
    user, device, server = split_jid(text)
    return JID(
        User=user,
        Server=server,
        Device=int(device or 0),
        RawAgent=0,
        Integrator=0,
        IsEmpty=False,
    )
