"""The chaos suite: breaks a running gateway on purpose and counts what was lost.

It stands outside: it speaks HTTP to the gateway and to the sandbox, reads Ray's state API, and
signals processes. Its folder's parent is on the path (`python -m chaos`), not the folder itself.
"""
