"""Attachments between the object store and WhatsApp's media servers."""
