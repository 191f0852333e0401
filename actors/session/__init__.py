"""The session: one linked device with its owner's duties, in plain asyncio, without Ray."""
