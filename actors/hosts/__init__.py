"""Processes that host sessions, one or many each, with whatever is around a session in them."""
