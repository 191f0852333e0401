"""Trust in the gateway's own certificate, for those who call it on their own machine or cluster."""

from __future__ import annotations

import ssl

from cluster.settings import HttpSettings

__all__ = ["client_tls"]


def client_tls(http: HttpSettings) -> ssl.SSLContext | bool:
    """For httpx' `verify`: the public authorities, and this very certificate whatever the name by
    which it is reached (it is for the world's name of the gateway, not for 127.0.0.1)."""
    if not http.tls_cert_file:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(http.tls_cert_file)
    context.check_hostname = False
    return context
