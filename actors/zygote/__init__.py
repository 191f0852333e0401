"""Processes that host sessions, as forks of one process per node that has imported everything.

`launch` stands in for Ray's worker at its start and asks the node's zygote (`server`) to fork it;
`deferred` keeps out of the zygote what does not survive a fork. See docs/decisions/zygote.md.
"""

#: Whether this process is such a fork.
forked = False
