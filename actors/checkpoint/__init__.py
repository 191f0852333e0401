"""Checkpoints of a device store: a base and deltas of changed pages, sealed, in the object store.

PostgreSQL says which checkpoints exist (`cluster.stores.checkpoints`); S3 only holds bytes.
See docs/decisions/checkpoints.md.
"""
