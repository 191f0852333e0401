"""The gateway against Express over Baileys as sessions grow, and as messages come faster.

`gateway bench growth [--sessions 1,10,50,100,200] [--rates 5,10,20,40,80,160] [--write]`: for each
number of sessions what `gateway bench compare` measures, the gateway in packed form; then texts at
rates that double, at one number of sessions. `--write` puts tables and pictures into
docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.compare import at, run
from benchmarks.shared.folder import working_folder

_DOCS = Path(__file__).parents[1] / "docs"
_BEGIN, _END = "<!-- tables: gateway bench growth --write -->", "<!-- end of tables -->"
STACKS = ("baseline", "gateway")
_NAMES = {"baseline": "Express + Baileys", "gateway": "gateway, packed"}
#: Figure -> label, over the number of sessions.
_GROWN = {
    "idle.sessions.uss_each": "idle, MB USS per session: sessions' processes",
    "idle.all.uss_each": "idle, MB USS per session: all but the sandbox",
    "pair.per_second": "paired and connected /s",
    "send.per_second": "texts HTTP → phone /s",
    "send.phone_p50_ms": "HTTP → phone, p50 ms",
    "send.phone_p99_ms": "HTTP → phone, p99 ms",
    "receive.per_second": "texts phone → webhook /s",
    "receive.webhook_p99_ms": "phone → webhook, p99 ms",
}
_DRAWN = (
    "idle.sessions.uss_each",
    "idle.all.uss_each",
    "send.per_second",
    "receive.per_second",
)


async def grow(given: argparse.Namespace) -> dict[str, Any]:
    """Run all; what is there is written to `--json` after each step."""
    found: dict[str, Any] = {"grown": [], "rates": {}}
    steps: list[tuple[int, list[int]]] = [(number, []) for number in given.sessions]
    if given.rates:
        steps.append((given.at, given.rates))
    for sessions, rates in steps:
        with working_folder() as folder:
            figures = await run(
                folder,
                sessions,
                given.seconds,
                given.workers,
                packed=True,
                rates=rates,
                stacks=STACKS,
            )
        if rates:
            found["rates"] = figures
        else:
            found["grown"].append(figures)
        if given.json:
            given.json.write_text(json.dumps(found, indent=1) + "\n")
    return found


def tables(found: dict[str, Any]) -> str:
    """Markdown."""
    grown = found["grown"]
    lines = [
        "| sessions | " + " | ".join(str(one["sessions"]) for one in grown) + " |",
        "|---" * (len(grown) + 1) + "|",
    ]
    for path, label in _GROWN.items():
        for key in STACKS:
            values = " | ".join(f"{at(one[key], path):.1f}" for one in grown)
            lines.append(f"| {label}: {_NAMES[key]} | {values} |")
    for what in ("send", "receive"):
        for key in STACKS:
            lost = " | ".join(
                f"{one[key][what]['sent'] - one[key][what]['arrived']} of {one[key][what]['sent']}"
                for one in grown
            )
            lines.append(f"| {what}, lost: {_NAMES[key]} | {lost} |")
    levels = found["rates"]
    if levels:
        rates = [level["rate"] for level in levels["gateway"]["levels"]]
        lines += [
            "",
            f"Texts offered at rates that double, {levels['sessions']} sessions:",
            "",
            "| offered /s | " + " | ".join(f"{rate:g}" for rate in rates) + " |",
            "|---" * (len(rates) + 1) + "|",
        ]
        for figure, label in (
            ("per_second", "arrived /s"),
            ("phone_p50_ms", "HTTP → phone, p50 ms"),
            ("phone_p99_ms", "HTTP → phone, p99 ms"),
        ):
            for key in STACKS:
                values = " | ".join(f"{level[figure]:.1f}" for level in levels[key]["levels"])
                lines.append(f"| {label}: {_NAMES[key]} | {values} |")
    return "\n".join([*lines, ""])


def draw(found: dict[str, Any], path: Path) -> None:
    """Curves over the number of sessions, and over the rate."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(13, 6.4), layout="constrained")
    numbers = [one["sessions"] for one in found["grown"]]
    shown = [axes[0][0], axes[0][1], axes[1][0], axes[1][1]]
    for axis, path_of in zip(shown, _DRAWN, strict=True):
        for key in STACKS:
            values = [at(one[key], path_of) for one in found["grown"]]
            axis.plot(numbers, values, marker="o", label=_NAMES[key])
        logarithmic = "idle" in path_of
        axis.set(xscale="log", title=_GROWN[path_of], xlabel="sessions")
        axis.set_yscale("log" if logarithmic else "linear")
        if not logarithmic:
            axis.set_ylim(bottom=0)
    for axis, what in ((axes[0][2], "phone_p50_ms"), (axes[1][2], "phone_p99_ms")):
        for key in STACKS:
            levels = found["rates"].get(key, {}).get("levels", [])
            places = [level["rate"] for level in levels] or numbers
            values = [level[what] for level in levels] or [
                at(one[key], f"send.{what}") for one in found["grown"]
            ]
            axis.plot(places, values, marker="o", label=_NAMES[key])
        over = "texts offered /s" if found["rates"] else "sessions"
        axis.set(xscale="log", yscale="log", xlabel=over)
        axis.set_title(f"HTTP → phone, {what.split('_')[1]} ms")
    axes[0][0].legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",") if one]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="gateway bench growth", description=__doc__)
    parser.add_argument("--sessions", type=_numbers, default=[1, 10, 50, 100, 200])
    parser.add_argument("--rates", type=_numbers, default=[5, 10, 20, 40, 80, 160])
    parser.add_argument("--at", type=int, default=20, help="sessions while the rate doubles")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    parser.add_argument("--from", dest="source", type=Path, help="figures of an earlier run")
    arguments = parser.parse_args()
    if arguments.source:
        result = json.loads(arguments.source.read_text())
    else:
        result = asyncio.run(grow(arguments))
    text = tables(result)
    if arguments.write:
        page = _DOCS / "performance.md"
        before, _, rest = page.read_text().partition(_BEGIN)
        _, _, after = rest.partition(_END)
        page.write_text(f"{before}{_BEGIN}\n{text}{_END}{after}")
        draw(result, _DOCS / "images" / "growth.png")
    sys.stdout.write(text)
