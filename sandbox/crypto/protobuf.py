"""WhatsApp's protobuf messages, in one place because generated code carries no types.

They come from `pyaileys` and not from `neonize`: importing any `neonize.proto` module runs
neonize's `__init__`, which loads its Go library into the process.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError
from pyaileys.proto import WAProto_pb2

__all__ = ["DecodeError", "wa"]

#: the generated module: `wa.Message`, `wa.ClientPayload`, `wa.SyncdPatch`, …
wa: Any = WAProto_pb2
