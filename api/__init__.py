"""The HTTP face of the gateway: WAHA-compatible routes over the cluster client."""
