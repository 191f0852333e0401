"""Stanzas: the tree that binary XML carries, and the few ways one builds and reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sandbox.wire.jid import Jid


@dataclass(slots=True)
class Node:
    """One element: a tag, attributes that are text or JIDs, and children or bytes."""

    tag: str
    attrs: dict[str, str | Jid] = field(default_factory=dict)
    content: list[Node] | bytes | None = None

    @classmethod
    def make(
        cls,
        tag: str,
        content: Sequence[Node] | bytes | str | None = None,
        **attrs: str | int | Jid | None,
    ) -> Node:
        """Build a node from Python values.

        Integers and booleans become text, `None` attributes are left out, `from_` (and any other
        trailing underscore, for Python's keywords) loses it; text content becomes UTF-8.
        """
        return cls(
            tag,
            {
                key.removesuffix("_"): _attribute(value)
                for key, value in attrs.items()
                if value is not None
            },
            content.encode()
            if isinstance(content, str)
            else content
            if content is None or isinstance(content, bytes)
            else list(content),
        )

    def child(self, tag: str) -> Node | None:
        """The first child with that tag."""
        return next((node for node in self.children() if node.tag == tag), None)

    def children(self, tag: str | None = None) -> list[Node]:
        """All children, or those with that tag; empty when the content is bytes."""
        if not isinstance(self.content, list):
            return []
        return [node for node in self.content if tag is None or node.tag == tag]

    def jid(self, name: str) -> Jid:
        """The attribute as a JID, parsed when it came as text.

        Raises:
            KeyError: there is no such attribute.
            ValueError: it is not a JID.
        """
        value = self.attrs[name]
        return value if isinstance(value, Jid) else Jid.parse(value)

    def get(self, name: str, default: str = "") -> str:
        """The attribute as text."""
        value = self.attrs.get(name)
        return default if value is None else str(value)

    @property
    def data(self) -> bytes:
        """The content as bytes; empty when there is none or it is children."""
        return self.content if isinstance(self.content, bytes) else b""

    def __str__(self) -> str:
        attrs = "".join(f' {key}="{value}"' for key, value in self.attrs.items())
        if self.content is None:
            return f"<{self.tag}{attrs}/>"
        if isinstance(self.content, bytes):
            body = f"<!-- {len(self.content)} bytes -->"
        else:
            body = "".join(map(str, self.content))
        return f"<{self.tag}{attrs}>{body}</{self.tag}>"


def _attribute(value: str | int | Jid) -> str | Jid:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value
