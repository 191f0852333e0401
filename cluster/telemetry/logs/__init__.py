"""Logs of every process: one JSON object a line, with who speaks, and nobody's number in it."""

from cluster.telemetry.logs.configure import bind_process, configure
from cluster.telemetry.logs.masking import Masker

__all__ = ["Masker", "bind_process", "configure"]
