"""Attachments on their way in and out: fetched, checked, looked at, converted, stored."""
