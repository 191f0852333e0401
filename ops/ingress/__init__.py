"""HAProxy in front of Serve's replicas, where there is one."""
