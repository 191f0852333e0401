"""The server: connections, stanza handlers, the store of accounts and what waits for them."""
