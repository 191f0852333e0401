"""Has an agent take the supervisor off the node it is on: run by `gateway run python`."""

from __future__ import annotations

import os
import sys

import ray

from actors.peers import agent_name
from cluster.settings import Settings


def main(off: str) -> None:
    """`off`: Ray's id of that node."""
    space = Settings().placement.namespace
    ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), namespace=space, log_to_driver=False)
    others = (n["NodeID"] for n in ray.nodes() if n["Alive"] and n["NodeID"] != off)
    agent = ray.get_actor(agent_name(next(others)), space)
    ray.get(agent.take_supervisor.remote(off), timeout=90)


if __name__ == "__main__":
    main(sys.argv[1])
