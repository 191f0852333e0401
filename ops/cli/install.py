"""Run by `./gateway` before anything is installed: standard library only.

Makes the virtual environment, installs the locked packages when the lock changed, and becomes the
command line.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, NoReturn, TextIO

ROOT = Path(__file__).resolve().parents[2]
RUNTIME, DEVELOPMENT = "requirements.lock", "requirements-dev.lock"
#: Commands that need the development packages.
_DEVELOPERS = {"test", "lock", "docs"}
_WORD_SECONDS = 10
_NOBODY_HOME = Path("/var/lib/whatsapp-gateway")


def main(arguments: list[str]) -> NoReturn:
    """Install if need be, then run the command line in place of this process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    home = _home()
    if home != ROOT:
        environment.setdefault("GATEWAY_DATA_ROOT", str(home / "data"))
    venv = Path(os.environ.get("GATEWAY_VENV") or home / ".venv").absolute()
    python = venv / "bin" / "python"
    lock = DEVELOPMENT if arguments and arguments[0] in _DEVELOPERS else RUNTIME
    if not _installed(venv, lock):
        _install(venv, lock)
    environment["GATEWAY_VENV"] = str(venv)
    os.execve(python, [str(python), "-m", "ops.cli", *arguments], environment)  # noqa: S606


def _home() -> Path:
    """The checkout; for root another place where PostgreSQL's user could not enter it."""
    if os.geteuid() != 0 or all(p.stat().st_mode & stat.S_IXOTH for p in (ROOT, *ROOT.parents)):
        return ROOT
    return _NOBODY_HOME / hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]


def _stamp(venv: Path, lock: str) -> Path:
    return venv / f"installed-{lock}"


def _fingerprint(venv: Path, lock: str) -> str:
    """What an environment was made from: packages, interpreter, place."""
    text = f"{sys.version_info[:2]} {venv} {sys.platform}".encode()
    return hashlib.sha256(text + (ROOT / lock).read_bytes()).hexdigest()


def _installed(venv: Path, lock: str) -> bool:
    try:
        noted = _stamp(venv, lock).read_text()
    except FileNotFoundError:
        return False
    return noted == _fingerprint(venv, lock) and os.access(venv / "bin" / "python", os.X_OK)


def _install(venv: Path, lock: str) -> None:
    # PostgreSQL runs as another user when this is root, and reads its binaries there.
    os.umask(0o022)
    venv.parent.mkdir(parents=True, exist_ok=True)
    with (venv.parent / f"{venv.name}.lock").open("w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another gateway command is installing; waiting for it")
            fcntl.flock(guard, fcntl.LOCK_EX)
        if _installed(venv, lock):
            return
        _make(venv)
        _install_packages(venv, lock)
        # The development lock holds the runtime's packages, in the same versions.
        for covered in {lock, RUNTIME}:
            _stamp(venv, covered).write_text(_fingerprint(venv, covered))


def _make(venv: Path) -> None:
    fingerprint = f"{sys.version_info[:2]} {venv}"
    noted = venv / "made-for"
    if noted.exists() and noted.read_text() == fingerprint and os.access(venv / "bin/pip", os.X_OK):
        return
    if venv.exists() and not (venv / "pyvenv.cfg").exists():
        _fail(f"{venv} is there and no virtual environment; name another place in GATEWAY_VENV")
    _say(f"making a virtual environment in {venv}")
    shutil.rmtree(venv, ignore_errors=True)
    try:
        import ensurepip  # noqa: F401 - Debian packs it apart
        import venv as maker
    except ImportError:
        _fail(
            f"this Python ({sys.executable}) has no venv module: apt-get install "
            f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        )
    try:
        maker.create(venv, with_pip=True, symlinks=True)
    except subprocess.CalledProcessError as error:
        _fail(f"no virtual environment could be made: {error}")
    noted.write_text(fingerprint)


def _install_packages(venv: Path, lock: str) -> None:
    total = sum("==" in line for line in (ROOT / lock).read_text().splitlines())
    _say(f"installing {total} packages from {lock} (once; some hundred MB to download)")
    command = [
        *(str(venv / "bin" / "python"), "-m", "pip", "install"),
        *("--require-hashes", "--no-deps", "--disable-pip-version-check", "--no-input"),
        *("--progress-bar", "off", "-r", str(ROOT / lock)),
    ]
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    log = venv / "install.log"
    with (
        log.open("w") as record,
        subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as pip,
    ):
        assert pip.stdout is not None  # noqa: S101
        _show_progress(pip.stdout, record, total)
    if pip.returncode:
        sys.stderr.write("".join(log.read_text().splitlines(keepends=True)[-15:]))
        _fail(f"pip could not install {lock}; its whole output is in {log}")


def _show_progress(lines: IO[str], record: TextIO, total: int) -> None:
    """One line that changes on a terminal; elsewhere a line for every twenty packages."""
    terminal, seen, over = sys.stderr.isatty(), 0, threading.Event()
    for line in lines:
        record.write(line)
        verb, _, rest = line.strip().partition(" ")
        if verb in {"Collecting", "Ignoring"} or line.startswith("Requirement already"):
            seen += 1
            if terminal:
                sys.stderr.write(f"\r\033[K  {seen}/{total} {rest[:50]}")
                sys.stderr.flush()
            elif seen % 20 == 0:
                _say(f"{seen}/{total} packages")
        elif verb == "Installing":
            if terminal:
                sys.stderr.write("\r\033[K")
            _say("unpacking them")
            threading.Thread(target=_go_on, args=(over,), daemon=True).start()
    over.set()


def _go_on(over: threading.Event) -> None:
    """pip is silent while it unpacks, for half a minute and more."""
    seconds = 0
    while not over.wait(_WORD_SECONDS):
        seconds += _WORD_SECONDS
        _say(f"still unpacking, {seconds} s")


def _say(text: str) -> None:
    sys.stderr.write(f"gateway: {text}\n")
    sys.stderr.flush()


def _fail(text: str) -> NoReturn:
    _say(text)
    raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
