"""Under which name a client reaches attachments and pictures: by the way it came."""

from __future__ import annotations

__all__ = ["MEDIA_HOST", "PICTURE_HOST", "MediaHosts"]

#: through the proxy, like the websocket
MEDIA_HOST = "mmg.whatsapp.net"
#: served like attachments, but unencrypted
PICTURE_HOST = "pps.whatsapp.net"


class MediaHosts:
    """Who came through the proxy asks WhatsApp's hosts there; who came directly, this machine."""

    def __init__(self) -> None:
        #: the media server's own `host:port`
        self.direct = MEDIA_HOST
        self._by_port: dict[int, str] = {}

    def came(self, source_port: int, host: str) -> None:
        """What connects from this port is a tunnel, through which `host` is reached."""
        self._by_port[source_port] = host

    def left(self, source_port: int) -> None:
        self._by_port.pop(source_port, None)

    def of(self, source_port: int) -> str:
        return self._by_port.get(source_port, self.direct)
