"""The POST of an event: where to, with which headers, how often; whoever sends it."""
