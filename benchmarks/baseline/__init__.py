"""The stack that the gateway is measured against, run from here."""
