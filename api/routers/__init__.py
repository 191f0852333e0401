"""The routes, a module per group of WAHA's API."""
