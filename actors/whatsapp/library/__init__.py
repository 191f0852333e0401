"""The Go library as this gateway needs it: what it lacks is put in, in memory, once in a process.

* `promises`: what holds because of it: `prepare()` before the first client connects, `status()`.
* `patching`, `symbols`, `machines`: finding functions of the loaded library and changing its text.
* One file for each change: `message_id`, `app_state_name`, `app_state_ring`, `decrypt_txn`,
  `retries_in_turn`, `no_picture`. `sandbox_root` and `client_version` replace data only; `clients`
  reads.

The how and the risks: docs/decisions/library.md.
"""
