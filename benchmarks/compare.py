"""The gateway against Express over Baileys, bare and with all that the original stack has around
it: the same load on the same machine, one after the other.

`python -m benchmarks.compare [--sessions 10] [--seconds 10] [--workers 8] [--packed]`. Each stack
has a sandbox of its own. Needs Node.js; npm installs the baseline's packages on first use. The
gateway's settings come from the environment.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.contest.load import Load
from benchmarks.contest.receiver import Receiver
from benchmarks.contest.stacks import Stack, the_baseline, the_gateway
from benchmarks.shared.folder import working_folder

STACKS = ("baseline", "original", "gateway")
_NAMES = {
    "baseline": "Express + Baileys",
    "original": "the original's whole stack",
    "gateway": "gateway",
}
#: The most that one process takes.
_PACKED = 200
#: Figure -> (label, whether more is better).
_ROWS = {
    "pair.per_second": ("sessions paired and connected /s", True),
    "idle.sessions.uss_each": ("idle, MB USS per session: the sessions' processes", False),
    "idle.sessions.pss_each": ("idle, MB PSS per session: the sessions' processes", False),
    "idle.all.uss_each": ("idle, MB USS per session: everything but the sandbox", False),
    "idle.around.uss": ("idle, MB USS: everything but the sandbox and those", False),
    "resting.all": ("idle, processor ms a second: everything but the sandbox", False),
    "send.per_second": ("texts HTTP → phone /s", True),
    "send.answer_p50_ms": ("answer to the caller, p50 ms", False),
    "send.answer_p99_ms": ("answer to the caller, p99 ms", False),
    "send.phone_p50_ms": ("HTTP → phone, p50 ms", False),
    "send.phone_p99_ms": ("HTTP → phone, p99 ms", False),
    "receive.per_second": ("texts phone → webhook /s", True),
    "receive.webhook_p50_ms": ("phone → webhook, p50 ms", False),
    "receive.webhook_p99_ms": ("phone → webhook, p99 ms", False),
}


async def measure(
    stack: Stack,
    receiver: Receiver,
    *,
    sessions: int,
    seconds: float,
    workers: int,
    rates: Sequence[float] = (),
) -> dict[str, Any]:
    """Everything about one stack; with `rates` only texts sent at so many a second."""
    load = Load(stack, receiver, sessions=sessions, seconds=seconds)
    try:
        found: dict[str, Any] = {"pair": await load.pair()}
        if rates:
            found["levels"] = await load.levels(rates)
            return found
        parts = await load.idle()
        parts["all"] = {
            what: sum(part[what] for name, part in parts.items() if name != "sandbox")
            for what in ("uss", "pss", "processes")
        }
        for part in parts.values():
            part["uss_each"], part["pss_each"] = part["uss"] / sessions, part["pss"] / sessions
        parts["around"] = {"uss": parts["all"]["uss"] - parts["sessions"]["uss"]}
        found["idle"] = parts
        rests = await load.resting()
        rests["all"] = round(sum(rests.values()) - rests.get("sandbox", 0.0), 1)
        found["resting"] = rests
        found["send"] = await load.send(workers)
        found["receive"] = await load.receive(workers)
        return found
    finally:
        await load.close()


async def run(
    folder: Path,
    sessions: int,
    seconds: float,
    workers: int,
    *,
    packed: bool = False,
    rates: Sequence[float] = (),
    stacks: Sequence[str] = STACKS,
) -> dict[str, Any]:
    """The stacks one after the other, with their data in `folder`. `packed`: all sessions of the
    gateway in one process, else as its settings say."""
    found: dict[str, Any] = {
        "sessions": sessions,
        "seconds": seconds,
        "workers": workers,
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }
    for key in stacks:
        receiver = Receiver()
        await receiver.start()
        made: AbstractContextManager[Stack] = (
            the_gateway(folder, packed=_PACKED if packed else 0)
            if key == "gateway"
            else the_baseline(folder / key, receiver.url, full=key == "original")
        )
        stack = await asyncio.to_thread(made.__enter__)
        try:
            found[key] = await measure(
                stack,
                receiver,
                sessions=sessions,
                seconds=seconds,
                workers=workers,
                rates=rates,
            )
        finally:
            await asyncio.to_thread(made.__exit__, None, None, None)
            receiver.stop()
    return found


def table(found: dict[str, Any]) -> str:
    """Markdown: the figures of each stack, and how many times better the gateway is."""
    stacks = [key for key in STACKS if key in found]
    others = [key for key in stacks if key != "gateway" and "gateway" in stacks]
    names = [_NAMES[key] for key in stacks]
    titles = [*names, *(f"gateway to {_NAMES[key]}" for key in others)]
    lines = [
        f"| {found['sessions']} sessions, {found['workers']} workers, {found['seconds']:g} s each, "
        f"{found['cpus']} cores, load {found['load']} | " + " | ".join(titles) + " |",
        "|---" * (len(titles) + 1) + "|",
    ]
    for path, (label, more) in _ROWS.items():
        values = {key: at(found[key], path) for key in stacks}
        cells = [f"{value:.1f}" for value in values.values()]
        for key in others:
            better, worse = values["gateway"], values[key]
            if not more:
                better, worse = worse, better
            cells.append(f"{better / worse:.2f} × better" if worse else "")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    empty = " |" * len(others)
    for key in stacks:
        listed = ", ".join(f"{part} {ms:g}" for part, ms in found[key]["resting"].items())
        lines.append(f"| idle: processor ms a second, {_NAMES[key]} | {listed} |")
    for what in ("send", "receive"):
        lost = [
            f"{found[key][what]['sent'] - found[key][what]['arrived']} of "
            f"{found[key][what]['sent']}"
            for key in stacks
        ]
        lines.append(f"| {what}: lost | " + " | ".join(lost) + f" |{empty}")
        for key in stacks:
            parts = found[key][what]["processor_ms"].items()
            listed = ", ".join(f"{part} {each:g}" for part, each in parts)
            lines.append(f"| {what}: processor ms each, {_NAMES[key]} | {listed} |")
    return "\n".join(lines)


def at(found: dict[str, Any], path: str) -> float:
    """A figure by its path of keys; NaN when it is not there."""
    value: Any = found
    for key in path.split("."):
        value = value.get(key, {})
    return float(value) if isinstance(value, int | float) else float("nan")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--packed", action="store_true", help="the gateway in its packed form")
    parser.add_argument("--only", action="append", choices=STACKS, help="of the stacks; repeatable")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    with working_folder() as folder:
        figures = asyncio.run(
            run(
                folder,
                given.sessions,
                given.seconds,
                given.workers,
                packed=given.packed,
                stacks=given.only or STACKS,
            )
        )
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    sys.stdout.write(json.dumps(figures) + "\n\n" + table(figures) + "\n")
