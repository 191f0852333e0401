"""The Model Context Protocol: what an agent's client sees of the gateway.

A tool is a route of this application, asked as its caller would ask it (`inner`), so that keys,
scopes, limits, pacing, idempotency, problem texts and the audit log hold for it without a second
set of rules. Only `server` imports the SDK: it costs half a second, and is loaded when the first
agent comes.
"""
