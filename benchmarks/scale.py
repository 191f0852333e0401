"""10^4 to 10^6 sessions on paper: loads of the stores, recovery of a node and of a zone.

`gateway bench scale` prints the tables; `--write` puts them into docs/scale.md, with a picture.
Costs per operation come from `gateway bench calibrate`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.simulation.costs import Costs
from benchmarks.simulation.report import draw, tables

_DOCS = Path(__file__).parents[1] / "docs"
_BEGIN, _END = "<!-- tables: gateway bench scale --write -->", "<!-- end of tables -->"


def main() -> None:
    """Simulate, and print or write."""
    parser = argparse.ArgumentParser(prog="gateway bench scale", description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/scale.md")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    costs = Costs.read()
    text = tables(costs, arguments.seed)
    if not arguments.write:
        sys.stdout.write(text)
        return
    page = _DOCS / "scale.md"
    before, _, rest = page.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}\n{text}{_END}{after}")
    draw(costs, arguments.seed, _DOCS / "images" / "scale.png")


if __name__ == "__main__":
    main()
