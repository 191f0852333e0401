"""The library on arm64, without such a machine: its real wheel under user-mode emulation.

    python tests/arm64.py [FOLDER]

Makes an arm64 root of Debian (debootstrap; no second stage, nothing is run as root in it) and a
folder of the locked wheels for aarch64, both kept in FOLDER; then runs the tests of the library's
changes in that Python, and conversations of such a device with a sandbox outside. Needs Debian's
packages debootstrap and qemu-user-static, and root for debootstrap. Some half an hour.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUITE, PYTHON = "bookworm", "3.11"
QEMU = "/usr/bin/qemu-aarch64-static"
#: Of the lock: what a linked device does not load, and which is large.
_NOT_NEEDED = ("ray",)
_OF_TESTS = ("pytest", "pytest-asyncio", "pytest-timeout", "pytest-xdist", "hypothesis")
#: What a device does with the sandbox.
CONVERSATIONS = [
    "tests/integration/sandbox/test_library_talks.py",
    "tests/integration/sandbox/test_acknowledged_last.py",
    "tests/integration/sandbox/test_both_ways_at_once.py",
    "tests/integration/sandbox/test_shared_settings.py",
]


def main() -> None:
    default = Path(tempfile.gettempdir()) / "gateway-arm64"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    root, site = folder / "root", folder / "site"
    if not (root / "made").exists():
        make_root(root)
    wanted = packages()
    made = site / "made"
    if not made.exists() or made.read_text() != repr(wanted):
        shutil.rmtree(site, ignore_errors=True)
        make_site(site, *wanted)
        made.write_text(repr(wanted))
    tests = "tests/unit/whatsapp/library"
    seconds = {
        tests: run([*emulated(root, site), "-m", "pytest", tests, *QUIET], environment(root, site)),
        "conversations": run(
            [sys.executable, "-m", "pytest", *CONVERSATIONS, *QUIET, "--timeout", "900"],
            environment(root, site)
            | {
                "LIBRARY_TEST_INTERPRETER": " ".join(emulated(root, site)),
                "LIBRARY_TEST_PATIENCE": "10",
            },
        ),
    }
    for name, took in seconds.items():
        sys.stdout.write(f"{took:6.0f} s  {name}\n")


QUIET = ["-q", "-p", "no:cacheprovider"]


def emulated(root: Path, site: Path) -> list[str]:
    """The arm64 interpreter, as words of a command."""
    path = f"PYTHONPATH={ROOT}:{site}"
    libraries = "LD_LIBRARY_PATH=/usr/lib/aarch64-linux-gnu"
    interpreter = root / "usr" / "bin" / f"python{PYTHON}"
    return [QEMU, "-L", str(root), "-E", path, "-E", libraries, str(interpreter)]


def environment(root: Path, site: Path) -> dict[str, str]:
    # How an emulated interpreter starts another.
    return {"LIBRARY_TEST_EMULATOR": " ".join(emulated(root, site)[:-1])}


def make_root(root: Path) -> None:
    include = f"python3,libpython{PYTHON},libsqlite3-0,libmagic1,ca-certificates"
    run(
        [
            *("debootstrap", "--foreign", "--arch=arm64", "--variant=minbase"),
            *(f"--include={include}", SUITE, str(root)),
        ]
    )
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        run(["dpkg-deb", "-x", str(package), str(root)])
    (root / "made").touch()


def packages() -> tuple[list[str], list[str]]:
    """With their versions: what a device is made of, and what tests are."""
    lock = (ROOT / "requirements.lock").read_text()
    pinned = [
        line.rstrip(" \\")
        for line in lock.splitlines()
        if (name := re.match(r"[\w.-]+", line)) and name[0] not in _NOT_NEEDED
    ]
    tools = (ROOT / "requirements-dev.lock").read_text()
    return pinned, re.findall(rf"^((?:{'|'.join(_OF_TESTS)})==\S+)", tools, re.MULTILINE)


def make_site(site: Path, pinned: list[str], versions: list[str]) -> None:
    base = [sys.executable, "-m", "uv", "pip", "install", "--target", str(site)]
    base += ["--python-platform", "aarch64-manylinux_2_36", "--python-version", f"{PYTHON}.2"]
    base += ["--only-binary", ":all:"]
    wanted = site.with_suffix(".txt")
    wanted.write_text("\n".join(pinned))
    run([*base, "--no-deps", "-r", str(wanted)])
    run([*base, *versions])


def run(command: list[str], environment: dict[str, str] | None = None) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    more = {"PYTHONPATH": str(ROOT)} | (environment or {})
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | more)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
