"""The Python face of the gateway: sessions and their verbs, with typed errors.

HTTP routes call the same code; what a route answers as a problem body is raised here.
"""

from client.gateway import Gateway, connect
from client.session import NumberStatus, QrCode, SessionClient

__all__ = ["Gateway", "NumberStatus", "QrCode", "SessionClient", "connect"]
