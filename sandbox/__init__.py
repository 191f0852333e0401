"""A WhatsApp multi-device server of our own: the true protocol, offline, with virtual phones.

`Sandbox` (in `sandbox.app`) runs one; `python -m sandbox` runs one from the command line; see
docs/sandbox.md.
"""
