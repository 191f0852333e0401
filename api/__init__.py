"""The HTTP front: WAHA's API over the cluster's client. `create_app` is the way in."""
