"""The control API: phones, faults and what the server saw, over HTTP."""
