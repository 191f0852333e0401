"""Packed placement: processes that host many sessions each. See docs/decisions/packing.md."""
