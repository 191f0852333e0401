"""Clients of other authors, unmodified and pinned: installed on first use, driven from here."""
