"""Measurements, each with its own command: `./gateway bench <name>`."""
